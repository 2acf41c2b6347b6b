"""The guard: host names, origins, tokens, floods, and the headers of every answer."""

from __future__ import annotations

import pytest

from server.security import host_name

OPEN_TO_ALL = {"host": "0.0.0.0"}
STRICT = (
    "content-security-policy",
    "permissions-policy",
    "cross-origin-opener-policy",
    "referrer-policy",
    "x-content-type-options",
)


@pytest.mark.parametrize("path", ["/v1/about", "/nowhere", "/healthz", "/v1/openapi.json"])
def test_every_answer_has_the_headers(ask, path):
    headers = ask("GET", path).headers

    assert [name for name in STRICT if name not in headers] == []
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "camera=(self)" in headers["permissions-policy"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_is_not_ours_is_refused_whatever_it_resolves_to(ask, is_refusal, host):
    assert is_refusal(ask("GET", "/v1/about", headers={"Host": host}), 403, "unknown-host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:7860", "127.0.0.1:1", "[::1]:7860"])
def test_this_machines_own_names_are_known(ask, host):
    assert ask("GET", "/healthz", headers={"Host": host}).status_code == 200


def test_addresses_are_known_only_where_others_reach_the_server(ask, is_refusal, token):
    headers = {"Host": "192.0.2.7:7860"}

    assert is_refusal(ask("GET", "/healthz", headers=headers), 403, "unknown-host")
    everywhere = OPEN_TO_ALL | {"token": token}
    assert ask("GET", "/healthz", headers=headers, settings=everywhere).status_code == 200


def test_a_public_name_is_known(ask):
    settings = {"public_names": ("stage.example",)}

    answer = ask("GET", "/healthz", headers={"Host": "Stage.Example"}, settings=settings)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1:9999",
        "http://localhost:7860",
        "http://127.0.0.1.evil.example:7860",
        "null",
        "file://",
        "http://[",
    ],
)
def test_a_page_from_elsewhere_is_refused(ask, is_refusal, origin):
    response = ask("POST", "/v1/sessions", headers={"Origin": origin}, json={})

    assert is_refusal(response, 403, "foreign-origin")
    assert "access-control-allow-origin" not in response.headers


def test_the_own_page_is_let_in(ask, is_refusal):
    response = ask("POST", "/v1/sessions", headers={"Origin": "http://127.0.0.1:7860"}, json={})

    assert is_refusal(response, 422, "invalid")


def test_behind_a_proxy_that_speaks_https_the_own_page_is_let_in(ask):
    settings = {"public_names": ("stage.example",)}
    headers = {"Host": "stage.example", "Origin": "https://stage.example"}

    assert ask("GET", "/v1/about", headers=headers, settings=settings).status_code == 200


def test_a_page_that_was_named_may_use_the_server_from_elsewhere(ask):
    settings = {"origins": ("https://show.example",)}
    headers = {"Origin": "https://show.example"}

    asked = ask("OPTIONS", "/v1/sessions", headers=headers, settings=settings)
    used = ask("GET", "/v1/about", headers=headers, settings=settings)

    assert asked.status_code == 204
    for response in (asked, used):
        assert response.headers["access-control-allow-origin"] == "https://show.example"
        assert "access-control-allow-credentials" not in response.headers
    assert "Authorization" in asked.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/sessions"),
        ("GET", "/v1/sessions/x"),
        ("PATCH", "/v1/sessions/x"),
        ("DELETE", "/v1/sessions/x"),
        ("GET", "/v1/queue/x"),
        ("GET", "/v1/ice"),
        ("GET", "/metrics"),
    ],
)
def test_without_the_token_nothing_is_told_or_done(ask, is_refusal, token, method, path):
    response = ask(method, path, settings={"token": token})

    assert is_refusal(response, 401, "no-token")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("given", ["", "a-token-of-some-lengtH", "x" * 10_000, "ä"])
def test_a_wrong_token_opens_nothing(ask, is_refusal, token, given):
    headers = [(b"Authorization", b"Bearer " + given.encode())]

    response = ask("GET", "/v1/ice", headers=headers, settings={"token": token})

    assert is_refusal(response, 401, "wrong-token")
    assert token not in response.text


@pytest.mark.parametrize("kind", ["Bearer", "bearer"])
def test_the_token_opens(ask, token, kind):
    headers = {"Authorization": f"{kind} {token}"}

    response = ask("GET", "/v1/ice", headers=headers, settings={"token": token})

    assert response.json() == {"iceServers": []}


def test_who_guesses_tokens_is_stopped_and_nobody_else_is(serve, is_refusal, token):
    async def work(served):
        guesser, other = served.visitor("192.0.2.66"), served.visitor("192.0.2.67")
        wrong = {"Authorization": "Bearer not-the-token-at-all"}
        answers = [await guesser.get("/v1/ice", headers=wrong) for _ in range(30)]
        right = {"Authorization": f"Bearer {token}"}
        return answers, await other.get("/v1/ice", headers=right)

    answers, other = serve(work, token=token)

    assert is_refusal(answers[0], 401, "wrong-token")
    assert is_refusal(answers[-1], 429, "too-many-tokens")
    assert other.status_code == 200


def test_a_flood_of_requests_is_cut_off_for_its_address_alone(serve, is_refusal, token):
    async def work(served):
        flood, other = served.visitor("192.0.2.66"), served.visitor("192.0.2.67")
        headers = {"Host": "192.0.2.1"}
        answers = [await flood.get("/v1/about", headers=headers) for _ in range(330)]
        return answers, await other.get("/v1/about", headers=headers)

    answers, other = serve(work, token=token, **OPEN_TO_ALL)

    assert answers[0].status_code == 200
    assert is_refusal(answers[-1], 429, "too-many-requests")
    assert other.status_code == 200


def test_nothing_of_the_body_is_read_before_the_token(serve, is_refusal, token):
    async def body():
        yield b"x"
        raise AssertionError("it was read on")

    async def work(served):
        return await served.client.post("/v1/sessions", content=body())

    assert is_refusal(serve(work, token=token), 401, "no-token")


def test_a_body_without_end_is_cut_off(serve, is_refusal):
    sent = []

    async def body():
        while True:
            sent.append(1)
            yield b"x" * 8192

    async def work(served):
        return await served.client.post("/v1/sessions", content=body())

    assert is_refusal(serve(work), 413, "too-large")
    assert len(sent) <= 10


def test_a_body_that_says_it_is_too_large_is_not_read_at_all(serve, is_refusal):
    async def body():
        raise AssertionError("it was read")
        yield b""

    async def work(served):
        headers = {"Content-Length": "1000000000"}
        return await served.client.post("/v1/sessions", content=body(), headers=headers)

    assert is_refusal(serve(work), 413, "too-large")


@pytest.mark.parametrize(
    ("host", "name"),
    [("a.example:80", "a.example"), ("[::1]:80", "::1"), ("A.", "a"), ("", ""), ("[::1", "::1")],
)
def test_the_name_in_a_host_header(host, name):
    assert host_name(host) == name
