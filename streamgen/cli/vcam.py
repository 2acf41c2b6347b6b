"""`streamgen vcam`: what a server redraws, as a camera of this machine."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from types import FrameType

from av.video.frame import VideoFrame

from server.aiortc_tuning import Tuning, install
from server.whep_client import Find, newest_stream, watch
from server.whep_http import Http, check_url
from streamgen.cli.parser import whole_number
from streamgen.sinks.virtual_camera import CameraOptions, VirtualCamera, try_device
from streamgen.slot import Slot

#: For containers and companions, as the arguments of a process can be read by others.
TOKEN_VARIABLE = "STREAMGEN_TOKEN"
#: How long the last picture is held where no new one comes: then the camera goes black.
HOLD_S = 5.0

Wait = Callable[[float], bool]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--whep", metavar="URL", help="of a stream: http://HOST:7860/whep/STREAM")
    place.add_argument(
        "--server", metavar="URL", help="whose newest stream is shown: http://HOST:7860"
    )
    add("--token", metavar="TEXT", help=f"of the server, or a pass; else {TOKEN_VARIABLE}")
    add(
        "--certificate",
        type=Path,
        metavar="FILE",
        help="in PEM: of the server, or of its authority, where this machine does not know it",
    )
    add("--device", metavar="NAME", help="as /dev/video7; the first one by default")
    add("--backend", metavar="NAME", help="v4l2loopback, obs or unitycapture; what is here")
    add("--fps", type=whole_number(1, 120), default=30, metavar="N", help="30 by default")
    # Ends with the program at the other end of stdin, however that one ends.
    add("--until-stdin-ends", action="store_true", help=argparse.SUPPRESS)


def execute(args: argparse.Namespace) -> int:
    """Show the stream until Ctrl-C or SIGTERM, and whenever it is there; return 0."""
    http, find = place_of(args, os.environ)
    options = CameraOptions(fps=args.fps, device=args.device, backend=args.backend)
    try_device(options)
    install(Tuning())
    say = partial(print, flush=True)
    say("Waits for the stream. Ctrl-C stops.")
    asyncio.run(_until_told(http, find, VirtualCamera(options, say=say), args=args, say=say))
    return 0


def place_of(args: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Http, Find]:
    """Return how and where to ask; ConfigError for what is no address, token or certificate."""
    url: str = args.whep or args.server
    check_url(url, "--whep" if args.whep else "--server")
    http = Http(token=args.token or environ.get(TOKEN_VARIABLE), certificate=args.certificate)
    http.check()

    async def given() -> str:
        return url

    return http, given if args.whep else partial(newest_stream, http, url)


async def show(
    http: Http, find: Find, camera: VirtualCamera, *, fps: int, say: Callable[[str], None]
) -> None:
    """Have a camera show what is found until this is cancelled; raise where that is vain."""
    slot: Slot[VideoFrame] = Slot()
    is_over = Event()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "camera") as pool:
        showing = loop.run_in_executor(
            pool, partial(project, slot, camera, fps=fps, wait=is_over.wait)
        )
        watching = asyncio.create_task(watch(http, find, slot.put, say=say), name="watch")
        try:
            done, _ = await asyncio.wait({showing, watching}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            is_over.set()
            watching.cancel()
            await asyncio.gather(showing, watching, return_exceptions=True)


def project(
    slot: Slot[VideoFrame],
    camera: VirtualCamera,
    *,
    fps: int,
    wait: Wait,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Show the newest picture at each tick of a clock of its own; a tick missed is left out.

    Programs want a steady camera, so that a picture stays until there is a newer one.
    wait: waits for seconds, returns True if it is to end here.
    """
    shown: VideoFrame | None = None
    due_s = came_s = clock()
    try:
        while not wait(max(0.0, due_s - clock())):
            now_s = clock()
            newest = slot.take()
            if newest is not None:
                shown, came_s = newest, now_s
            if shown is not None and now_s - came_s <= HOLD_S:
                camera.show(shown)
            else:
                camera.show_black()
            due_s = max(due_s + 1 / fps, now_s)
    finally:
        camera.close()


async def _until_told(
    http: Http,
    find: Find,
    camera: VirtualCamera,
    *,
    args: argparse.Namespace,
    say: Callable[[str], None],
) -> None:
    """Show until a signal comes, or until stdin ends where that was asked for."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def stop() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(told.set)

    if args.until_stdin_ends:
        Thread(target=_read_to_end, args=(stop,), name="stdin", daemon=True).start()
    showing = asyncio.create_task(show(http, find, camera, fps=args.fps, say=say), name="show")
    stopping = asyncio.create_task(told.wait(), name="stop")
    with _signals(stop):
        await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not showing.done():
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
            return
    showing.result()


def _read_to_end(then: Callable[[], None]) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    then()


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM stop it gently; only the main thread gets any."""
    if current_thread() is not main_thread():
        yield
        return

    def take(number: int, frame: FrameType | None) -> None:
        stop()

    before = {each: signal.signal(each, take) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
