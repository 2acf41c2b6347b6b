"""What runs behind the requests: the drawing process, WebRTC and its sessions, their thread pools.

Nothing that converts, encodes or waits runs on the event loop. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from fractions import Fraction

import numpy as np

from server.aiortc_tuning import Tuning, install, limit_ports
from server.desk import Desk
from server.edge import Backstage, Edge
from server.sessions import Sessions
from server.settings import Settings
from streamgen.child import ChildOptions
from streamgen.config import StreamConfig
from streamgen.errors import ModelError, StreamgenError
from streamgen.frame import Frame, Stamp
from streamgen.process import child_threads
from streamgen.sources.geometry import Size

logger = logging.getLogger(__name__)

LOOK_S = 0.1
#: How often the drawing process is asked whether it is there.
PULSE_S = 2.0
#: A stream more than there are seats, as one that changes its size has two for a moment.
SPARE_STREAMS = 2
#: Of the drawing process, until its first picture.
MOST_RESTARTS = 2
_WARM_UP = "warm-up"


@asynccontextmanager
async def open_backstage(edge: Edge) -> AsyncIterator[Backstage]:
    """Start everything; end it, the drawing process last, on every path."""
    settings, loop = edge.settings, asyncio.get_running_loop()
    install(Tuning())
    if settings.udp_ports is not None:
        limit_ports(loop, *settings.udp_ports)
    # aiortc encodes in the loop's default pool: nothing else may wait there.
    loop.set_default_executor(ThreadPoolExecutor(2, "encode"))
    async with AsyncExitStack() as stack:
        pictures = stack.enter_context(ThreadPoolExecutor(2, "pictures"))
        desk_pool = stack.enter_context(ThreadPoolExecutor(4, "desk"))
        desk = Desk(_child_options(settings), desk_pool)
        stack.push_async_callback(desk.end)
        await desk.start()
        sessions = Sessions(
            desk,
            settings.rules(),
            pictures,
            stage=edge.metrics.stage,
            recordings=settings.recording,
        )
        stack.push_async_callback(sessions.end)
        pulse = asyncio.create_task(_watch(edge, desk), name="pulse")
        stack.callback(pulse.cancel)
        config = settings.rules().config(settings.size)
        yield Backstage(
            sessions=sessions,
            warm_up=lambda: warm_up(desk, config, size=settings.size),
            restarts=lambda: desk.restarts,
        )


async def warm_up(desk: Desk, config: StreamConfig, *, size: Size) -> None:
    """Have one picture drawn, so that nobody waits for that; ModelError where it fails."""
    began = time.monotonic()
    is_drawn = asyncio.Event()
    desk.subscribe(_WARM_UP, lambda frame: is_drawn.set())
    await desk.open(_WARM_UP, config, {})
    try:
        frames = 0
        while not is_drawn.is_set():
            status = await desk.status(_WARM_UP)
            if status["state"] == "failed":
                raise ModelError(status["failure"])
            if desk.restarts > MOST_RESTARTS:
                raise ModelError(f"{config.model}: its process ended {desk.restarts} times")
            if status["state"] == "live" and not status["under_way"]:
                desk.put(_WARM_UP, _grey(size, frames))
                frames += 1
            await asyncio.sleep(LOOK_S)
    finally:
        await desk.close(_WARM_UP)
    logger.info("the model is ready after %.1f s", time.monotonic() - began)
    for group in await desk.groups():
        if group["motion"] is not None:
            logger.info("%s: %s", config.model, group["motion"])


def _child_options(settings: Settings) -> ChildOptions:
    given = {} if settings.make_worker is None else {"make_worker": settings.make_worker}
    return ChildOptions(
        threads=child_threads(),
        max_streams=settings.max_sessions + SPARE_STREAMS,
        min_fps=0.0,
        lora_places=tuple(map(str, settings.loras)),
        **given,
    )


def _grey(size: Size, index: int) -> Frame:
    stamp = Stamp(
        index=index, pts=index, time_base=Fraction(1, 90_000), ingest_ns=time.monotonic_ns()
    )
    pixels = np.full((size.height, size.width, 3), 128, np.uint8)
    return Frame(pixels=pixels, stamp=stamp)


async def _watch(edge: Edge, desk: Desk) -> None:
    """Ask the drawing process for a sign of life, again and again."""
    while True:
        try:
            await desk.groups()
            is_alive = True
        except StreamgenError:
            is_alive = False
        if edge.phase == "ready" and is_alive != edge.is_model_alive:
            edge.is_model_alive = is_alive
            edge.metrics.say_ready(is_alive)
            logger.log(
                logging.INFO if is_alive else logging.WARNING,
                "the model process %s",
                "answers again" if is_alive else "does not answer",
            )
        await asyncio.sleep(PULSE_S)
