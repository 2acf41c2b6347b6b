"""Runs a site on sockets until it is told to stop, and stops it gently: drain, close, exit.

The first signal drains, the second one ends what is left at once. Knows no routes and no models.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any  # of a coroutine, what nobody sends into it

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.app import Site
from server.edge import Edge
from streamgen.errors import ConfigError

#: What open connections are given after the draining.
GRACE_S = 2
MAX_CONNECTIONS = 512
#: Whoever connects says something in this time.
FIRST_REQUEST_S = 15.0
BACKLOG = 128
_STOPS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def run(site: Site, sockets: list[socket.socket], *, on_ready: Callable[[], None]) -> bool:
    """Serve until a signal, or until the model turns out not to be had, which raises.

    on_ready: called once the model has drawn its first picture. Returns False where somebody was
    not given the time to leave.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(site, sockets, on_ready))


def bind(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets, one for each address of a host; ConfigError where that cannot be.

    Port 0 takes any that is free.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"host {host!r} is not known: choose 127.0.0.1, 0.0.0.0 (all) or an address"
            " of this machine"
        ) from error
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            if family in (socket.AF_INET, socket.AF_INET6):
                chosen = sockets[0].getsockname()[1] if sockets else port
                sockets.append(_listening(family, str(address[0]), chosen))
    except OSError as error:
        for each in sockets:
            each.close()
        raise ConfigError(_refusal(host, port, error)) from error
    return sockets


class _Server(uvicorn.Server):
    """uvicorn's server, which goes on answering while it drains, and raises no signal anew."""

    def __init__(self, config: uvicorn.Config, edge: Edge, is_hurried: asyncio.Event) -> None:
        super().__init__(config)
        self._edge = edge
        self._is_hurried = is_hurried

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `_signals`, which holds for the start and the end, too."""
        yield

    async def main_loop(self) -> None:
        """Serve, and then drain with the doors still open, so that who asks is told."""
        serving = asyncio.create_task(super().main_loop(), name="serving")
        await self._edge.ended.wait()
        if self._edge.failure is None:
            await _unless(self._is_hurried, self._edge.drain())
        self.should_exit = True
        self.force_exit = self._is_hurried.is_set()
        await serving


class _Protocol(H11Protocol):
    """HTTP, hung up on where no request comes; h11 also bounds what headers may hold."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, and look after a while whether a request has come."""
        super().connection_made(transport)
        self.loop.call_later(FIRST_REQUEST_S, self._hang_up)

    def _hang_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


async def _serve(site: Site, sockets: list[socket.socket], on_ready: Callable[[], None]) -> bool:
    is_hurried, edge = asyncio.Event(), site.edge
    server = _Server(_config(site), edge, is_hurried)
    with _signals(edge.ended, is_hurried):
        async with site.lifespan():
            telling = asyncio.create_task(_tell(edge.warmed, on_ready), name="tell-ready")
            try:
                await server.serve(sockets)
            finally:
                telling.cancel()
    if edge.failure is not None:
        raise edge.failure
    return not is_hurried.is_set()


def _config(site: Site) -> uvicorn.Config:
    tls = site.edge.settings.tls
    return uvicorn.Config(
        site,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
        ssl_context_factory=None if tls is None else lambda config, default: tls.context(),
    )


@contextmanager
def _signals(ended: asyncio.Event, is_hurried: asyncio.Event) -> Iterator[None]:
    """Have the first signal set `ended` and each further one `is_hurried`."""
    loop = asyncio.get_running_loop()

    def take(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe((is_hurried if ended.is_set() else ended).set)

    before = {number: signal.signal(number, take) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _tell(warmed: asyncio.Event, on_ready: Callable[[], None]) -> None:
    await warmed.wait()
    on_ready()


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do some work until it is done or the event is set."""
    tasks = {asyncio.create_task(work), asyncio.create_task(event.wait())}
    done, under_way = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    for task in done:
        task.result()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's loop where it is there, else Python's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _listening(family: int, address: str, port: int) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two programs have one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use: choose another with --port, 0 takes a free one"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} is not allowed: choose one from 1024 on with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"host {host!r} is no address of this machine: choose 127.0.0.1 or 0.0.0.0"
    return f"port {port} of {host!r} cannot be listened on: {error.strerror or error}"
