"""A LoRA trained on `tiny` in a running stream: its style appears, fades, and vanishes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from engines.cache import EngineCache
from streamgen.config import StreamConfig
from streamgen.frame import Frame, Stamp
from streamgen.lora.shelf import Shelf
from streamgen.models.engines import load_engines
from streamgen.worker import Worker

pytestmark = pytest.mark.slow

CONFIG = StreamConfig(
    model="tiny", width=256, height=256, backend="torch", precision="fp32", swaps_weights=True
)


class Show:
    """A stream that is fed without end: every frame has its picture, whatever is changed."""

    def __init__(self, worker, executor, frames):
        self.worker, self.executor, self.frames = worker, executor, frames
        self.count = 0
        worker.open("show", CONFIG, {"prompts": "", "temporal_strength": 0.0})
        self.told()

    def told(self):
        """Return the status once the executor has done what there was to do."""
        for _ in range(4):
            self.executor.submit(lambda: None).result()
        status = self.worker.status("show")
        assert (status.state, status.failure) == ("live", None)
        return status

    def play(self, revision):
        """Draw frame after frame up to all of them with a revision; return the last ones."""
        shown = []
        while len(shown) < len(self.frames):
            pixels = self.frames[self.count % len(self.frames)]
            stamp = Stamp(
                index=self.count, pts=self.count, time_base=Fraction(1, 25), ingest_ns=self.count
            )
            self.worker.put("show", Frame(pixels=pixels, stamp=stamp))
            self.worker.tick(self.count)
            picture = self.worker.take("show")
            assert picture is not None and picture.stamp.index == self.count
            self.count += 1
            shown = [*shown, picture] if picture.stamp.revision == revision else []
        # In the order of the frames, wherever it began.
        return sorted(shown, key=lambda each: each.stamp.index % len(self.frames))

    def with_loras(self, *loras):
        revision = self.worker.patch("show", {"loras": list(loras)}).revision
        pictures = self.play(revision)
        assert self.told().control_failure is None
        return [each.pixels for each in pictures]


@pytest.fixture
def show(trained_lora, held_out_frames, tmp_path):
    frames = [(each.permute(1, 2, 0) * 255).round().byte().numpy() for each in held_out_frames]
    shelf = Shelf([trained_lora])
    load = partial(load_engines, cache=EngineCache(tmp_path), shelf=shelf)
    with ThreadPoolExecutor(1) as executor:
        yield Show(Worker(load, executor=executor), executor, frames)


def test_its_style_appears_and_vanishes_in_a_running_stream(show, held_out_frames, duotone):
    wanted = (duotone(held_out_frames).permute(0, 2, 3, 1) * 255).numpy()

    def away(pictures):
        return float(np.abs(np.stack(pictures).astype(float) - wanted).mean())

    before = [each.pixels for each in show.play(0)]
    half = show.with_loras({"name": "duotone", "scale": 0.5})
    whole = show.with_loras("duotone")
    after = show.with_loras()

    assert away(whole) < 0.3 * away(before)
    assert away(whole) < away(half) < 0.9 * away(before)
    assert np.array_equal(after, before)
    assert not any(show.worker.status("show").dropped.values())
