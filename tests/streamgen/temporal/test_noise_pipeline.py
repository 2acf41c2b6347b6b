"""Noise that moves, through the whole of a small model: on the torch backend in fp32."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.frame import Frame, Stamp
from streamgen.models.engines import load_engines
from streamgen.models.quantised import real_frames
from streamgen.pipeline import Pipeline

SIDE, COUNT = 96, 5
STAMP = Stamp(index=0, pts=0, time_base=Fraction(1, 25), ingest_ns=0)


@pytest.fixture(scope="module")
def pipeline():
    config = StreamConfig(model="tiny", width=SIDE, height=SIDE, backend="torch", precision="fp32")
    return Pipeline(load_engines(config))


@pytest.fixture(scope="module")
def frames():
    """A camera that goes over a frame of the packaged clip, six pixels at a time."""
    wide, *_ = real_frames(SIDE + 6 * COUNT, SIDE)[0]
    parts = [wide[:, 6 * k : 6 * k + SIDE].copy() for k in range(COUNT)]
    return [Frame(pixels=it, stamp=replace(STAMP, index=k)) for k, it in enumerate(parts)]


def begin(pipeline, name="one", **controls):
    asked = {"noise": "moving", "prompts": ["neon"], "strength": 1.0, **controls}
    return pipeline.open_stream(name, controls_from(asked))


def draw(pipeline, stream, frames):
    answers = [each for frame in frames for each in pipeline.tick([stream], [frame], now=0)]
    return [each.frame.pixels for each in answers + pipeline.flush([stream])]


def apart(first, second):
    return max(np.abs(a.astype(int) - b).max() for a, b in zip(first, second, strict=True))


def test_stream_batch_draws_what_sequential_draws(pipeline, frames):
    batched = draw(pipeline, begin(pipeline, steps=2), frames)
    sequential = draw(pipeline, begin(pipeline, steps=2, denoising="sequential"), frames)
    assert len(batched) == COUNT
    assert apart(batched, sequential) <= 1


def test_noise_has_moved_with_the_picture(pipeline, frames):
    stream = begin(pipeline)
    [first] = pipeline.tick([stream], frames[:1], now=0)
    start = stream.noise.take(stream.revision.controls, 1)[0].clone()
    stream.reset()
    for frame in frames:
        pipeline.tick([stream], [frame], now=0)
    now = stream.noise.moving.cells((0, 0), start)
    # 24 pixels are three cells.
    shifted = np.corrcoef(now[:, 2:-2, 1:-5].flatten(), start[:, 2:-2, 4:-2].flatten())[0, 1]
    in_place = np.corrcoef(now.flatten(), start.flatten())[0, 1]
    assert first.frame.pixels.shape == (SIDE, SIDE, 3)
    assert shifted > 0.5 > in_place


def test_after_a_reset_it_is_drawn_as_at_the_start(pipeline, frames):
    stream = begin(pipeline)
    assert apart(draw(pipeline, stream, frames), draw(pipeline, stream, frames)) == 0


def test_beside_another_stream_it_is_drawn_as_alone(pipeline, frames):
    alone = draw(pipeline, begin(pipeline), frames)
    one, other = begin(pipeline), begin(pipeline, "other", seed=4)
    shown = []
    for frame, reverse in zip(frames, frames[::-1], strict=True):
        mine, _ = pipeline.tick([one, other], [frame, reverse], now=0)
        shown.append(mine.frame.pixels)
    assert apart(alone, shown) <= 1
