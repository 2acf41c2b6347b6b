from __future__ import annotations

import pytest

from benchmarks.clip import read_clip
from benchmarks.frame_path import Plan
from benchmarks.many_streams import ManyStreams, StreamsRun, measure_streams, streams_facts
from streamgen.controls import Controls
from streamgen.metrics import Percentiles

CONTROLS = Controls(prompts="watercolor")
LAPS = Percentiles(p50=1.0, p95=2.0, p99=3.0)


@pytest.fixture
def group(engines, clip, millisecond_clock):
    read = read_clip(clip, limit=6)
    return lambda count, controls=CONTROLS: ManyStreams(
        engines, controls, clip=read, count=count, now_ns=millisecond_clock
    )


def run_of(seconds: float) -> StreamsRun:
    return StreamsRun(rounds=10, answered=(10, 10), seconds=seconds, round_ms=LAPS)


def test_a_round_answers_every_stream_once(group):
    answers = group(3).put(0)

    assert [answer.stream.name for answer in answers] == ["0", "1", "2"]


def test_all_streams_share_one_call_of_the_networks(group, engines):
    group(3).put(0)

    assert ("unet", 3) in engines.ports.ready and ("vae_decoder", 3) in engines.ports.ready


def test_streams_put_in_different_pictures_of_the_clip(group):
    assert group(3).offsets == [0, 2, 4]
    assert group(2).offsets == [0, 3]


def test_a_run_has_the_same_frames_whatever_the_number_of_streams(group):
    runs = [group(count).run(4) for count in (1, 2, 4)]

    assert [run.rounds for run in runs] == [4, 2, 1]
    assert [sum(run.answered) for run in runs] == [4, 4, 4]


def test_shares_add_up_to_one_and_fps_to_those_of_all_streams():
    run = StreamsRun(rounds=10, answered=(10, 10, 5), seconds=2.0, round_ms=LAPS)

    assert run.fps == 15.0
    assert run.shares == (0.4, 0.4, 0.2)


def test_the_warm_up_fills_the_stream_batch(group):
    several = group(2, Controls(prompts="watercolor", steps=3))
    several.warm_up(1)

    run = several.run(12)

    # The first picture is finished at once, the others come two rounds late.
    assert (run.rounds, run.answered) == (6, (4, 4))


def test_numbers_of_streams_are_measured_in_turns(group):
    runs = measure_streams([group(1), group(2)], Plan(frames=2, runs=3, warmup=1))

    assert {count: len(several) for count, several in runs.items()} == {1: 3, 2: 3}


def test_the_facts_are_those_of_the_median_run():
    [facts] = streams_facts({2: [run_of(1.0), run_of(4.0), run_of(2.0)]})

    assert (facts["count"], facts["fps"], facts["runs"]) == (2, 10.0, [20.0, 5.0, 10.0])
    assert facts["shares"] == [0.5, 0.5]
    assert facts["round_ms"] == {"p50": 1.0, "p95": 2.0, "p99": 3.0}
