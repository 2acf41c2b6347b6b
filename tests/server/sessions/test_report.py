"""What is told of a session, and what is remembered of it; no peers."""

from __future__ import annotations

import pytest

from server.memory import MOST, Memory, Remembered
from server.nouns import StreamFacts, UnknownResume
from server.pace import Pace, frame_message
from server.report import Known, status_message, status_of
from server.tracks import Timing
from streamgen.sources.geometry import Size

MS = 1_000_000
FACTS = StreamFacts(
    model="tiny", width=64, height=64, backend="torch", precision="fp32", motion="swing"
)


def known(**changes):
    plain = {
        "id": "a",
        "name": "a",
        "is_lost": False,
        "rest_s": 0.1,
        "fps": 12.04,
        "stages_ms": {"queue": 1.0},
        "output": "live",
        "stream": FACTS,
    }
    return Known(**{**plain, **changes})


@pytest.mark.parametrize(
    ("changes", "told", "state", "says"),
    [
        ({}, {"state": "live"}, "running", ""),
        ({"rest_s": 2.0}, {"state": "live"}, "resting", ""),
        ({"rest_s": None}, {"state": "live"}, "resting", ""),
        ({"rest_s": None}, {"state": "loading"}, "loading", "Loading the model."),
        ({"rest_s": None}, {}, "loading", "Loading the model."),
        ({}, {}, "restarting", "is being restarted"),
        ({}, {"state": "restarting"}, "restarting", "is being restarted"),
        ({}, {"state": "failed", "failure": "no memory"}, "failed", "no memory"),
        ({"is_lost": True}, {"state": "live"}, "lost", "the place is kept"),
        ({"lacks_key": True}, {"state": "live"}, "running", "keyframe interval to 1 s"),
        ({"lacks_key": True, "rest_s": None}, {"state": "loading"}, "loading", "Loading"),
    ],
)
def test_the_state_is_one_word_and_one_sentence(changes, told, state, says):
    status = status_of(known(**changes), stream=told, group={})
    assert status.state == state and says in status.says


def test_skipped_frames_are_told_apart_from_dropped_ones():
    told = {"state": "live", "revision": 3, "dropped": {"still": 5, "unseen": 2}, "controls": {}}
    status = status_of(known(), stream=told, group={"frame_ms": 30.126, "streams": 2})
    message = status_message(status)
    assert (message["skipped"], message["dropped"]) == (5, {"unseen": 2})
    assert (message["fps"], message["frame_ms"], message["streams"]) == (12.0, 30.13, 2)
    assert (message["type"], message["model"], message["width"]) == ("status", "tiny", 64)
    assert message["motion"] == "swing"
    assert "controls" not in message and "id" not in message


def test_pace_counts_pictures_and_samples_timings():
    now = 10.0
    pace = Pace(lambda: now)
    assert (pace.fps, pace.rest_s) == (0, None)
    timing = Timing(
        pts=90,
        index=1,
        revision=4,
        ingest_ns=0,
        tick_ns=2 * MS,
        drawn_ns=12 * MS,
        shown_ns=13 * MS,
        encode_ms=3.0,
    )
    passed_on = 0
    for _ in range(40):
        now += 0.05
        pace.shown()
        passed_on += pace.timed(timing)
    assert (pace.fps, passed_on) == (20, 4)
    now += 5
    assert (pace.fps, pace.rest_s) == (0, 5)
    assert pace.stages_ms == {"queue": 2.0, "model": 10.0, "encode": 3.0}
    assert frame_message(timing) == {
        "type": "frame",
        "pts": 90,
        "queue_ms": 2.0,
        "model_ms": 10.0,
        "encode_ms": 3.0,
        "revision": 4,
    }


def test_memory_is_bounded_in_time_and_number():
    now = 0.0
    memory = Memory(keep_s=600, clock=lambda: now)
    kept = Remembered(controls={"seed": 1}, output="live", size=Size(width=64, height=64))
    for number in range(MOST + 1):
        memory.keep(f"t{number}", kept)
    with pytest.raises(UnknownResume):
        memory.recall("t0")
    assert memory.recall("t1") is kept
    now = 601.0
    with pytest.raises(UnknownResume):
        memory.recall("t1")
