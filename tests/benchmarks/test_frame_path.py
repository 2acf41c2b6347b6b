from __future__ import annotations

import numpy as np
import pytest

from benchmarks.clip import read_clip
from benchmarks.frame_path import FramePath, Plan, Run, measure, median_run
from streamgen.controls import Controls
from streamgen.metrics import Percentiles
from streamgen.pipeline import Pipeline
from streamgen.sources import Size, open_source

CONTROLS = Controls(prompts="watercolor")


@pytest.fixture
def path(engines, clip, millisecond_clock):
    return FramePath(engines, CONTROLS, clip=read_clip(clip, limit=4), now_ns=millisecond_clock)


def run_of(fps: float) -> Run:
    laps = Percentiles(p50=1000 / fps, p95=1000 / fps, p99=1000 / fps)
    return Run(
        frames=10,
        denoised=10,
        delay_frames=0,
        seconds=10 / fps,
        frame_ms=laps,
        stages={"frame": laps},
    )


def test_a_measured_frame_is_the_frame_that_the_pipeline_draws(engines, clip, path):
    with open_source(clip, size=Size(64, 64)) as source:
        first = next(source.frames())
    pipeline = Pipeline(engines)

    [(_, expected)] = pipeline.tick([pipeline.open_stream("plain", CONTROLS)], [first], 0)
    [drawn] = path.redraw(0)

    assert np.array_equal(drawn.pixels, expected.pixels)
    assert expected.pixels.dtype == np.uint8


def test_every_stage_has_a_lap_for_every_frame(path):
    run = path.run(4)

    assert list(run.stages) == ["convert", "encode", "denoise", "decode", "frame"]
    assert {name: len(laps) for name, laps in path.stages.laps_ms.items()} == {
        "convert": 4,
        "encode": 4,
        "denoise": 4,
        "decode": 4,
    }
    assert (run.frames, run.denoised) == (4, 4)


def test_times_come_from_the_clock_that_was_given(path):
    run = path.run(4)

    assert run.stages["convert"] == Percentiles(p50=1, p95=1, p99=1)
    stages = sum(run.stages[name].p50 for name in ("convert", "encode", "denoise", "decode"))
    assert run.frame_ms.p50 >= stages
    assert 1000 / run.fps >= run.frame_ms.p50


def test_the_warm_up_does_not_count(path):
    runs = measure({"stream": path}, Plan(frames=2, runs=3, warmup=5))["stream"]

    assert [run.frames for run in runs] == [2, 2, 2]
    assert len(path.whole.laps_ms["frame"]) == 2


def test_at_strength_zero_no_frame_is_denoised(engines, clip):
    controls = Controls(strength=0.0)

    run = FramePath(engines, controls, clip=read_clip(clip, limit=2)).run(2)

    assert (run.frames, run.denoised) == (2, 0)


def test_the_median_run_is_the_one_in_the_middle_by_fps():
    runs = [run_of(fps) for fps in (30.0, 10.0, 20.0)]

    assert median_run(runs) is runs[2]
    assert median_run(runs[:2]) is runs[1]
