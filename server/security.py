"""Who may ask: known host names, own origin, the token or a pass; puts headers on every answer.

Plain ASGI around the whole application, so that nothing of a body is read and nothing is made
before all of this is settled. Knows no route but by its path.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from server.headers import HEADERS, SIGNALLING, cors, options, with_headers
from server.limits import Turnstile
from server.refusals import Refusal
from server.rights import STATE, Pass, Passes
from server.settings import WILDCARDS, Settings, is_loopback

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
#: What needs no token: enough for the page to ask for one, and what load balancers look at.
OPEN_PATHS = ("/v1/about", "/v1/openapi.json")
OPEN_FOLDERS = ("/v1/thumbnails/",)
#: Besides the server's own token, a pass to the stream opens these; routes look at what it allows.
PASS_FOLDERS = (*SIGNALLING, "/v1/streams/", "/v1/ice", "/v1/loras")


class Notes(Protocol):
    """Who counts what was refused, by its key."""

    def refused(self, key: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What is let in, as plain data.

    names: host names, lower case. takes_addresses: any IP address as a host, which no page of
    somebody else can have as its name. scheme: that origins must have, None where a proxy before
    this server may speak https.
    """

    names: frozenset[str]
    takes_addresses: bool
    origins: frozenset[str]
    scheme: str | None
    token: bytes | None
    passes: Passes

    @classmethod
    def of(cls, settings: Settings, passes: Passes) -> Doors:
        """Return what the settings let in."""
        names = {*LOOPBACK_NAMES, *settings.public_names}
        names |= {settings.public_ip} if settings.public_ip else set()
        names |= {settings.host} - set(WILDCARDS)
        return cls(
            names=frozenset(name.lower() for name in names),
            takes_addresses=not is_loopback(settings.host),
            origins=frozenset(origin.lower() for origin in settings.origins),
            scheme="https" if settings.tls else None,
            token=settings.token.encode() if settings.token else None,
            passes=passes,
        )

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = host_name(host)
        return name in self.names or (self.takes_addresses and _is_address(name))

    def welcomes(self, origin: str, host: str) -> bool:
        """Whether an Origin header is that of a page of this very server, or of one allowed."""
        if origin.lower() in self.origins:
            return True
        parts = _split(origin)
        if parts is None or self.scheme not in (None, parts[0]):
            return False
        own = _split(f"{parts[0]}://{host}")
        return own is not None and own == parts


class Guard:
    """Lets a request through to the application, or answers it itself."""

    def __init__(
        self, app: ASGIApp, *, doors: Doors, calls: Turnstile, wrong_tokens: Turnstile, notes: Notes
    ) -> None:
        self._app = app
        self._doors = doors
        self._calls = calls
        self._wrong_tokens = wrong_tokens
        self._notes = notes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = _Asked.of(scope)
        headers = dict(HEADERS)
        if asked.origin and asked.origin.lower() in self._doors.origins:
            headers |= cors(asked.origin)
        app: ASGIApp = self._app
        try:
            self._check(asked)
            if asked.method == "OPTIONS":
                app = options(asked.path)
            trust = self._trust(asked)
            state = scope.setdefault("state", {})
            state["is_trusted"] = trust is True
            state[STATE] = trust if isinstance(trust, Pass) else None
        except Refusal as refusal:
            self._notes.refused(refusal.key)
            app = refusal.response
        await app(scope, receive, with_headers(send, headers))

    def _check(self, asked: _Asked) -> None:
        if not self._doors.knows(asked.host):
            raise Refusal(
                403,
                "unknown-host",
                f"This server is not known as {asked.host[:80]!r}: start it with --public-name"
                " NAME where it should be.",
            )
        if asked.origin is not None and not self._doors.welcomes(asked.origin, asked.host):
            says = "A page from elsewhere may not use this server: start it with --origin URL."
            raise Refusal(403, "foreign-origin", says)
        if asked.path.startswith(("/v1/", *SIGNALLING)) and not self._calls.admits(asked.address):
            says = "Too many requests from this address."
            raise Refusal(429, "too-many-requests", says, retry_s=self._calls.retry_s)

    def _trust(self, asked: _Asked) -> Pass | bool:
        """Return whether the token was given or none is needed, or the pass that was given instead.

        Raises Refusal where something is needed and was not given.
        """
        token = self._doors.token
        if token is None:
            return True
        if asked.bearer is None:
            if asked.method == "OPTIONS" or not _needs_token(asked.path):
                return False
            raise Refusal(401, "no-token", "This server wants its token: it was told at its start.")
        if hmac.compare_digest(asked.bearer, token):
            return True
        given = self._doors.passes.read(asked.bearer)
        if given is None:
            raise self._wrong(asked)
        if _needs_token(asked.path) and not asked.path.startswith(PASS_FOLDERS):
            says = f"This is a pass to stream {given.stream!r}: here the server's token is wanted."
            raise Refusal(403, "only-a-pass", says)
        return given

    def _wrong(self, asked: _Asked) -> Refusal:
        if not self._wrong_tokens.admits(asked.address):
            retry_s = self._wrong_tokens.retry_s
            return Refusal(429, "too-many-tokens", "Too many wrong tokens.", retry_s=retry_s)
        return Refusal(401, "wrong-token", "This is not the server's token.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is looked at of a request."""

    method: str
    path: str
    host: str
    origin: str | None
    bearer: bytes | None
    address: str

    @classmethod
    def of(cls, scope: Scope) -> _Asked:
        headers = dict(scope["headers"])
        kind, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        origin = headers.get(b"origin")
        return cls(
            method=scope["method"],
            path=scope["path"],
            host=headers.get(b"host", b"").decode("latin-1"),
            origin=None if origin is None else origin.decode("latin-1"),
            bearer=bearer.strip() if kind.lower() == b"bearer" else None,
            address=scope["client"][0] if scope.get("client") else "unknown",
        )


def host_name(host: str) -> str:
    """Return the name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def _needs_token(path: str) -> bool:
    if path in OPEN_PATHS or path.startswith(OPEN_FOLDERS):
        return False
    return path.startswith(("/v1/", *SIGNALLING)) or path == "/metrics"


def _split(url: str) -> tuple[str, str, int] | None:
    """Return scheme, name and port of an origin; None for what is none, as "null"."""
    try:
        parts = urlsplit(url.lower())
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return None
    name = parts.hostname
    return None if name is None else (parts.scheme, name.removesuffix("."), port)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
