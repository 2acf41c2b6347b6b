"""Passes: what each right opens, and that nothing else does."""

from __future__ import annotations

import jwt
import pytest

from server.refusals import Refusal
from server.rights import Pass, Passes, signing_key

TOKEN = "a-token-of-some-length"
ROUTES = {
    "publish": [("POST", "/whip/cam"), ("PATCH", "/whip/cam/x"), ("DELETE", "/whip/cam/x")],
    "view": [
        ("POST", "/whep/cam"),
        ("DELETE", "/whep/cam/x"),
        ("GET", "/v1/streams/cam"),
        ("POST", "/v1/streams/cam/guests"),
        ("DELETE", "/v1/streams/cam/guests/x"),
        ("GET", "/v1/streams/cam/recording"),
    ],
    "control": [
        ("PATCH", "/v1/streams/cam"),
        ("POST", "/v1/streams/cam/recording"),
        ("DELETE", "/v1/streams/cam/recording"),
    ],
}
BODIES = {
    "/v1/streams/cam": {"output": "black"},
    "/v1/streams/cam/guests": {"sdp": "v=0"},
}


async def make(served, **body):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    asked = {"stream": "cam", "rights": ["view"], **body}
    return await served.client.post("/v1/tokens", json=asked, headers=headers)


@pytest.fixture
def statuses(serve):
    """Return what every route answers to a pass with these rights."""

    def run(rights, stream="cam"):
        async def work(served):
            token = (await make(served, stream=stream, rights=rights)).json()["token"]
            answers = {}
            for method, path in sum(ROUTES.values(), []):
                headers = {"Authorization": f"Bearer {token}"}
                more = {"json": BODIES[path]} if method != "GET" and path in BODIES else {}
                answer = await served.client.request(method, path, headers=headers, **more)
                answers[method, path] = answer
            return answers

        return serve(work, token=TOKEN)

    return run


@pytest.mark.parametrize(
    ("right", "opened"),
    [("publish", {"publish"}), ("view", {"view"}), ("control", {"view", "control"})],
)
def test_a_right_opens_what_it_says(statuses, is_refusal, right, opened):
    answers = statuses([right])

    for kind, routes in ROUTES.items():
        for route in routes:
            if kind in opened:
                assert answers[route].status_code not in (401, 403), route
            else:
                assert is_refusal(answers[route], 403, "no-right"), route


def test_a_pass_opens_its_own_stream_alone(statuses, is_refusal):
    for answer in statuses(["publish", "view", "control"], stream="another").values():
        assert is_refusal(answer, 403, "wrong-stream")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/streams"),
        ("POST", "/v1/tokens"),
        ("POST", "/v1/sessions"),
        ("GET", "/v1/sessions/x"),
        ("GET", "/metrics"),
    ],
)
def test_a_pass_is_not_the_servers_token(serve, is_refusal, method, path):
    async def work(served):
        token = (await make(served, rights=["publish", "view", "control"])).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        return await served.client.request(method, path, headers=headers)

    assert is_refusal(serve(work, token=TOKEN), 403, "only-a-pass")


def test_a_pass_is_enough_to_ask_for_relays(serve):
    async def work(served):
        token = (await make(served, rights=["view"])).json()["token"]
        return await served.client.get("/v1/ice", headers={"Authorization": f"Bearer {token}"})

    assert serve(work, token=TOKEN).json() == {"iceServers": []}


def test_whoever_may_steer_a_stream_is_told_what_it_can_be_steered_to(serve, is_refusal):
    async def work(served):
        answers = []
        for right in ("control", "view"):
            headers = {
                "Authorization": f"Bearer {(await make(served, rights=[right])).json()['token']}"
            }
            answers.append(await served.client.get("/v1/loras", headers=headers))
        return [*answers, await served.client.get("/v1/loras")]

    steers, watches, stranger = serve(work, token=TOKEN)

    assert steers.json() == {"loras": []}
    assert is_refusal(watches, 403, "no-right")
    assert is_refusal(stranger, 401, "no-token")


