"""UDP ports from a range, for containers and firewalls; knows no WebRTC."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Any  # Any: whatever create_datagram_endpoint takes and gives

from streamgen.errors import ConfigError

Endpoint = tuple[asyncio.DatagramTransport, asyncio.BaseProtocol]


def limit_ports(loop: asyncio.AbstractEventLoop, first: int, last: int) -> None:
    """Have every datagram socket of this loop that asks for any port get one of first..last.

    aiortc has no such setting; its ICE agent asks for port 0 of each local address.
    """
    if not 1024 <= first <= last <= 65535:
        raise ConfigError(f"UDP ports {first}-{last}: choose two of 1024 to 65535, lower first")
    opened = loop.create_datagram_endpoint
    ports = _Ports(first, last)

    async def from_range(
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        local_addr: tuple[str, int] | None = None,
        *rest: Any,
        **named: Any,
    ) -> Endpoint:
        if not isinstance(local_addr, tuple) or local_addr[1] != 0:
            return await opened(protocol_factory, local_addr, *rest, **named)
        for port in ports.in_turn():
            try:
                return await opened(protocol_factory, (local_addr[0], port), *rest, **named)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, f"no UDP port of {first}-{last} is free")

    loop.create_datagram_endpoint = from_range  # type: ignore[assignment]  # narrower on purpose


class _Ports:
    """Goes round a range, so that a port rests before it is used again."""

    def __init__(self, first: int, last: int) -> None:
        self._first, self._count = first, last - first + 1
        self._next = 0

    def in_turn(self) -> list[int]:
        start = self._next
        self._next = (start + 1) % self._count
        return [self._first + (start + step) % self._count for step in range(self._count)]
