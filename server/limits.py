"""How much one client may ask for: token buckets by address, caps on what a body may hold.

Buckets are plain arithmetic on a clock that is given to them; no threads, no timers, and a table
that does not grow. Knows nothing of what is asked for.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.refusals import Refusal

MAX_BODY_BYTES = 64 * 1024
BODY_S = 10.0
#: Addresses that are remembered; the one that asked longest ago makes room.
MAX_KEYS = 10_000
_WITH_BODY = ("POST", "PATCH", "PUT", "DELETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many in a minute on the average, and `burst` of them at once."""

    per_minute: float
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What one address may do: open sessions, call the API at all, and be wrong about the token."""

    offers: Rate = Rate(per_minute=30, burst=15)
    calls: Rate = Rate(per_minute=1200, burst=300)
    wrong_tokens: Rate = Rate(per_minute=10, burst=10)


#: Where only programs of this machine can ask, which all have the same address.
LOOPBACK_RATES = Rates(
    offers=Rate(per_minute=1200, burst=200), calls=Rate(per_minute=12_000, burst=2000)
)


class Bucket:
    """Tokens that come back with time."""

    __slots__ = ("_at_s", "_rate", "_tokens")

    def __init__(self, rate: Rate, now_s: float) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at_s = now_s

    def take(self, now_s: float) -> bool:
        """Take a token; False where there is none."""
        gained = (now_s - self._at_s) * self._rate.per_minute / 60
        self._tokens = min(self._tokens + gained, float(self._rate.burst))
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Turnstile:
    """One bucket for every address."""

    def __init__(self, rate: Rate, *, clock: Callable[[], float], max_keys: int = MAX_KEYS) -> None:
        self._rate = rate
        self._clock = clock
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def admits(self, address: str) -> bool:
        """Let one through, or not."""
        now, key = self._clock(), network_of(address)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._rate, now)
            if len(self._buckets) > self._max_keys:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket.take(now)

    @property
    def retry_s(self) -> int:
        """After how long one more is let through, for somebody who has used up everything."""
        return max(round(60 / self._rate.per_minute), 1)

    def __len__(self) -> int:
        return len(self._buckets)


def network_of(address: str) -> str:
    """Return what one client can be told by: its IPv4 address, the /64 of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def check_plain(value: object, most_nested: int) -> None:
    """Raise ValueError for JSON that is nested deeper than that, or holds NaN or infinity."""
    _check_plain(value, most_nested, left=most_nested)


def _check_plain(value: object, most_nested: int, *, left: int) -> None:
    if left < 0:
        raise ValueError(f"nested deeper than {most_nested}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number that can be used")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        _check_plain(each, most_nested, left=left - 1)


class BodyCap:
    """Reads a body whole before the application sees any of it: not too much, not too slowly."""

    def __init__(
        self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES, patience_s: float = BODY_S
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
            await self._app(scope, receive, send)
            return
        try:
            self._check_announced(scope)
            async with asyncio.timeout(self._patience_s):
                body = await self._read(receive)
        except Refusal as refusal:
            await refusal.response(scope, receive, send)
            return
        except TimeoutError:
            slow = Refusal(408, "too-slow", f"The body took more than {self._patience_s:g} s.")
            await slow.response(scope, receive, send)
            return
        if body is not None:  # the client is still there
            await self._app(scope, _replay(body, receive), send)

    def _check_announced(self, scope: Scope) -> None:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._max_bytes:
                raise self._too_large()

    async def _read(self, receive: Receive) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> Refusal:
        return Refusal(
            413, "too-large", f"The body is too large: {self._max_bytes} bytes are allowed."
        )


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once and then whatever comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
