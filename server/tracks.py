"""The two ends of a peer's video: what it sends is always read, what it sees is always the newest.

Knows no sessions and no model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import get_args

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from server.aiortc_tuning.encoding import EncodeReport
from server.barcode import write
from server.nouns import Output
from server.pictures import Inlet, picture_of
from streamgen.errors import ConfigError
from streamgen.frame import Frame, Pixels, Stamp

OUTPUTS: tuple[Output, ...] = get_args(Output)

# Keeps encoder, network and player awake; more would only fake a rate.
REPEAT_AFTER_S = 1.0
_TIME_BASE = Fraction(1, 90_000)


async def drain(track: MediaStreamTrack, inlet: Inlet | None) -> None:
    """Read a track to its end, however slow the rest is; without an inlet its frames are dropped.

    Upstream queues what nobody reads, without end. Raises what `Inlet.take` raises.
    """
    while True:
        try:
            picture = await track.recv()
        except MediaStreamError:
            return
        if inlet is not None and isinstance(picture, VideoFrame):
            inlet.take(picture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The way of one shown frame by one monotonic clock, in ns; pts: at 90 kHz, as it was sent.

    ingest_ns: arrived. tick_ns: taken up by the model, None where it was not. drawn_ns: the answer
    was offered. shown_ns: handed to the encoder, which took encode_ms.
    """

    pts: int
    index: int
    revision: int
    ingest_ns: int
    tick_ns: int | None
    drawn_ns: int
    shown_ns: int
    encode_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class _Offered:
    """What may be shown; stamp: None for a card, which answers no frame."""

    pixels: Pixels
    stamp: Stamp | None
    at_ns: int


def ignore_timing(timing: Timing) -> None:
    """Do nothing with it."""


class OutTrack(MediaStreamTrack):
    """What one peer sees: the newest picture of its mode, or for want of one the last again.

    Nothing comes before the first picture. Made on the loop; `show`, `show_input` and `set_mode`
    may be called from any thread and never wait.
    """

    kind = "video"

    def __init__(
        self,
        pool: Executor,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        timings: Callable[[Timing], None] = ignore_timing,
        number_of: Callable[[int], int | None] | None = None,
        repeat_after_s: float = REPEAT_AFTER_S,
    ) -> None:
        """timings: told on the loop about each new picture, once it is encoded.

        number_of: barcode to stamp on the picture that answers the frame with this index.
        """
        super().__init__()
        self.replaced = 0
        # `_loop` and `_waiting` belong to the event emitter below MediaStreamTrack.
        self._home = asyncio.get_running_loop()
        self._pool, self._clock, self._timings = pool, clock, timings
        self._number_of = number_of
        self._repeat_after_s = repeat_after_s
        self._mode: Output = "live"
        self._newest: dict[Output, _Offered] = {}
        self._shown: _Offered | None = None
        self._picture: VideoFrame | None = None
        self._is_asked_again = False
        self._changed = asyncio.Event()
        self._reformatter = VideoReformatter()
        self._born_ns = clock()
        self._last_pts = -1

    @property
    def mode(self) -> Output:
        """Redrawn, the own picture, held still, or black."""
        return self._mode

    def set_mode(self, mode: str) -> None:
        """Show something else from the next picture on; works whatever the model does."""
        for known in OUTPUTS:
            if mode == known:
                self._mode = known
                self._wake()
                return
        raise ConfigError(f"output {mode!r}: choose {', '.join(OUTPUTS)}")

    def show(self, frame: Frame) -> None:
        """Offer an answer of the model; only the newest is shown."""
        self._offer("live", frame)

    def show_input(self, frame: Frame) -> None:
        """Offer a frame as the peer sent it, for mode "bypass"."""
        self._offer("bypass", frame)

    def repeat(self) -> None:
        """Let the last picture come again at once where no newer one waits. From the loop."""
        self._is_asked_again = True
        self._changed.set()

    def stop(self) -> None:
        """End the track; whoever waits for a picture gets MediaStreamError."""
        super().stop()
        self._wake()

    async def recv(self) -> VideoFrame:
        """Return the next picture, yuv420p, its pts from the wall clock and strictly rising."""
        while self.readyState == "live":
            self._changed.clear()
            mode, due = self._mode, self._due()
            if due is None:
                if not await self._has_changed() and self._picture is not None:
                    return self._again(self._picture)
                continue
            picture = await self._home.run_in_executor(self._pool, self._paint, due)
            if self._mode == mode:  # black means black, also for what was being converted
                return self._hand_out(picture, due)
        raise MediaStreamError

    def _offer(self, mode: Output, frame: Frame) -> None:
        waiting = self._newest.get(mode)
        if mode == self._mode and waiting is not None and waiting is not self._shown:
            self.replaced += 1
        self._newest[mode] = _Offered(frame.pixels, frame.stamp, self._clock())
        if mode == self._mode or (self._mode == "black" and "black" not in self._newest):
            self._wake()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._home.call_soon_threadsafe(self._changed.set)

    def _due(self) -> _Offered | None:
        """Return what is to be shown now; None where the last picture stays."""
        if self._mode == "black":
            self._make_card()
        due = self._newest.get(self._mode)
        return None if due is self._shown else due

    def _make_card(self) -> None:
        """Have a black card of the size of the pictures, once one is known."""
        known = self._newest.get("live") or self._newest.get("bypass")
        card = self._newest.get("black")
        if known and (card is None or card.pixels.shape != known.pixels.shape):
            black = np.zeros_like(known.pixels)
            self._newest["black"] = _Offered(black, None, self._clock())

    async def _has_changed(self) -> bool:
        """Wait for something new; False when it is time to repeat the last picture."""
        timeout_s = None if self._picture is None else self._repeat_after_s
        if self._is_asked_again and self._picture is not None:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                return await self._changed.wait()
        except TimeoutError:
            return False

    def _paint(self, offered: _Offered) -> VideoFrame:
        pixels, number = offered.pixels, None
        if self._number_of is not None and offered.stamp is not None:
            number = self._number_of(offered.stamp.index)
        if number is not None:
            pixels = pixels.copy()
            write(pixels, number)
        return picture_of(pixels, self._reformatter)

    def _hand_out(self, picture: VideoFrame, offered: _Offered) -> VideoFrame:
        self._picture, self._shown = picture, offered
        self._set_time(picture)
        if offered.stamp is not None:
            self._ask_for_timing(picture, offered, offered.stamp)
        return picture

    def _again(self, picture: VideoFrame) -> VideoFrame:
        self._set_time(picture)
        picture.opaque = None
        return picture

    def _set_time(self, picture: VideoFrame) -> None:
        wall = (self._clock() - self._born_ns) * 90_000 // 1_000_000_000
        self._last_pts = max(wall, self._last_pts + 1)
        picture.pts, picture.time_base = self._last_pts, _TIME_BASE
        self._is_asked_again = False

    def _ask_for_timing(self, picture: VideoFrame, offered: _Offered, stamp: Stamp) -> None:
        timing = Timing(
            pts=self._last_pts,
            index=stamp.index,
            revision=stamp.revision,
            ingest_ns=stamp.ingest_ns,
            tick_ns=stamp.tick_ns,
            drawn_ns=offered.at_ns,
            shown_ns=self._clock(),
        )

        def tell(encode_ms: float) -> None:
            with suppress(RuntimeError):  # the loop is closed
                told = replace(timing, encode_ms=encode_ms)
                self._home.call_soon_threadsafe(self._timings, told)

        picture.opaque = EncodeReport(tell)
