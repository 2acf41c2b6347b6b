from __future__ import annotations

import numpy as np
import pytest

from streamgen.control_schema import controls_from
from streamgen.drawing import Drawing
from streamgen.frame import Blank, Frame
from streamgen.pipeline import Pipeline


@pytest.fixture
def draw_all(small_engines):
    def draw(frames, *, frame_buffer=1, has_picture=True, **controls):
        pipeline = Pipeline(small_engines(reads_picture=has_picture))
        stream = pipeline.open_stream("one", controls_from(controls), has_picture=has_picture)
        drawing = Drawing(pipeline, stream, frame_buffer=frame_buffer, clock=lambda: 0)
        pairs = [pair for frame in frames for pair in drawing.draw(frame)]
        return pairs + drawing.finish(), stream

    return draw


def indices(pairs):
    return [pair.drawn.stamp.index for pair in pairs]


@pytest.mark.parametrize("frame_buffer", [1, 3])
@pytest.mark.parametrize("steps", [1, 4])
def test_every_frame_is_answered_once_in_order_beside_its_input(
    draw_all, numbered_frame, steps, frame_buffer
):
    frames = [numbered_frame(index) for index in range(10)]
    pairs, _ = draw_all(frames, steps=steps, frame_buffer=frame_buffer)
    assert indices(pairs) == list(range(10))
    assert all(pair.given is frame for pair, frame in zip(pairs, frames, strict=True))


@pytest.mark.parametrize("frame_buffer", [1, 4])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_skipped_frame_repeats_the_picture_before_it(
    draw_all, numbered_frame, steps, frame_buffer
):
    moving = [numbered_frame(index) for index in range(3)]
    still = [
        Frame(pixels=numbered_frame(3).pixels, stamp=numbered_frame(index).stamp)
        for index in range(3, 9)
    ]
    frames = [*moving, *still, numbered_frame(9)]
    asked = {"steps": steps, "similarity_filter": "on", "max_skip_frame": 50}

    pairs, stream = draw_all(frames, frame_buffer=frame_buffer, **asked)

    assert indices(pairs) == list(range(10))
    assert (stream.gate.drawn, stream.gate.skipped) == (5, 5)
    assert all(np.array_equal(pair.drawn.pixels, pairs[3].drawn.pixels) for pair in pairs[3:9])
    assert not np.array_equal(pairs[9].drawn.pixels, pairs[8].drawn.pixels)


def test_words_alone_need_only_stamps(draw_all, numbered_frame):
    frames = [numbered_frame(index) for index in range(4)]
    pairs, _ = draw_all(frames, has_picture=False, strength=1.0, steps=2, noise="fresh")
    assert indices(pairs) == [0, 1, 2, 3]
    assert all(isinstance(pair.given, Blank) for pair in pairs)
    assert not np.array_equal(pairs[0].drawn.pixels, pairs[1].drawn.pixels)
