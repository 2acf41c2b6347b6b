"""Memory in the pipeline: with it, streams are what they are without, and nothing comes back."""

import numpy as np
import pytest
import torch

from streamgen.control_schema import controls_from
from streamgen.frame import Frame
from streamgen.pipeline import Pipeline

LADDERS = {1: (32,), 2: (20, 40), 4: (5, 18, 30, 44)}
KEEP = {"temporal_strength": 0.7, "colour_anchor": 0.5, "prompts": "ink"}
KINDS = ("flow", "still")


def run(engines, asked, frames, *, changes=None):
    """Return pictures and latents, in order; changes: controls from a frame's number on."""
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream("one", controls_from(asked))
    engines.drawn.clear()
    answers = []
    for tick, frame in enumerate(frames):
        if changes and tick in changes:
            stream.revision = pipeline.reviser().revise(controls_from(changes[tick]), tick)
        answers += pipeline.tick([stream], [frame], 0)
    answers += pipeline.flush([stream])
    return [answer.frame.pixels for answer in answers], list(engines.drawn)


def same(ours, others, *, levels=0):
    for a, b in zip(ours, others, strict=True):
        assert np.abs(a.astype(int) - b.astype(int)).max() <= levels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 4])
def test_stream_batch_is_sequential(small_engines, panned, n, kind):
    frames = [panned(index) for index in range(8)]
    asked = {**KEEP, "temporal_motion": kind, "t_index_list": LADDERS[n]}

    batched, latents = run(small_engines(), asked, frames)
    one_by_one, others = run(small_engines(), {**asked, "denoising": "sequential"}, frames)
    without, _ = run(small_engines(), {**asked, "temporal_strength": 0.0}, frames)

    same(batched, one_by_one)
    for ours, other in zip(latents, others, strict=True):
        torch.testing.assert_close(ours, other, atol=1e-12, rtol=1e-12)
    assert any((a != b).any() for a, b in zip(batched, without, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_streams_drawn_together_are_as_alone_and_do_not_see_each_other(small_engines, panned, kind):
    asked = {**KEEP, "temporal_motion": kind, "t_index_list": LADDERS[2]}
    videos = [[panned(index, seed=seed) for index in range(6)] for seed in (1, 2)]
    alone = [run(small_engines(), asked, video)[0] for video in videos]
    pipeline = Pipeline(small_engines())
    streams = [pipeline.open_stream(name, controls_from(asked)) for name in "ab"]
    together = {stream.name: [] for stream in streams}
    answers = [a for pair in zip(*videos, strict=True) for a in pipeline.tick(streams, pair, 0)]
    for answer in [*answers, *pipeline.flush(streams)]:
        together[answer.stream.name].append(answer.frame.pixels)

    for name, wanted in zip("ab", alone, strict=True):
        same(together[name], wanted, levels=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 4])
def test_after_a_cut_the_stream_is_one_that_began_there(small_engines, panned, n, kind):
    # Opposite colours: with two small random pictures, chance alone would decide.
    before = [panned(index, seed=1) for index in range(5)]
    after = [negative(panned(index, seed=1)) for index in range(5, 10)]
    asked = {**KEEP, "temporal_motion": kind, "t_index_list": LADDERS[n]}

    joined, _ = run(small_engines(), asked, before + after)
    begun, _ = run(small_engines(), asked, after)

    same(joined[5:], begun)


def negative(frame):
    return Frame(pixels=255 - frame.pixels, stamp=frame.stamp)


@pytest.mark.parametrize("n", [1, 4])
def test_after_another_prompt_the_stream_is_one_that_began_with_it(small_engines, panned, n):
    frames = [panned(index) for index in range(10)]
    asked = {**KEEP, "t_index_list": LADDERS[n]}
    other = {**asked, "prompts": "oil"}

    changed, _ = run(small_engines(), asked, frames, changes={5: other})
    begun, _ = run(small_engines(), other, frames[5:])

    same(changed[5:], begun)


def test_a_prompt_that_fades_in_does_not_jump(small_engines, panned):
    frames = [Frame(pixels=panned(0).pixels, stamp=panned(index).stamp) for index in range(24)]
    asked = {**KEEP, "t_index_list": LADDERS[1]}
    fade = {
        4 + k: {
            **asked,
            "prompts": [{"text": "ink", "weight": 1 - k / 16}, {"text": "oil", "weight": k / 16}],
        }
        for k in range(1, 17)
    }
    _, hard = run(small_engines(), asked, frames, changes={12: fade[20]})

    pictures, latents = run(small_engines(), asked, frames, changes=fade)

    whole = float((hard[-1] - hard[0]).abs().max())
    steps = [float((b - a).abs().max()) for a, b in zip(latents, latents[1:], strict=False)]
    assert whole > 0 and max(steps) < 0.3 * whole


def test_memory_that_was_off_for_a_while_does_not_come_back(small_engines, panned):
    frames = [panned(index) for index in range(12)]
    off = {"prompts": "ink", "t_index_list": LADDERS[2]}
    on = {**KEEP, "t_index_list": LADDERS[2]}

    shown, _ = run(small_engines(), on, frames, changes={4: off, 8: on})
    begun, _ = run(small_engines(), on, frames[8:])

    same(shown[8:], begun)


def test_after_a_flush_nothing_is_remembered(small_engines, panned):
    pipeline = Pipeline(small_engines())
    stream = pipeline.open_stream("one", controls_from({**KEEP, "t_index_list": LADDERS[2]}))
    for index in range(4):
        pipeline.tick([stream], [panned(index)], 0)

    pipeline.flush([stream])

    memory = stream.memory
    assert memory.motion.last is None and not memory.latents.levels
    assert memory.pictures.last is None and memory.colours.reference is None
