"""A steady tick as one whole step against the same tick row by row: on torch fp32, bit for bit.

On a CPU nothing is recorded: these show what a graph would replay, not that CUDA replays it
(tests/gpu).
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from engines.cache import EngineCache
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.errors import ModelError
from streamgen.frame import Frame, Stamp
from streamgen.models.engines import load_engines
from streamgen.pipeline import Pipeline
from streamgen.steady import SteadyTicks, steady_ticks

SIZE = 64
LADDERS = {1: (32,), 2: (20, 40), 3: (10, 25, 40)}
FOLDERS = ("edit_folder", "plain_folder", "xl_folder", "guided_folder")


class Tape:
    """Runs what it records three times, as a warm-up does, and counts."""

    def __init__(self):
        self.recorded = 0
        self.replayed = 0

    def __call__(self, call):
        self.recorded += 1
        for _ in range(3):
            call()

        def replay():
            self.replayed += 1
            call()

        return replay


@pytest.fixture(scope="module")
def engines_of(request, tmp_path_factory):
    cache = EngineCache(tmp_path_factory.mktemp("cache"))
    loaded = {}

    def load(name, adapter="none"):
        if (name, adapter) not in loaded:
            folder = str(request.getfixturevalue(name))
            config = StreamConfig(
                model=folder,
                width=SIZE,
                height=SIZE,
                backend="torch",
                precision="fp32",
                motion=adapter,
            )
            loaded[name, adapter] = load_engines(config, cache)
        return loaded[name, adapter]

    return load


def frame_of(index, seed=0):
    pixels = np.random.default_rng([seed, index]).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    return Frame(
        pixels=pixels, stamp=Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=0)
    )


def drawn(engines, asked, *, tape=None, ticks=6, script=None, frames=frame_of):
    """Return what comes out of ticks and a flush: (stream, index, revision, pixels) each."""
    pipeline = Pipeline(engines)
    if tape is not None:
        pipeline.steady = SteadyTicks(engines, tape)
    streams = [pipeline.open_stream(str(k), controls_from(each)) for k, each in enumerate(asked)]
    answers = []
    for tick in range(ticks):
        for stream in streams:
            if script and (change := script.get((stream.name, tick))):
                controls = controls_from(change, defaults=stream.revision.controls.model_dump())
                stream.revision = pipeline.reviser().revise(controls, tick)
        given = [frames(tick, seed=k) for k in range(len(streams))]
        answers += pipeline.tick(streams, given, tick)
    answers += pipeline.flush(streams)
    return [
        (a.stream.name, a.frame.stamp.index, a.frame.stamp.revision, a.frame.stamp.tick_ns, a.frame)
        for a in answers
    ]


def check_same(ours, plain):
    assert [each[:4] for each in ours] == [each[:4] for each in plain]
    for one, other in zip(ours, plain, strict=True):
        assert np.array_equal(one[4].pixels, other[4].pixels)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("name", FOLDERS)
def test_a_whole_step_draws_the_very_pictures_of_the_rows(engines_of, name, n, count):
    engines, tape = engines_of(name), Tape()
    asked = [{"t_index_list": LADDERS[n], "seed": k, "prompts": "oil"} for k in range(count)]

    ours = drawn(engines, asked, tape=tape)

    check_same(ours, drawn(engines, asked))
    # The first ticks fill the levels row by row, as does the first steady one.
    steady = 5 if n == 1 else 5 - n
    assert (tape.recorded, tape.replayed) == (1, steady)


SCRIPT = {
    ("0", 4): {"prompts": "a pencil sketch"},
    ("1", 5): {"seed": 9},
    ("0", 7): {"noise": "fresh"},
    ("1", 9): {"guidance": "self", "guidance_scale": 1.5},
    ("1", 12): {"guidance": "none"},
    ("0", 16): {"t_index_list": LADDERS[3]},
    ("1", 17): {"t_index_list": LADDERS[3]},
    ("0", 22): {"t_index_list": LADDERS[1]},
    ("1", 22): {"t_index_list": LADDERS[1]},
    ("0", 25): {"strength": 0.0},
    ("0", 27): {"denoising": "sequential", "strength": 0.5, "steps": 2},
}


def test_whatever_changes_while_it_runs_the_pictures_are_those_of_the_rows(engines_of):
    engines, tape = engines_of("edit_folder"), Tape()
    asked = [{"t_index_list": LADDERS[2]}, {"t_index_list": LADDERS[2], "seed": 3}]

    ours = drawn(engines, asked, tape=tape, ticks=30, script=SCRIPT)

    check_same(ours, drawn(engines, asked, ticks=30, script=SCRIPT))
    # Two, three and one level have a graph each; steps of other kinds are drawn row by row.
    assert tape.recorded == 3
    assert 10 <= tape.replayed < 28


def test_a_stream_with_a_memory_leaves_the_tick_to_the_rows(engines_of):
    engines, tape = engines_of("edit_folder"), Tape()
    script = {
        ("0", 6): {"temporal_strength": 0.5},
        ("0", 12): {"temporal_strength": 0.0},
        ("0", 18): {"temporal_strength": 0.5, "temporal_motion": "still"},
    }
    asked = [{"t_index_list": LADDERS[2]}]

    ours = drawn(engines, asked, tape=tape, ticks=24, script=script)

    check_same(ours, drawn(engines, asked, ticks=24, script=script))
    assert 0 < tape.replayed < 12


def test_a_stream_with_motion_modules_leaves_the_tick_to_the_rows(engines_of, adapter_folder):
    engines, tape = engines_of("edit_folder", str(adapter_folder)), Tape()
    script = {("0", 6): {"motion_strength": 1.0}, ("0", 12): {"motion_strength": 0.0}}
    asked = [{"t_index_list": LADDERS[2]}]

    ours = drawn(engines, asked, tape=tape, ticks=18, script=script)

    check_same(ours, drawn(engines, asked, ticks=18, script=script))
    # Before and after, at strength 0, but for the ticks that fill the levels.
    assert 6 <= tape.replayed < 12
    without = drawn(engines, asked, ticks=18)
    pairs = [(a[4].pixels, b[4].pixels) for a, b in zip(ours, without, strict=True)]
    assert any((a != b).any() for a, b in pairs[7:12])


def test_a_stream_that_stands_still_leaves_the_tick_to_the_rows(engines_of):
    engines, tape = engines_of("edit_folder"), Tape()
    gate = {"t_index_list": LADDERS[2], "similarity_threshold": 0.9}

    def still(index, seed):
        return frame_of(0 if seed == 1 and index > 4 else index, seed)

    ours = drawn(engines, [gate, gate], tape=tape, ticks=12, frames=still)

    check_same(ours, drawn(engines, [gate, gate], ticks=12, frames=still))
    assert tape.replayed > 0


def test_another_batch_size_that_is_ready_is_recorded_anew(engines_of):
    engines, tape = engines_of("plain_folder"), Tape()
    pipeline = Pipeline(engines)
    pipeline.steady = SteadyTicks(engines, tape)
    stream = pipeline.open_stream("one", controls_from({"t_index_list": LADDERS[1]}))
    for index in range(3):
        pipeline.tick([stream], [frame_of(index)], 0)
    assert (tape.recorded, tape.replayed) == (1, 2)

    engines.ports.prepare("unet", 7)
    for index in range(3, 5):
        pipeline.tick([stream], [frame_of(index)], 0)

    assert (tape.recorded, tape.replayed) == (2, 4)


def test_nan_is_the_same_error_as_row_by_row(request, tmp_path):
    config = StreamConfig(
        model=str(request.getfixturevalue("plain_folder")),
        width=SIZE,
        height=SIZE,
        backend="torch",
        precision="fp32",
    )
    engines = load_engines(config, EngineCache(tmp_path))
    pipeline = Pipeline(engines)
    pipeline.steady = SteadyTicks(engines, Tape())
    stream = pipeline.open_stream("one", controls_from({"t_index_list": LADDERS[1]}))
    pipeline.tick([stream], [frame_of(0)], 0)
    text = torch.full_like(stream.revision.text, float("nan"))
    stream.revision = replace(stream.revision, text=text)

    with pytest.raises(ModelError, match="drew NaN or infinity"):
        pipeline.tick([stream], [frame_of(1)], 0)

    assert stream.rows == []


def test_on_a_cpu_rows_are_drawn_one_by_one(engines_of):
    assert steady_ticks(engines_of("edit_folder")) is None
