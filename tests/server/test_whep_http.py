"""Requests of the WHEP client to real sockets: answers, refusals, certificates, bad servers."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from server.tls import own
from server.whep_http import MAX_BODY, Http, Refused, Reply, Unavailable, check_url
from streamgen.errors import ConfigError

NOW = datetime.now(UTC)


@asynccontextmanager
async def answering(answer: bytes, *, tls=None):
    """Yield the port of a server that gives everybody one answer, and what it was asked."""
    asked: list[str] = []

    async def serve(reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, OSError):
            return  # it went without a word, as it should where it does not trust this server
        length = int(head.lower().partition("content-length: ")[2].partition("\r")[0])
        asked.append(head + (await reader.readexactly(length)).decode())
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


def run(test):
    async def limited():
        async with asyncio.timeout(60):
            return await test

    return asyncio.run(limited())


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Word: a\r\n\r\nhi"


def test_an_answer_is_read_whole():
    async def test():
        async with answering(OK) as (port, asked):
            url = f"http://127.0.0.1:{port}/whep/show?a=b"
            reply = await Http(token="letters").ask("POST", url, body="v=0", kind="application/sdp")
        return reply, asked[0]

    reply, asked = run(test())
    assert (reply.status, reply.body, reply.headers["x-word"]) == (200, "hi", "a")
    assert asked.startswith("POST /whep/show?a=b HTTP/1.1\r\n") and asked.endswith("\r\n\r\nv=0")
    assert "Authorization: Bearer letters\r\n" in asked
    assert "Content-Type: application/sdp\r\n" in asked


def test_without_a_token_none_is_sent():
    async def test():
        async with answering(OK) as (port, asked):
            await Http().ask("GET", f"http://127.0.0.1:{port}")
        return asked[0]

    asked = run(test())
    assert asked.startswith("GET / HTTP/1.1\r\n") and "Authorization" not in asked


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "cannot be reached: "),
        (b"", "cannot be reached: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000, f"{MAX_BODY} byt"),
    ],
)
def test_what_is_no_answer_may_be_one_later(answer, words):
    async def test():
        async with answering(answer) as (port, _):
            await Http().ask("GET", f"http://127.0.0.1:{port}/")

    with pytest.raises(Unavailable, match=words):
        run(test())


def test_a_server_that_is_not_there_may_be_there_later():
    async def test():
        async with answering(OK) as (port, _):
            pass
        await Http().ask("GET", f"http://127.0.0.1:{port}/")

    with pytest.raises(Unavailable, match="127.0.0.1:[0-9]+ cannot be reached: "):
        run(test())


@pytest.mark.parametrize(
    ("status", "headers", "kind", "words"),
    [
        (401, {}, Refused, r"answers 401 \(No\): give a token that may view it"),
        (403, {}, Refused, "answers 403"),
        (405, {}, Refused, "answers 405"),
        (307, {"location": "http://x/y"}, Refused, "it is at http://x/y, give that address"),
        (404, {}, Unavailable, "answers 404"),
        (409, {"retry-after": "2"}, Unavailable, "answers 409"),
        (429, {"retry-after": "soon"}, Unavailable, "answers 429"),
        (503, {}, Unavailable, "answers 503"),
    ],
)
def test_what_a_refusal_means(status, headers, kind, words):
    body = json.dumps({"error": "key", "says": "No."})

    error = Reply(url="http://x/", status=status, headers=headers, body=body).refused()

    assert type(error) is kind
    with pytest.raises(kind, match=words):
        raise error
    if kind is Unavailable:
        assert error.retry_s == (2 if headers.get("retry-after") == "2" else 0)


@pytest.mark.parametrize("body", ["", "<html>", "[1]", '{"says": 3}'])
def test_a_refusal_without_a_sentence_is_told_by_its_number(body):
    error = Reply(url="http://x/", status=500, headers={}, body=body).refused()

    assert str(error) == "http://x/ answers 500"


def asked_over_tls(certificate, trusted, host):
    async def test():
        async with answering(OK, tls=certificate.context()) as (port, asked):
            reply = await Http(certificate=trusted).ask("GET", f"https://{host}:{port}/")
            return reply.status, len(asked)

    return run(test())


def test_the_certificate_of_the_server_itself_is_good_under_any_name(tmp_path):
    made = own(tmp_path, ["stage.example"], now=NOW)

    assert asked_over_tls(made, made.chain, "127.0.0.1") == (200, 1)


def test_an_authority_is_good_for_the_names_it_signed(tmp_path):
    made = own(tmp_path / "here", ["127.0.0.1"], now=NOW)
    other = own(tmp_path / "there", ["stage.example"], now=NOW)

    assert asked_over_tls(made, made.authority, "127.0.0.1") == (200, 1)
    with pytest.raises(Refused, match="is not trusted .*--certificate FILE"):
        asked_over_tls(other, other.authority, "127.0.0.1")


@pytest.mark.parametrize("is_given", [True, False])
def test_a_certificate_of_somebody_else_is_not_trusted(tmp_path, is_given):
    made = own(tmp_path / "ours", ["127.0.0.1"], now=NOW)
    foreign = own(tmp_path / "theirs", ["127.0.0.1"], now=NOW)

    with pytest.raises(Refused, match="the certificate of 127.0.0.1:[0-9]+ is not trusted"):
        asked_over_tls(foreign, made.chain if is_given else None, "127.0.0.1")


def test_a_file_without_a_certificate_is_refused(tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")

    with pytest.raises(ConfigError, match="there is none in it"):
        Http(certificate=tmp_path / "empty.pem").check()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        Http(certificate=tmp_path / "absent.pem").check()


def test_a_token_with_spaces_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match="--token: give letters") as caught:
        Http(token="my secret").check()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:7860/whep/show",
        "ftp://x/y",
        "http://",
        "http://x:99999/",
        "http://me:word@x/",
        "http://x/a b",
        "http://x/\r\nHost: y",
        "http://[::1",
        "http://ü/",
        "",
    ],
)
def test_what_is_no_address_is_refused_by_name(url):
    with pytest.raises(ConfigError, match="--whep .*: write http://HOST:PORT/…"):
        check_url(url, "--whep")


def test_addresses_are_taken():
    for url in ("http://127.0.0.1:7860/whep/show", "https://stage.example", "http://[::1]:1/"):
        assert check_url(url, "--whep").geturl() == url
