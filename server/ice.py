"""Which STUN and TURN servers peers are told of, and time-limited passwords for the latter.

The scheme is coturn's `use-auth-secret` (draft-uberti-behave-turn-rest-00): the user name is
"<expiry>:<name>", the password base64(HMAC-SHA1(secret, user name)). The secret never leaves here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

from streamgen.errors import ConfigError

TTL_S = 3600
_URL = re.compile(r"(stuns?|turns?):[\w.\-\[\]:]+(\?transport=(udp|tcp))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServer:
    """One server as browsers and aiortc want it."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IceSettings:
    """What was configured; without anything, peers reach each other directly or not at all."""

    stun: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    turn_secret: str | None = None

    def check(self) -> None:
        """Raise ConfigError for what is no such address, and for TURN without its secret."""
        for option, schemes, urls in (
            ("--stun", ("stun", "stuns"), self.stun),
            ("--turn", ("turn", "turns"), self.turn),
        ):
            for url in urls:
                if not _URL.fullmatch(url) or url.partition(":")[0] not in schemes:
                    raise ConfigError(f"{option} {url!r}: write {schemes[0]}:HOST:PORT")
        if self.turn and not self.turn_secret:
            raise ConfigError("--turn needs --turn-secret FILE: coturn's static-auth-secret")
        if self.turn_secret and not self.turn:
            raise ConfigError("--turn-secret has no effect without --turn URL")


def ice_servers(settings: IceSettings, *, name: str, now_s: float) -> tuple[IceServer, ...]:
    """Return what one peer is told; name: whom a password is for, without a colon."""
    servers = [IceServer(urls=settings.stun)] if settings.stun else []
    if settings.turn and settings.turn_secret:
        username = f"{int(now_s) + TTL_S}:{name}"
        credential = turn_credential(settings.turn_secret, username)
        servers.append(IceServer(urls=settings.turn, username=username, credential=credential))
    return tuple(servers)


def turn_credential(secret: str, username: str) -> str:
    """Return base64(HMAC-SHA1(secret, username))."""
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def read_secret(path: Path) -> str:
    """Return the secret in a file, without the line's end."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError(f"--turn-secret '{path}' cannot be read: {reason}") from error
    if not secret:
        raise ConfigError(f"--turn-secret '{path}' is empty: write the secret into it")
    return secret
