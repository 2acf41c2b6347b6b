"""DTLS with peers that have an RSA certificate, as GStreamer has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate, generate_certificate
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from server.aiortc_tuning import Tuning, install, uninstall
from server.aiortc_tuning.ciphers import CIPHERS


@pytest.fixture(autouse=True)
def untuned() -> Iterator[None]:
    uninstall()
    yield
    uninstall()


@pytest.fixture(scope="module")
def with_rsa() -> Callable[[], SSL.Connection]:
    """Return what makes a DTLS server with an RSA certificate, and all ciphers of OpenSSL."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = RTCCertificate(key, generate_certificate(key))

    def make() -> SSL.Connection:
        context = certificate._create_ssl_context(SRTP_PROFILES)
        context.set_cipher_list(b"DEFAULT")
        return SSL.Connection(context)

    return make


def ours() -> SSL.Connection:
    return SSL.Connection(RTCCertificate.generateCertificate()._create_ssl_context(SRTP_PROFILES))


def shake_hands(client: SSL.Connection, server: SSL.Connection) -> str | None:
    """Return the cipher that both agreed on."""
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(10):
        for one, other in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                one.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65536))
    return client.get_cipher_name()


def test_upstream_still_refuses_rsa(with_rsa: Callable[[], SSL.Connection]) -> None:
    """Once this fails, upstream may no longer need our ciphers."""
    with pytest.raises(SSL.Error, match="no shared cipher"):
        shake_hands(ours(), with_rsa())


def test_a_peer_with_an_rsa_certificate_is_agreed_with(
    with_rsa: Callable[[], SSL.Connection],
) -> None:
    install(Tuning())
    cipher = shake_hands(ours(), with_rsa())
    assert cipher is not None and cipher.startswith("ECDHE-RSA-")
    assert cipher in CIPHERS


def test_with_others_nothing_changes() -> None:
    upstream = shake_hands(ours(), ours())
    install(Tuning())
    assert upstream == shake_hands(ours(), ours()) == CIPHERS[0]
