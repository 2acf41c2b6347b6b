"""Certificates: the user's own, or one of a small authority of this machine; knows no HTTP.

Browsers give cameras to https and to localhost only, so that a phone in the same network needs
this. The authority's key is kept in the cache folder, readable by its owner alone.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import ifaddr

from streamgen.errors import ConfigError

AUTHORITY = "authority.pem"
_AUTHORITY_KEY = "authority-key.pem"
_LEAF = "server.pem"
#: Apple's devices take no certificate that is valid for longer than 825 days.
VALID = timedelta(days=397)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Files in PEM; authority: whom a browser has to trust, where this machine made it."""

    chain: Path
    key: Path
    authority: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return what a server needs; ConfigError where the files are not what they should be."""
        for path in (self.chain, self.key):
            try:
                path.read_bytes()
            except OSError as error:
                raise ConfigError(f"--tls '{path}' cannot be read: {error.strerror}") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.chain, self.key, password=_no_password)
        except (ssl.SSLError, ConfigError) as error:
            reason = getattr(error, "reason", None) or str(error)
            raise ConfigError(
                f"--tls '{self.chain}', '{self.key}': no certificate and its key in PEM ({reason})"
            ) from error
        return context

    def advice(self) -> list[str]:
        """Say how a browser comes to trust it."""
        if self.authority is None:
            return []
        return [
            "The browser warns once, as it does not know this machine's own authority: go on"
            " there (Advanced, Proceed), or trust the authority for good:",
            f"  file     {self.authority}",
            "  Linux    certutil -d sql:$HOME/.pki/nssdb -A -t C -n streamgen -i FILE",
            "  macOS    open FILE, then Keychain Access: Always Trust",
            "  Windows  certutil -user -addstore Root FILE",
            "  phones   send them FILE, open it, install it as a CA certificate",
        ]


def given(text: str) -> Certificate:
    """Read CERT,KEY."""
    chain, comma, key = text.partition(",")
    if not (chain and comma and key):
        raise ConfigError(f"--tls {text!r}: write off, auto, or CERT,KEY (two files in PEM)")
    return Certificate(chain=Path(chain).expanduser(), key=Path(key).expanduser())


def own(folder: Path, names: Sequence[str], *, now: datetime) -> Certificate:
    """Return a new certificate for names and addresses, by an authority that is kept in folder."""
    try:
        import trustme
    except ImportError as error:
        raise ConfigError("--tls auto needs an extra: pip install -e '.[tls]'") from error
    authority, authority_key = folder / AUTHORITY, folder / _AUTHORITY_KEY
    leaf = folder / _LEAF
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if authority.exists() and authority_key.exists():
            ca = trustme.CA.from_pem(authority.read_bytes(), authority_key.read_bytes())
        else:
            ca = trustme.CA(organization_name="streamgen", organization_unit_name=_machine())
            _write_private(authority_key, ca.private_key_pem.bytes())
            authority.write_bytes(ca.cert_pem.bytes())
        made = ca.issue_cert(
            *names,
            organization_name="streamgen",
            not_before=now - timedelta(days=1),
            not_after=now + VALID,
        )
        _write_private(leaf, made.private_key_and_cert_chain_pem.bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the certificates in '{folder}' cannot be used: {error}; remove the folder, or set"
            " STREAMGEN_CACHE to one that can be written"
        ) from error
    return Certificate(chain=leaf, key=leaf, authority=authority)


def lan_addresses() -> list[str]:
    """Return the addresses that others in the same network reach this machine by."""
    found = []
    for adapter in ifaddr.get_adapters():
        for address in adapter.ips:
            text = address.ip if isinstance(address.ip, str) else address.ip[0]
            parsed = ipaddress.ip_address(text)
            if not (parsed.is_loopback or parsed.is_link_local):
                found.append(text)
    return sorted(set(found), key=lambda text: (":" in text, text))


def names_of(host: str, public_names: Sequence[str]) -> list[str]:
    """Return every name and address that a certificate must be good for."""
    machine = _machine()
    names = ["localhost", "127.0.0.1", "::1", machine, f"{machine}.local", *lan_addresses()]
    if host not in ("0.0.0.0", "::", ""):
        names.append(host)
    return list(dict.fromkeys([*names, *public_names]))


def _machine() -> str:
    """Return the machine's name, in letters that a certificate takes."""
    name = socket.gethostname().partition(".")[0]
    return "".join(each if each.isascii() and each.isalnum() else "-" for each in name) or "host"


def _no_password() -> str:
    """Refuse to ask in the terminal."""
    raise ConfigError("the key has a password")


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(path)