def test_with_a_pass_a_server_tells_of_itself_what_it_tells_everybody(serve):
    async def work(served):
        headers = {"Authorization": f"Bearer {(await make(served)).json()['token']}"}
        return (await served.client.get("/v1/about", headers=headers)).json()

    assert set(serve(work, token=TOKEN)) == {"version", "needs_token"}


def test_a_pass_that_is_too_old_opens_nothing_and_is_no_guess(serve, is_refusal):
    async def work(served):
        token = Passes(TOKEN, clock=lambda: 0.0).make("cam", {"view"}, ttl_s=10)
        client = served.visitor("192.0.2.7")
        headers = {"Authorization": f"Bearer {token}"}
        return [await client.get("/v1/streams/cam", headers=headers) for _ in range(15)]

    for response in serve(work, token=TOKEN):
        assert is_refusal(response, 401, "expired-pass")


def test_without_a_token_everybody_may_do_everything(serve, publisher_sdp):
    async def work(served):
        begun = await served.signal("/whip/cam", publisher_sdp, Authorization="Bearer whatever")
        return begun, await served.client.patch("/v1/streams/cam", json={"output": "black"})

    begun, patched = serve(work)

    assert (begun.status_code, patched.status_code) == (201, 200)


def test_a_pass_is_made_by_the_token_alone(ask, is_refusal):
    body = {"stream": "cam", "rights": ["view"]}

    response = ask("POST", "/v1/tokens", json=body, settings={"token": TOKEN})

    assert is_refusal(response, 401, "no-token")


def test_a_pass_says_for_how_long_it_is_good(serve):
    async def work(served):
        return [(await make(served, **body)).json() for body in ({}, {"ttl_s": 60})]

    default, short = serve(work, token=TOKEN)

    assert (default["expires_s"], short["expires_s"]) == (86_400, 60)
    claims = jwt.decode(short["token"], options={"verify_signature": False})
    assert (claims["stream"], claims["rights"], claims["aud"]) == ("cam", ["view"], "streamgen")


@pytest.mark.parametrize(
    "body",
    [
        {"ttl_s": 86_401},
        {"ttl_s": 0},
        {"rights": []},
        {"rights": ["admin"]},
        {"stream": "a b"},
        {"stream": ""},
        {"more": 1},
    ],
)
def test_a_pass_that_cannot_be_is_refused(serve, body):
    async def work(served):
        return await make(served, **body)

    assert serve(work, token=TOKEN).status_code == 422


def test_a_pass_outlives_a_restart_but_not_its_token():
    text = Passes(TOKEN, clock=lambda: 0.0).make("Cam", ["control"], ttl_s=10).encode()

    again = Passes(TOKEN, clock=lambda: 9.0).read(text)

    assert again == Pass(stream="cam", rights=frozenset({"control"}))
    assert Passes("another-token-of-some-length").read(text) is None
    assert Passes(None).read(text) is None
    with pytest.raises(Refusal, match="too old"):
        Passes(TOKEN, clock=lambda: 10.0).read(text)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"exp": "soon"},
        {"stream": 7},
        {"rights": "view"},
        {"rights": ["admin"]},
        {"rights": [["view"]]},
        {"aud": None},
    ],
)
def test_what_is_signed_but_no_pass_is_none(claims):
    passes = Passes(TOKEN, clock=lambda: 0.0)
    good = {"aud": "streamgen", "exp": 10, "stream": "cam", "rights": ["view"]}
    given = {name: value for name, value in {**good, **claims}.items() if value is not None}

    assert passes.read(jwt.encode(good, signing_key(TOKEN), "HS256").encode()) is not None
    assert passes.read(jwt.encode(given, signing_key(TOKEN), "HS256").encode()) is None


@pytest.mark.parametrize("text", [b"", b"..", b"a.b.c", b"\xff.\xff.\xff", b"x" * 5000, b"a.b"])
def test_what_is_no_pass_at_all_is_none(text):
    assert Passes(TOKEN).read(text) is None


def test_a_pass_without_a_signature_is_none():
    claims = {"aud": "streamgen", "exp": 2**40, "stream": "cam", "rights": ["view"]}

    assert Passes(TOKEN).read(jwt.encode(claims, None, algorithm="none").encode()) is None
