"""`streamgen serve --virtual-camera`: what is started beside the server, and with which secrets."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from server.settings import Settings
from server.tls import Certificate
from streamgen.cli.companion import Companion
from streamgen.cli.parser import Parser
from streamgen.cli.serve import add_arguments
from streamgen.cli.serve_vcam import NEWEST, beside, command, own_url

TOKEN = "a-token-of-some-length"


def asked(*arguments):
    parser = Parser(prog="streamgen serve")
    add_arguments(parser)
    return parser.parse_args(arguments).virtual_camera


def test_a_stream_is_named_or_the_newest_is_meant():
    assert asked() is None
    assert asked("--virtual-camera") == NEWEST
    assert asked("--virtual-camera", "Show-1") == "show-1"
    assert asked("--virtual-camera", "--open") == NEWEST


@pytest.mark.parametrize("name", ["a b", "x" * 41, "ä", "../x"])
def test_what_is_no_name_is_one_sentence(streamgen, name):
    done = streamgen("serve", "--virtual-camera", name)

    assert done.code == 2
    assert "--virtual-camera: stream name" in done.err and "choose 1 to 40 of a-z" in done.err


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80/"),
        ("0.0.0.0", "http://127.0.0.1:80/"),
        ("::", "http://[::1]:80/"),
        ("192.0.2.7", "http://192.0.2.7:80/"),
    ],
)
def test_the_server_is_reached_from_its_own_machine(host, url):
    assert own_url(Settings(host=host), 80) == url


def test_a_stream_has_its_address_and_the_newest_is_looked_for():
    words = [sys.executable, "-m", "streamgen", "vcam"]
    server = "http://127.0.0.1:80/"

    assert command("show", Settings(), 80) == [
        *words,
        *("--whep", f"{server}whep/show", "--until-stdin-ends"),
    ]
    assert command(NEWEST, Settings(), 80) == [*words, "--server", server, "--until-stdin-ends"]


def test_no_secret_is_among_the_arguments():
    assert TOKEN not in " ".join(command("show", Settings(token=TOKEN), 80))


@pytest.mark.parametrize(
    ("authority", "trusted"), [(None, "chain.pem"), (Path("authority.pem"), "authority.pem")]
)
def test_a_server_with_a_certificate_is_trusted(authority, trusted):
    tls = Certificate(chain=Path("chain.pem"), key=Path("key.pem"), authority=authority)

    words = command("show", Settings(tls=tls), 80)

    assert words[words.index("--certificate") + 1] == trusted
    assert "https://127.0.0.1:80/whep/show" in words


def test_nothing_is_started_where_nothing_is_wanted():
    assert isinstance(beside(None, Settings(), 80, environ={}), nullcontext)


def test_the_token_goes_by_the_environment_and_no_other_one_does():
    other = {"STREAMGEN_TOKEN": "of-somebody-else", "PATH": "here"}

    given = beside("show", Settings(token=TOKEN), 80, environ=other)
    without = beside("show", Settings(), 80, environ=other)

    assert isinstance(given, Companion) and isinstance(without, Companion)
    assert given.environ["STREAMGEN_TOKEN"] == TOKEN
    assert given.environ["PATH"] == "here"
    assert "STREAMGEN_TOKEN" not in without.environ
