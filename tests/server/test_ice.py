"""TURN passwords against coturn's formula, and settings that cannot be."""

from __future__ import annotations

import base64
import hmac

import pytest

from server.ice import IceServer, IceSettings, ice_servers, read_secret, turn_credential
from streamgen.errors import ConfigError

TURN = IceSettings(stun=("stun:s:3478",), turn=("turn:t:3478?transport=udp",), turn_secret="north")


def test_the_password_is_the_one_that_coturn_computes():
    # openssl: printf 1700003600:alice | openssl dgst -sha1 -hmac north -binary | base64
    assert turn_credential("north", "1700003600:alice") == "wjwSXO2ch1B6VaLTLMy2Avn5O9o="


def test_a_password_is_good_for_an_hour_and_for_one_visitor():
    stun, turn = ice_servers(TURN, name="alice", now_s=1_700_000_000.9)

    assert stun == IceServer(urls=("stun:s:3478",))
    assert turn.username == "1700003600:alice"
    mac = hmac.new(b"north", turn.username.encode(), "sha1").digest()
    assert turn.credential == base64.b64encode(mac).decode()


def test_nobody_is_asked_where_nothing_is_configured():
    assert ice_servers(IceSettings(), name="alice", now_s=0.0) == ()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (IceSettings(stun=("http://s",)), "--stun 'http://s': write stun:HOST:PORT"),
        (IceSettings(stun=("turn:s:3478",)), "--stun"),
        (IceSettings(turn=("turn:t:3478",)), "--turn needs --turn-secret FILE"),
        (IceSettings(turn_secret="x"), "--turn-secret has no effect"),
        (IceSettings(turn=("turn:t 3478",), turn_secret="x"), "--turn 'turn:t 3478'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, word):
    with pytest.raises(ConfigError, match=word):
        settings.check()


def test_a_secret_is_read_without_its_line_end(tmp_path):
    (tmp_path / "secret").write_text("north\n")

    assert read_secret(tmp_path / "secret") == "north"


@pytest.mark.parametrize(("content", "word"), [(None, "No such file"), (b"\n", "is empty")])
def test_a_secret_that_is_not_there_is_said(tmp_path, content, word):
    if content is not None:
        (tmp_path / "secret").write_bytes(content)

    with pytest.raises(ConfigError, match=word):
        read_secret(tmp_path / "secret")
