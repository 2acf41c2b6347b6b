"""Measures the whole way of a frame: decoded picture → RGB at the model's size → uint8 redrawn.

    for every frame:  convert ─▶ [ tick: encode ─▶ denoise ─▶ decode ]      one after the other

Nothing is skipped and nothing overlaps; reading and writing of files are no part of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from benchmarks.clip import Clip
from benchmarks.energy import Meter
from streamgen.controls import Controls
from streamgen.frame import Frame, Stamp
from streamgen.metrics import Percentiles, StageClock
from streamgen.models.engines import Engines
from streamgen.pipeline import Pipeline
from streamgen.sources import Size
from streamgen.sources.convert import Converter

logger = logging.getLogger(__name__)

_TIME_BASE = Fraction(1, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured: `runs` times `frames`, after `warmup` frames that do not count."""

    frames: int
    runs: int
    warmup: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run took.

    denoised: frames that the model itself worked on. delay_frames: how many frames later than its
    own input the last picture came out. joules: None where nobody counted them.
    """

    frames: int
    denoised: int
    delay_frames: int
    seconds: float
    frame_ms: Percentiles
    stages: Mapping[str, Percentiles]
    joules: float | None = None

    @property
    def fps(self) -> float:
        return self.frames / self.seconds


class FramePath:
    """One stream and everything that its frames pass."""

    def __init__(
        self,
        engines: Engines,
        controls: Controls,
        *,
        clip: Clip,
        meter: Meter | None = None,
        now_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.clip = clip
        self.meter = meter
        self.now_ns = now_ns
        self.stages = StageClock(now_ns)
        self.whole = StageClock(now_ns)
        self.pipeline = Pipeline(engines, self.stages)
        self.stream = self.pipeline.open_stream("bench", controls)
        size = Size(engines.config.width, engines.config.height)
        self.converter = Converter(size, fit="crop")

    def redraw(self, number: int) -> list[Frame]:
        """Put in one picture of the clip and return those that came to their end."""
        now = self.now_ns()
        self.whole.start()
        self.stages.start()
        pixels = self.converter.convert(self.clip.picture(number), self.clip.stance)
        self.stages.lap("convert")
        stamp = Stamp(index=number, pts=number, time_base=_TIME_BASE, ingest_ns=now)
        answers = self.pipeline.tick([self.stream], [Frame(pixels=pixels, stamp=stamp)], now)
        self.whole.lap("frame")
        return [answer.frame for answer in answers]

    def run(self, frames: int) -> Run:
        """Redraw a number of pictures and return what it took."""
        self.pipeline.flush([self.stream])
        self.stages.clear()
        self.whole.clear()
        if self.meter is not None:
            self.meter.start()
        began = self.now_ns()
        delay_frames = 0
        for number in range(frames):
            for drawn in self.redraw(number):
                delay_frames = number - drawn.stamp.index
        seconds = (self.now_ns() - began) / 1e9
        joules = None if self.meter is None else self.meter.stop()
        [frame_ms] = self.whole.summary().values()
        is_drawn = bool(self.stream.revision.levels)  # strength 0 passes the autoencoder only
        return Run(
            frames=frames,
            denoised=len(self.stages.laps_ms["denoise"]) if is_drawn else 0,
            delay_frames=delay_frames,
            seconds=seconds,
            frame_ms=frame_ms,
            stages={**self.stages.summary(), "frame": frame_ms},
            joules=joules,
        )


def measure(
    paths: Mapping[str, FramePath],
    plan: Plan,
    *,
    after_turn: Callable[[], object] = lambda: None,
) -> dict[str, list[Run]]:
    """Warm up, then run each path as often as planned, in turns so that all meet the same load.

    after_turn: called when each path had its turn; others may have theirs there.
    """
    for path in paths.values():
        for number in range(plan.warmup):
            path.redraw(number)
        path.pipeline.flush([path.stream])
    runs: dict[str, list[Run]] = {name: [] for name in paths}
    for number in range(1, plan.runs + 1):
        for name, path in paths.items():
            runs[name].append(path.run(plan.frames))
            logger.info("%s, run %d of %d: %.1f fps", name, number, plan.runs, runs[name][-1].fps)
        after_turn()
    return runs


def median_run(runs: Sequence[Run]) -> Run:
    """Return the run in the middle by fps, the slower one of two."""
    return sorted(runs, key=lambda run: run.fps)[(len(runs) - 1) // 2]
