"""Pictures between a peer and a stream: decoded frames in, RGB of one size; and the way back.

Knows no tracks and no sessions; what is slow here runs in the pool it is given.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from fractions import Fraction
from typing import TypedDict, Unpack

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from server.aiortc_tuning.encoding import BT601_MATRIX, tag
from server.barcode import Numbers, read
from server.errors import TooLarge
from streamgen.errors import SourceError
from streamgen.frame import Frame, Pixels, Stamp
from streamgen.sources.convert import Converter, Stance
from streamgen.sources.geometry import Size, place

logger = logging.getLogger(__name__)

# So many pictures in a row above the limit, and the peer is told to go: one second of video.
TOO_LARGE_COUNT = 30
# A picture of an odd shape may be small and yet huge once it covers the stream's size.
_MAX_SCALED_PIXELS = 4096 * 4096
_BURST = 8.0
_UNKNOWN_MATRIX = 2
_RTP_TIME_BASE = Fraction(1, 90_000)
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP


def picture_of(pixels: Pixels, reformatter: VideoReformatter) -> VideoFrame:
    """Return RGB pixels [H, W, 3] as a yuv420p picture: BT.601, limited range, and tagged so.

    Odd sides are made even by repeating the last column or row. The reformatter keeps its tables
    for the next picture; one thread at a time may use it.
    """
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    picture = reformatter.reformat(
        VideoFrame.from_numpy_buffer(np.ascontiguousarray(pixels), format="rgb24"),
        format="yuv420p",
        interpolation=_EXACT,
        threads=1,
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
    )
    tag(picture)
    return picture


class InletOptions(TypedDict, total=False):
    """What an inlet may be told besides; what is left out is as in `Inlet`."""

    mirror: bool
    barcode: bool
    max_pixels: int
    max_fps: float
    clock: Callable[[], int]


@dataclass(frozen=True, slots=True)
class _Taken:
    """A decoded frame on its way, and what brings it to the size that held when it came."""

    picture: VideoFrame
    stamp: Stamp
    size: Size
    converter: Converter


class Inlet:
    """Takes the frames of one peer, keeps only the newest, and puts them into a stream.

    One frame is converted while one waits; a newer one replaces the one that waits. The picture
    covers the stream's size, and what hangs over is cropped.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool: Executor,
        size: tuple[int, int],
        put: Callable[[Frame], None],
        **options: Unpack[InletOptions],
    ) -> None:
        """put: gets each frame in a thread of the pool. mirror: flip left to right.

        barcode: read the numbers in the frames, see `number_of`. max_pixels, max_fps: what is more
        is refused, before it costs a conversion.
        """
        self.received = self.replaced = self.refused = 0
        self.last_size: tuple[int, int] | None = None
        self.last_frame_ns: int | None = None
        self._loop, self._pool, self._put = loop, pool, put
        self._mirror = options.get("mirror", False)
        self._numbers = Numbers() if options.get("barcode", False) else None
        self._max_pixels = options.get("max_pixels", 1920 * 1080)
        self._max_fps = options.get("max_fps", 60.0)
        self._clock = options.get("clock", time.monotonic_ns)
        self._born_ns = self._clock()
        self._credit = _BURST
        self._large_count = 0
        self._waiting: _Taken | None = None
        self._is_converting = False
        self._failure: BaseException | None = None
        self.resize(*size)

    def resize(self, width: int, height: int) -> None:
        """Bring frames to another size from now on; those on their way are dropped."""
        self._size = Size(width, height)
        self._converter = Converter(self._size, fit="crop")

    def number_of(self, index: int) -> int | None:
        """Return the number that was read from the frame with this index."""
        return self._numbers.of(index) if self._numbers else None

    def is_stalled(self, now_ns: int, after_s: float = 10.0) -> bool:
        """Return whether no frame has come for so long."""
        last_ns = self._born_ns if self.last_frame_ns is None else self.last_frame_ns
        return now_ns - last_ns > after_s * 1e9

    def take(self, picture: VideoFrame) -> None:
        """Take a decoded frame of any size; never waits. From the loop.

        Raises TooLarge after many frames above the limit, and what `put` raised before.
        """
        now_ns = self._clock()
        index, self.received = self.received, self.received + 1
        self.last_size = (picture.width, picture.height)
        gap_s = 1.0 if self.last_frame_ns is None else (now_ns - self.last_frame_ns) / 1e9
        self.last_frame_ns = now_ns
        if self._failure is not None:
            raise self._failure
        if not self._admits(picture, gap_s):
            self.refused += 1
            return
        stamp = Stamp(
            index=index,
            pts=picture.pts or 0,
            time_base=Fraction(picture.time_base or _RTP_TIME_BASE),
            ingest_ns=now_ns,
        )
        self.replaced += self._waiting is not None
        self._waiting = _Taken(picture, stamp, self._size, self._converter)
        if not self._is_converting:
            self._convert_next()

    def _admits(self, picture: VideoFrame, gap_s: float) -> bool:
        source = Size(picture.width, picture.height)
        scaled = place(source, self._size, fit="crop").scaled
        is_large = source.width * source.height > self._max_pixels
        if is_large or scaled.width * scaled.height > _MAX_SCALED_PIXELS:
            self._large_count += 1
            if self._large_count >= TOO_LARGE_COUNT:
                raise TooLarge(
                    f"the video is {source}: at most {self._max_pixels} pixels are taken,"
                    " of a shape that is not much longer than it is wide"
                )
            return False
        self._large_count = 0
        self._credit = min(_BURST, self._credit + gap_s * self._max_fps)
        if self._credit < 1:
            return False
        self._credit -= 1
        return True

    def _convert_next(self) -> None:
        taken, self._waiting = self._waiting, None
        self._is_converting = taken is not None
        if taken is not None:
            job = self._loop.run_in_executor(self._pool, self._convert, taken)
            job.add_done_callback(self._converted)

    def _converted(self, job: asyncio.Future[None]) -> None:
        error = None if job.cancelled() else job.exception()
        if isinstance(error, SourceError):
            self.refused += 1
            logger.debug("%s", error)
        elif error is not None:
            self._failure = error
        self._convert_next()

    def _convert(self, taken: _Taken) -> None:
        picture = taken.picture
        if picture.colorspace == _UNKNOWN_MATRIX and not picture.format.is_rgb:
            # WebRTC means BT.601 where nothing is said, whatever the size (RFC 6386, section 9.2).
            picture.colorspace = BT601_MATRIX
        pixels = taken.converter.convert(picture, Stance())
        if self._numbers is not None and (number := read(pixels)) is not None:
            self._numbers.note(taken.stamp.index, number)
        if self._mirror:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        if taken.size == self._size:
            self._put(Frame(pixels=pixels, stamp=taken.stamp))
