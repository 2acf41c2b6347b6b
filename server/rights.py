"""Passes: what lets somebody publish, watch or steer one stream, and do nothing else.

A pass is a JWT (RFC 7519, HS256) whose key is made of the server's own token: it outlives a restart
and ends with that token. Where there is none, the key lives as long as the server. Nothing is kept
of a pass, so there is nothing to revoke but the token.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args  # Any: claims, as JSON has them

import jwt
from fastapi import Request

from server.refusals import Refusal

Right = Literal["publish", "view", "control"]
RIGHTS: tuple[Right, ...] = get_args(Right)
MAX_TTL_S = 86_400
#: Of a pass as text; ours have about 250 characters.
MAX_LENGTH = 1024
_AUDIENCE = "streamgen"
_ALGORITHM = "HS256"
_CLAIMS = ["aud", "exp", "stream", "rights"]
#: Where a request's pass is found in its scope's state; the guard puts it there.
STATE = "pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What its holder may do, and with which stream."""

    stream: str
    rights: frozenset[Right]

    def allows(self, right: Right) -> bool:
        """Whether it gives a right; who may steer may watch."""
        return right in self.rights or (right == "view" and "control" in self.rights)


class Passes:
    """Makes passes and reads them again."""

    def __init__(self, token: str | None, *, clock: Callable[[], float] = time.time) -> None:
        """token: the server's own. clock: seconds since 1970."""
        self._key = secrets.token_bytes(32) if token is None else signing_key(token)
        self._clock = clock

    def make(self, stream: str, rights: Collection[Right], *, ttl_s: float) -> str:
        """Return a pass as text."""
        claims = {
            "aud": _AUDIENCE,
            "exp": int(self._clock() + ttl_s),
            "stream": stream.lower(),
            "rights": sorted(rights),
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def read(self, text: bytes) -> Pass | None:
        """Return a pass; None for what is none of ours, Refusal for one that is too old."""
        if len(text) > MAX_LENGTH or text.count(b".") != 2:
            return None
        try:
            claims = jwt.decode(
                text,
                self._key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                # Looked at below, by the clock that was given.
                options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None
        return self._read(claims)

    def _read(self, claims: dict[str, Any]) -> Pass | None:
        stream, rights, expires_s = claims["stream"], claims["rights"], claims["exp"]
        if not isinstance(stream, str) or not isinstance(rights, list):
            return None
        if not isinstance(expires_s, int) or not all(right in RIGHTS for right in rights):
            return None
        if expires_s <= self._clock():
            raise Refusal(401, "expired-pass", "This pass is too old: ask for a new one.")
        return Pass(stream=stream, rights=frozenset(rights))


def signing_key(token: str) -> bytes:
    """Return what passes are signed with; from it, the token cannot be told."""
    return hmac.digest(token.encode(), b"streamgen passes, version 1", "sha256")


def may(request: Request, stream: str, right: Right) -> bool:
    """Whether a request has a right to a stream."""
    if request.state.is_trusted:
        return True
    given = _given(request)
    return given is not None and given.stream == stream.lower() and given.allows(right)


def require(request: Request, stream: str, right: Right) -> None:
    """Raise Refusal for a request that has no right to a stream; 401 where it has shown nothing."""
    if may(request, stream, right):
        return
    given = _given(request)
    if given is None:
        raise Refusal(401, "no-token", "This needs the server's token, or a pass to the stream.")
    if given.stream != stream.lower():
        says = f"This pass is for stream {given.stream!r}, not for {stream[:100]!r}."
        raise Refusal(403, "wrong-stream", says)
    rights = ", ".join(sorted(given.rights)) or "nothing"
    raise Refusal(403, "no-right", f"This pass does not give the right {right!r}, only: {rights}.")


def require_somewhere(request: Request, right: Right) -> None:
    """Raise Refusal for a request that has a right to no stream at all."""
    given = _given(request)
    require(request, "" if given is None else given.stream, right)


def _given(request: Request) -> Pass | None:
    given = request.scope.get("state", {}).get(STATE)
    return given if isinstance(given, Pass) else None
