"""The application: routes behind the guard, and what runs from its start to its end.

    request ─▶ counted ─▶ guard (host, origin, token, rates) ─▶ body cap ─▶ routes ─▶ page

Knows neither models nor peers: `backstage` brings those.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server import refusals
from server.api import make_router
from server.edge import Backstage, Edge
from server.limits import BodyCap, Turnstile
from server.metrics import Metrics, SeatMetrics, watch_lag
from server.pages import PageFiles, find_page
from server.security import Doors, Guard
from server.settings import Settings
from streamgen import __version__
from streamgen.errors import StreamgenError

logger = logging.getLogger(__name__)

_METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS")
#: Opens what draws and what speaks WebRTC, and closes it again.
Start = Callable[[Edge], AbstractAsyncContextManager[Backstage]]


class Site:
    """An ASGI application, and the edge that its requests are answered from.

    Its lifespan is an ordinary context, which whoever runs it enters; ASGI's own is not used.
    """

    def __init__(self, edge: Edge, api: FastAPI, *, start: Start) -> None:
        self.edge = edge
        self.api = api
        self._start = start
        self._entry = Counted(_guarded(edge, api), metrics=edge.metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._entry(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[Edge]:
        """Start what is behind the requests; end it on every path."""
        edge = self.edge
        async with self._start(edge) as backstage:
            edge.begin(backstage.sessions)
            edge.metrics.watch(
                SeatMetrics(
                    seats=backstage.sessions.seats,
                    states=backstage.sessions.states,
                    restarts=backstage.restarts,
                    streams=backstage.sessions.streams,
                )
            )
            tasks = [
                asyncio.create_task(_until_warm(edge, backstage), name="warm-up"),
                asyncio.create_task(watch_lag(edge.metrics, clock=time.monotonic), name="lag"),
            ]
            try:
                yield edge
            finally:
                await _end(tasks)


def make_app(settings: Settings, *, start: Start, page: Path | None = None) -> Site:
    """Return the application; start: brings sessions. page: its folder, else the one shipped."""
    edge = Edge(settings, Metrics())
    api = FastAPI(
        title="streamgen",
        version=__version__,
        summary="A live picture in, the same picture redrawn by a diffusion model out.",
        openapi_url="/v1/openapi.json",
        # Their scripts come from elsewhere, which the content security policy does not allow.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    refusals.install(api)
    offers = Turnstile(settings.rates.offers, clock=time.monotonic)
    api.include_router(make_router(edge, offers=offers))
    folder = page or find_page()
    if folder is not None:
        api.mount("/", PageFiles(folder), name="page")
    return Site(edge, api, start=start)


class Counted:
    """Counts answers by route, not by address; also those that no route gave."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # no web sockets here, and no lifespan
        began, status = time.monotonic(), 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            self._metrics.answered(
                method=scope["method"] if scope["method"] in _METHODS else "other",
                route=getattr(scope.get("route"), "path", None) or "none",
                status=status,
                seconds=time.monotonic() - began,
            )


def _guarded(edge: Edge, api: ASGIApp) -> Guard:
    rates = edge.settings.rates
    return Guard(
        BodyCap(api),
        doors=Doors.of(edge.settings, edge.passes),
        calls=Turnstile(rates.calls, clock=time.monotonic),
        wrong_tokens=Turnstile(rates.wrong_tokens, clock=time.monotonic),
        notes=edge.metrics,
    )


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks, and tell of those that had ended before for a reason of their own."""
    for task in tasks:
        task.cancel()
    for done in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(done, Exception):
            logger.error("a task of the server broke", exc_info=done)


async def _until_warm(edge: Edge, backstage: Backstage) -> None:
    """Wait for the model's first picture; what it cannot do ends the server."""
    try:
        await backstage.warm_up()
    except StreamgenError as error:
        edge.fail(error)
    else:
        edge.be_ready()
