"""A screen, or a part of one, as a source; knows no system, the library mss does."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Protocol

import numpy as np
from av.video.frame import VideoFrame

from streamgen.errors import SourceError
from streamgen.frame import Colour, Frame, Pixels, Stamp, VideoInfo
from streamgen.sources.colour import guess_matrix
from streamgen.sources.convert import Converter, Stance
from streamgen.sources.geometry import Rect, Size, place
from streamgen.sources.live import TIME_BASE, Arrivals
from streamgen.sources.protocol import Source, SourceOptions
from streamgen.sources.query import read_query, read_rate, refuse_rate

if TYPE_CHECKING:
    from mss import MSS

logger = logging.getLogger(__name__)

INSTALL = "pip install 'streamgen[screen]'"
_IN_A_SESSION = "run it in a desktop session (on macOS, allow Screen Recording to the terminal)"


class Grabber(Protocol):
    """What takes pictures of the screen; made and used by one thread."""

    def monitors(self) -> Sequence[Rect]:
        """Return where the monitors lie, the first one being all of them together."""
        ...

    def grab(self, part: Rect) -> Pixels:
        """Return what is on that part: uint8 [H, W, 3] BGR, H and W those of the device."""
        ...

    def close(self) -> None: ...


def open_screen(
    location: str, options: SourceOptions, *, grabber: Callable[[], Grabber] | None = None
) -> ScreenSource:
    """Open screen:1?region=0,0,640x480&rate=30; without a number the first monitor.

    grabber: makes what takes the pictures; None is mss, which must be installed.
    """
    name, _, query = location.partition("?")
    refuse_rate(name, options)
    asked = read_query(name, query, {"region": "", "rate": "30"})
    rate = read_rate(asked["rate"], location)
    grabber = grabber or open_mss
    eye = grabber()
    try:
        monitor = _monitor(name.removeprefix("screen:"), eye.monitors())
        part = _region(asked["region"], monitor) if asked["region"] else monitor
        height, width = eye.grab(part).shape[:2]
    finally:
        eye.close()
    return ScreenSource(part, Size(width, height), rate=rate, options=options, grabber=grabber)


class ScreenSource(Source):
    """A picture of the screen at each tick of its rate; a tick that is missed is left out."""

    def __init__(
        self,
        part: Rect,
        given: Size,
        *,
        rate: Fraction,
        options: SourceOptions,
        grabber: Callable[[], Grabber],
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """given: pixels of the part. wait: waits for seconds, returns True if it is to end here."""
        target = options.target(given)
        self.info = VideoInfo(
            width=target.width,
            height=target.height,
            rate=rate,
            time_base=TIME_BASE,
            frame_count=None,
            colour=Colour(matrix=guess_matrix(target.width, target.height)),
        )
        self.content = place(given, target, fit=options.fit).content
        self.audio: Path | None = None
        self._part = part
        self._every_ns = int(1_000_000_000 / rate)
        self._converter = Converter(target, fit=options.fit)
        self._clock = options.clock
        self._grabber = grabber
        self._is_interrupted = Event()
        self._wait = wait or self._is_interrupted.wait

    def frames(self) -> Iterator[Frame]:
        """Yield pictures until interrupted."""
        eye = self._grabber()  # by the thread that reads, as some systems want it
        try:
            arrivals, index, due_ns = Arrivals(), 0, self._clock()
            while not self._is_interrupted.is_set():
                ingest_ns = self._clock()
                picture = VideoFrame.from_ndarray(eye.grab(self._part), format="bgr24")
                pixels = self._converter.convert(picture, Stance())
                stamp = Stamp(
                    index=index,
                    pts=arrivals.pts(ingest_ns),
                    time_base=TIME_BASE,
                    ingest_ns=ingest_ns,
                    capture_ns=ingest_ns,
                )
                yield Frame(pixels=pixels, stamp=stamp)
                index, now = index + 1, self._clock()
                due_ns += max(1, -(-(now - due_ns) // self._every_ns)) * self._every_ns
                if self._wait((due_ns - now) / 1e9):
                    return
        finally:
            eye.close()

    def interrupt(self) -> None:
        """Take no further picture."""
        self._is_interrupted.set()

    def close(self) -> None:
        """Take no further picture."""
        self._is_interrupted.set()


def open_mss(environ: Mapping[str, str] = os.environ) -> Grabber:
    """Open the screen by mss; SourceError says what is missing."""
    try:
        from mss import MSS, ScreenShotError
    except ImportError as error:
        raise SourceError(f"screen: needs the library mss: {INSTALL}") from error
    if environ.get("XDG_SESSION_TYPE") == "wayland":
        logger.warning("this is a Wayland session, which shows programs a black screen; use X11")
    try:
        return _MssGrabber(MSS())
    except (ScreenShotError, OSError) as error:
        raise SourceError(f"screen: cannot be seen from here: {error}; {_IN_A_SESSION}") from error


class _MssGrabber:
    def __init__(self, library: MSS) -> None:
        self._library = library

    def monitors(self) -> list[Rect]:
        return [
            Rect(each["left"], each["top"], each["width"], each["height"])
            for each in self._library.monitors
        ]

    def grab(self, part: Rect) -> Pixels:
        from mss import ScreenShotError

        box = (part.x, part.y, part.x + part.width, part.y + part.height)
        try:
            shot = self._library.grab(box)
        except ScreenShotError as error:
            raise SourceError(f"screen: cannot be seen any more: {error}") from error
        bgrx = np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)
        return np.ascontiguousarray(bgrx[..., :3])  # the fourth is not always opaque

    def close(self) -> None:
        self._library.close()


def _monitor(text: str, monitors: Sequence[Rect]) -> Rect:
    """Find a monitor; "" is the first one, "all" is all of them together."""
    numbers = {str(number): each for number, each in enumerate(monitors) if number}
    found = {"": numbers.get("1", monitors[0]), "all": monitors[0], **numbers}.get(text)
    if found is None:
        there = ", ".join(f"screen:{key} ({show(each)})" for key, each in numbers.items())
        raise SourceError(f"input 'screen:{text}': there are screen:all, {there}")
    return found


def _region(text: str, monitor: Rect) -> Rect:
    """Read x,y,WxH, in the coordinates of the monitor."""
    match = re.fullmatch(r"(\d{1,5}),(\d{1,5}),(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise SourceError(f"region {text!r}: write x,y,WxH as in 0,0,640x480")
    x, y, width, height = map(int, match.groups())
    fits = x + width <= monitor.width and y + height <= monitor.height
    if not fits or width < 1 or height < 1:
        raise SourceError(f"region {text!r}: lies beyond the screen of {show(monitor)}")
    return Rect(monitor.x + x, monitor.y + y, width, height)


def show(monitor: Rect) -> str:
    """Return the size of a monitor, and where it lies if that is not the corner."""
    place = f" at {monitor.x},{monitor.y}" if monitor.x or monitor.y else ""
    return f"{monitor.width}x{monitor.height}{place}"
