"""Certificates of this machine's own authority, used for a real handshake, and bad files."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from datetime import UTC, datetime
from threading import Thread

import pytest

from server.tls import Certificate, given, lan_addresses, names_of, own
from streamgen.errors import ConfigError

NOW = datetime.now(UTC)


def handshake(certificate, trusted, name):
    """Connect two ends of a pair of sockets; return what the client learns of the server."""
    near, far = socket.socketpair()
    server = certificate.context()

    def serve():
        with server.wrap_socket(far, server_side=True) as secure:
            secure.recv(1)

    thread = Thread(target=serve)
    thread.start()
    client = ssl.create_default_context(cafile=trusted)
    with client.wrap_socket(near, server_hostname=name) as secure:
        learned = secure.getpeercert()
        secure.send(b"x")
    thread.join()
    return learned


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "192.0.2.7", "stage.example"])
def test_who_trusts_the_authority_is_content_with_every_name(tmp_path, name):
    certificate = own(tmp_path / "tls", names_of("192.0.2.7", ["stage.example"]), now=NOW)

    learned = handshake(certificate, certificate.authority, name)

    days = (ssl.cert_time_to_seconds(learned["notAfter"]) - NOW.timestamp()) / 86400
    assert 390 < days < 398


def test_the_authority_stays_so_that_it_is_trusted_once(tmp_path):
    first = own(tmp_path, ["localhost"], now=NOW)
    trusted = first.authority.read_bytes()
    second = own(tmp_path, ["localhost", "192.0.2.7"], now=NOW)

    assert second.authority.read_bytes() == trusted
    assert handshake(second, second.authority, "192.0.2.7")


def test_keys_are_for_their_owner_alone(tmp_path):
    folder = tmp_path / "tls"
    own(folder, ["localhost"], now=NOW)

    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes["authority-key.pem"] == modes["server.pem"] == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_advice_names_the_file(tmp_path):
    certificate = own(tmp_path, ["localhost"], now=NOW)

    assert any(str(certificate.authority) in line for line in certificate.advice())
    assert Certificate(chain=tmp_path, key=tmp_path).advice() == []


def test_a_broken_authority_is_said(tmp_path):
    own(tmp_path, ["localhost"], now=NOW)
    (tmp_path / "authority.pem").write_text("nonsense")

    with pytest.raises(ConfigError, match="cannot be used"):
        own(tmp_path, ["localhost"], now=NOW)


@pytest.mark.parametrize("text", ["on", "cert.pem", ",key.pem", "cert.pem,"])
def test_what_is_neither_a_word_nor_two_files_is_refused(text):
    with pytest.raises(ConfigError, match="write off, auto, or CERT,KEY"):
        given(text)


def test_files_that_are_not_there_or_not_certificates_are_refused(tmp_path):
    (tmp_path / "note.pem").write_text("a note")

    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        given(f"{tmp_path}/none.pem,{tmp_path}/none.pem").context()
    with pytest.raises(ConfigError, match="no certificate and its key in PEM"):
        given(f"{tmp_path}/note.pem,{tmp_path}/note.pem").context()


def test_a_key_with_a_password_is_refused_without_asking_for_it(tmp_path):
    from cryptography.hazmat.primitives import serialization

    certificate = own(tmp_path, ["localhost"], now=NOW)
    key = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )
    (tmp_path / "locked.pem").write_bytes(locked)

    with pytest.raises(ConfigError, match="the key has a password"):
        given(f"{certificate.chain},{tmp_path}/locked.pem").context()


def test_addresses_of_the_network_are_no_loopback():
    assert not any(ipaddress.ip_address(each).is_loopback for each in lan_addresses())
