"""What is offered in DTLS as its client: peers with an RSA certificate, too; knows no connection.

aiortc offers ECDSA alone, and GStreamer, whose certificate is RSA, ends the handshake: "no shared
cipher". As a server, aiortc has an ECDSA certificate, and cannot take any of the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiortc.rtcdtlstransport import RTCCertificate, SRTPProtectionProfile

if TYPE_CHECKING:
    from OpenSSL import SSL

#: aiortc's own come first, which whoever has the certificate for them takes.
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
upstream_context = RTCCertificate._create_ssl_context


def context_with_rsa(
    self: RTCCertificate, srtp_profiles: list[SRTPProtectionProfile]
) -> SSL.Context:
    """Return aiortc's own context with these ciphers; takes the place of a method of its."""
    context = upstream_context(self, srtp_profiles)
    context.set_cipher_list(":".join(CIPHERS).encode())
    return context
