"""What is kept of a stream for the next process, as the one that draws it tells of it."""

from __future__ import annotations

import pytest

from streamgen.config import StreamConfig
from streamgen.remote import RemoteStream
from streamgen.shared import FrameSlot

CONFIG = StreamConfig(model="passthrough", width=32, height=32)


@pytest.fixture
def stream():
    inbox, outbox = (FrameSlot.create(32, 32) for _ in range(2))
    made = RemoteStream(name="a", config=CONFIG, controls={}, inbox=inbox, outbox=outbox)
    yield made
    made.close()


def answer(revision, *loras):
    return {"revision": revision, "is_stale": False, "controls": {"loras": list(loras)}}


def failed(*loras):
    return {"control_failure": "LoRA 'broken': it is cut off", "controls": {"loras": list(loras)}}


def test_the_next_process_is_given_the_controls_that_came_into_force(stream):
    stream.patched(answer(1, "a"))
    stream.patched(answer(2, "broken"))

    stream.take_back(failed("a"), 2)

    assert stream.controls == {"loras": ["a"]}


def test_what_was_asked_for_since_is_not_taken_back_with_what_failed(stream):
    stream.patched(answer(1, "a"))
    stream.patched(answer(2, "broken"))
    stream.patched(answer(3, "b"))

    stream.take_back(failed("a"), 2)

    assert stream.controls == {"loras": ["b"]}
