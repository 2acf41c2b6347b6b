"""The worker: newest wins, batches, turns, failures."""

from __future__ import annotations

import pytest

from streamgen.admission import Limits
from streamgen.config import StreamConfig
from streamgen.errors import ConfigError, Full
from streamgen.group import ALONE
from streamgen.worker import SETTLE_NS

ONE, OTHER = (StreamConfig(model=name, width=16, height=16) for name in ("one", "other"))
MS = 1_000_000


def test_the_newest_frame_wins_and_the_older_one_is_counted(bench, picture, told):
    bench.worker.open("a", ONE, {})
    for index in range(5):
        bench.worker.put("a", picture(7, index))

    assert bench.worker.tick(0)
    assert not bench.worker.tick(1)
    assert told(bench.worker.take("a")) == (7, 4)
    assert bench.worker.take("a") is None
    status = bench.worker.status("a")
    assert (status.accepted, status.shown, status.under_way) == (5, 1, 0)
    assert status.dropped == {"overtaken": 4}


def test_a_picture_that_nobody_took_gives_way_to_a_newer_one(bench, picture, told):
    bench.worker.open("a", ONE, {})
    for index in range(3):
        bench.worker.put("a", picture(7, index))
        bench.worker.tick(index)

    assert told(bench.worker.take("a")) == (7, 2)
    assert bench.worker.status("a").dropped == {"unseen": 2}


def test_streams_of_one_config_are_one_batch_and_others_take_turns(bench, picture, told):
    for name, config in (("a", ONE), ("b", ONE), ("c", OTHER)):
        bench.worker.open(name, config, {})
    for turn, name in enumerate("cab"):
        bench.worker.put(name, picture(ord(name), turn, ingest_ns=turn))

    bench.worker.tick(10)
    assert bench.worker.take("a") is None and told(bench.worker.take("c")) == (ord("c"), 0)
    bench.worker.tick(11)
    assert bench.loaded[ONE].batches == [2]
    assert told(bench.worker.take("a")) == (ord("a"), 1)
    assert told(bench.worker.take("b")) == (ord("b"), 2)


def test_what_is_under_way_is_finished_when_no_more_frames_come(bench, picture, told):
    bench.worker.open("a", ONE, {"steps": 3})
    for index in range(4):
        bench.worker.put("a", picture(1, index))
        bench.worker.tick(index)
        bench.worker.take("a")

    assert not bench.worker.tick(3 + SETTLE_NS - 1)
    assert bench.worker.tick(3 + SETTLE_NS)
    assert [told(bench.worker.take("a")) for _ in range(2)] == [(1, 2), (1, 3)]
    assert bench.worker.status("a").dropped == {}


def test_a_patch_rules_the_next_frame(bench, picture):
    bench.worker.open("a", ONE, {"prompts": "ink"})
    patched = bench.worker.patch("a", {"prompts": "oil"})
    bench.worker.put("a", picture(1, 0))
    bench.worker.tick(0)

    assert bench.worker.take("a").stamp.revision == patched.revision == 1
    assert bench.worker.status("a").controls["prompts"] == [{"text": "oil", "weight": 1.0}]


def test_a_model_that_cannot_be_loaded_is_told_by_its_streams_alone(bench, picture):
    bench.worker.open("a", ONE, {})
    bench.worker.open("b", StreamConfig(model="missing", width=16, height=16), {})
    bench.worker.put("b", picture(1, 0))

    status = bench.worker.status("b")
    assert (status.state, status.failure) == ("failed", "model 'missing': no such model")
    assert bench.worker.status("a").state == "live"
    assert bench.worker.close("b").dropped == {"failed": 1}


def test_a_batch_that_fails_is_counted_and_the_streams_go_on(bench, picture, told):
    bench.worker.open("a", ONE, {})
    bench.loaded[ONE].is_broken = True
    bench.worker.put("a", picture(1, 0))
    bench.worker.tick(0)
    bench.loaded[ONE].is_broken = False
    bench.worker.put("a", picture(1, 1))
    bench.worker.tick(1)

    assert told(bench.worker.take("a")) == (1, 1)
    assert bench.worker.status("a").dropped == {"failed": 1}


def test_a_stream_that_fails_every_time_takes_no_other_along_for_long(bench, picture, told):
    bench.worker.open("a", ONE, {})
    bench.worker.open("b", ONE, {})
    bench.loaded[ONE].broken_owner = 2
    shown = []
    for number in range(30):
        bench.worker.put("a", picture(1, number))
        bench.worker.put("b", picture(2, number))
        bench.worker.tick(number)
        bench.worker.tick(number)
        shown.append(bench.worker.take("a"))

    assert [told(each) for each in shown[1:]] == [(1, number) for number in range(1, 30)]
    assert bench.worker.status("b").dropped == {"failed": 30}


def test_streams_that_failed_once_are_drawn_together_again(bench, picture):
    bench.worker.open("a", ONE, {})
    bench.worker.open("b", ONE, {})
    for number in range(ALONE + 2):
        bench.loaded[ONE].broken_owner = 2 if number == 0 else None
        bench.worker.put("a", picture(1, number))
        bench.worker.put("b", picture(2, number))
        bench.worker.tick(number)
        bench.worker.tick(number)

    assert bench.loaded[ONE].batches == [2, *[1] * 2 * ALONE, 2]


def test_what_is_under_way_in_a_stream_that_fails_is_all_that_is_lost_at_the_end(bench, picture):
    bench.worker.open("a", ONE, {"steps": 2})
    bench.worker.open("b", ONE, {"steps": 2})
    for number, broken in enumerate((2, None, None, 2)):
        bench.loaded[ONE].broken_owner = broken
        bench.worker.put("a", picture(1, number))
        bench.worker.put("b", picture(2, number))
        for _ in range(2 if number < 3 else 0):
            bench.worker.tick(number)
            bench.worker.take("a")
    for name in "ab":
        bench.worker.finish(name)
    bench.worker.tick(3)

    assert bench.worker.status("a").dropped == {"failed": 1}
    assert bench.worker.status("a").under_way == 2
    assert bench.worker.status("b").dropped["failed"] == 3


@pytest.mark.parametrize(
    ("limits", "needed", "sentence"),
    [
        (Limits(max_streams=1), 0, "1 streams are open, as many as are allowed"),
        (Limits(), 2**60, "memory: this stream needs about"),
        (Limits(min_fps=1e9), 0, "speed: with one more stream each would get"),
    ],
)
def test_there_is_room_or_a_sentence_that_says_what_is_short(
    limits, needed, sentence, picture, make_bench
):
    bench = make_bench(limits=limits, needed_bytes=lambda config: needed if config == OTHER else 0)
    bench.worker.open("a", ONE, {})
    bench.worker.put("a", picture(1, 0))
    bench.worker.tick(0)
    with pytest.raises(Full, match=sentence):
        bench.worker.open("b", OTHER if needed else ONE, {})
    assert bench.worker.status("a").state == "live"


def test_names_are_unique_and_must_be_known(bench, picture):
    bench.worker.open("a", ONE, {})
    with pytest.raises(ConfigError, match="stream 'a' is open already"):
        bench.worker.open("a", ONE, {})
    with pytest.raises(ConfigError, match="stream 'b' is not open"):
        bench.worker.put("b", picture(1, 0))
