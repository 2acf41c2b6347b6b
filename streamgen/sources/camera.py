"""A camera as a source: the newest picture it has; knows no system, `cameras` does."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Event, Thread

import av
from av.container import InputContainer
from av.video.frame import VideoFrame

from streamgen.errors import SourceError
from streamgen.frame import Frame, Stamp, VideoInfo
from streamgen.slot import Slot
from streamgen.sources.cameras import Camera, Driver, driver_of, find_camera, refusal
from streamgen.sources.colour import colour_of
from streamgen.sources.convert import Converter, Stance
from streamgen.sources.geometry import Size, place
from streamgen.sources.live import TIME_BASE, Arrivals
from streamgen.sources.protocol import Source, SourceOptions
from streamgen.sources.query import read_query, read_rate, read_size, refuse_rate

logger = logging.getLogger(__name__)

_FIRST_PICTURE_S, _LAST_PICTURE_S = 10.0, 2.0
# A camera's own clock counts where it agrees with ours: a picture is not older than this.
_OLDEST_NS = 1_000_000_000
_DAMAGED_IN_A_ROW = 30
# avfoundation does not wait for a picture, it says that there is none yet.
_NONE_YET_S = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A decoded picture and the moment its data came."""

    picture: VideoFrame
    ingest_ns: int

    @property
    def capture_ns(self) -> int | None:
        """The camera's own clock, None where it is another one than ours."""
        if self.picture.pts is None or self.picture.time_base is None:
            return None
        capture_ns = int(self.picture.pts * self.picture.time_base * 1_000_000_000)
        return capture_ns if 0 <= self.ingest_ns - capture_ns <= _OLDEST_NS else None


def open_camera(
    location: str, options: SourceOptions, *, driver: Driver | None = None
) -> CameraSource:
    """Open camera:NAME?size=1280x720&rate=30 and wait for its first picture.

    driver: None takes that of this system.
    """
    name, _, query = location.partition("?")
    refuse_rate(name, options)
    asked = read_query(name, query, {"size": "", "rate": ""})
    size = read_size(asked["size"], location) if asked["size"] else None
    rate = read_rate(asked["rate"], location) if asked["rate"] else None
    driver = driver or driver_of(sys.platform)
    camera = find_camera(name.removeprefix("camera:"), driver)
    capture = Capture(camera, driver, clock=options.clock)
    try:
        first = capture.begin(size=str(size or ""), rate=asked["rate"])
        given = Size(first.picture.width, first.picture.height)
        if size not in (None, given):
            raise SourceError(f"camera '{camera.name}' cannot do {size}, it gives {given}")
        source = CameraSource(capture, first=first, options=options)
    except BaseException:
        capture.end()
        raise
    given_rate = source.info.rate
    if rate is not None and given_rate is not None and abs(given_rate / rate - 1) > 0.05:
        logger.warning("camera '%s' gives %.3g fps, not %s", camera.name, given_rate, rate)
    return source


class CameraSource(Source):
    """The newest picture whenever one is asked for; older ones are let go of."""

    def __init__(self, capture: Capture, *, first: Shot, options: SourceOptions) -> None:
        picture = first.picture
        self._stance = Stance()
        upright = self._stance.upright(Size(picture.width, picture.height))
        target = options.target(upright)
        self.info = VideoInfo(
            width=target.width,
            height=target.height,
            rate=capture.rate,
            time_base=TIME_BASE,
            frame_count=None,
            colour=colour_of(picture),
        )
        self.content = place(upright, target, fit=options.fit).content
        self.audio: Path | None = None
        self._capture = capture
        self._converter = Converter(target, fit=options.fit)

    def frames(self) -> Iterator[Frame]:
        """Yield new pictures until interrupted; SourceError where the camera goes away."""
        arrivals = Arrivals()
        for index, shot in enumerate(self._capture.shots):
            pixels = self._converter.convert(shot.picture, self._stance)
            stamp = Stamp(
                index=index,
                pts=arrivals.pts(shot.ingest_ns),
                time_base=TIME_BASE,
                ingest_ns=shot.ingest_ns,
                capture_ns=shot.capture_ns,
            )
            yield Frame(pixels=pixels, stamp=stamp)

    def interrupt(self) -> None:
        """Take no further picture."""
        self._capture.shots.close()

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.end()


class Capture:
    """The thread that opens a camera, reads it and closes it: only that one ever touches it.

    A camera may keep whoever asks it waiting for ever, as a virtual one does to which nobody
    sends; this way it is this thread only that waits.
    """

    def __init__(self, camera: Camera, driver: Driver, *, clock: Callable[[], int]) -> None:
        self.shots: Slot[Shot] = Slot()
        self.rate: Fraction | None = None
        self._camera = camera
        self._driver = driver
        self._clock = clock
        self._is_ended = Event()
        self._thread: Thread | None = None

    def begin(self, *, size: str, rate: str) -> Shot:
        """Open the camera and return its first picture."""
        options = self._driver.options(size=size, rate=rate)
        self._thread = Thread(target=self._run, args=(options,), name="camera", daemon=True)
        self._thread.start()
        self.shots.wait(_FIRST_PICTURE_S)
        first = self.shots.take()
        if first is None:
            raise SourceError(
                f"camera '{self._camera.name}' gives no picture within {_FIRST_PICTURE_S:g} s:"
                f" {self._driver.refused}; a virtual camera must be switched on first"
            )
        return first

    def end(self) -> None:
        """Have the camera closed."""
        self.shots.close()
        self._is_ended.set()
        if self._thread is not None:
            self._thread.join(_LAST_PICTURE_S)
            if self._thread.is_alive():
                logger.warning("camera '%s' does not answer and stays open", self._camera.name)

    def _run(self, options: list[dict[str, str]]) -> None:
        try:
            with self._open(options) as container:
                self._read(container)
            self.shots.close()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the taker gets it
            self.shots.close(error)

    def _open(self, options: list[dict[str, str]]) -> InputContainer:
        for attempt in options:
            try:
                return av.open(
                    self._camera.address, "r", format=self._driver.format, options=attempt
                )
            except (av.FFmpegError, OSError, ValueError) as error:
                logger.debug("camera '%s' with %s: %s", self._camera.name, attempt, error)
                refused = error
        raise refusal(self._camera, self._driver, refused) from refused

    def _read(self, container: InputContainer) -> None:
        if not container.streams.video:
            raise SourceError(f"camera '{self._camera.name}' gives no picture, only sound")
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"  # several frames at once would make each one late
        self.rate = stream.average_rate or stream.guessed_rate or None
        damaged, packets = 0, container.demux(stream)
        while not self.shots.is_closed:
            try:
                packet = next(packets, None)
                ingest_ns = self._clock()
                if packet is None:
                    return
                for picture in packet.decode():
                    self.shots.put(Shot(picture=picture, ingest_ns=ingest_ns))
                    damaged = 0
                continue
            except av.BlockingIOError:
                self._is_ended.wait(_NONE_YET_S)
            except av.InvalidDataError as error:
                damaged += 1
                if damaged == _DAMAGED_IN_A_ROW:
                    raise self._stopped(error) from error
            except (av.FFmpegError, OSError) as error:
                raise self._stopped(error) from error
            packets = container.demux(stream)  # an error ends it

    def _stopped(self, error: Exception) -> SourceError:
        reason = getattr(error, "strerror", None) or str(error)
        return SourceError(f"camera '{self._camera.name}' stopped ({reason}): is it connected?")
