from __future__ import annotations

from fractions import Fraction
from multiprocessing import get_context

import numpy as np
import pytest

from streamgen.frame import Frame, Stamp
from streamgen.shared import FrameSlot


def frame(index, size=(8, 4)):
    pixels = np.full((size[1], size[0], 3), index % 251, np.uint8)
    stamp = Stamp(index=index, pts=-index, time_base=Fraction(1, 90000), ingest_ns=index * 7)
    return Frame(pixels=pixels, stamp=stamp)


@pytest.fixture
def slots():
    writer = FrameSlot.create(8, 4)
    reader = FrameSlot.attach(writer.name, 8, 4)
    yield writer, reader
    reader.close()
    writer.close()


def test_the_newest_frame_is_read_once_with_all_that_is_known_of_it(slots):
    writer, reader = slots
    assert reader.read() is None
    for index in range(5):
        writer.write(frame(index))
    found, passed = reader.read()
    assert (found.stamp, passed) == (frame(4).stamp, 4)
    assert np.array_equal(found.pixels, frame(4).pixels)
    assert reader.read() is None


def test_what_was_read_is_the_readers_own(slots):
    writer, reader = slots
    writer.write(frame(1))
    found, _ = reader.read()
    for index in range(2, 8):
        writer.write(frame(index))
    assert int(found.pixels[0, 0, 0]) == 1


def test_a_frame_of_another_size_is_refused(slots):
    with pytest.raises(ValueError, match="frame 4x8: this stream has 8x4"):
        slots[0].write(frame(0, size=(4, 8)))


def test_the_memory_is_gone_when_its_owner_closes():
    slot = FrameSlot.create(8, 4)
    slot.close()
    with pytest.raises(FileNotFoundError):
        FrameSlot.attach(slot.name, 8, 4)


def write_many(name, count):
    slot = FrameSlot.attach(name, 64, 64)
    for index in range(1, count + 1):
        slot.write(frame(index, size=(64, 64)))
    slot.close()


def test_no_frame_is_torn_while_another_process_writes():
    slot = FrameSlot.create(64, 64)
    writing = get_context("fork").Process(target=write_many, args=(slot.name, 3000))
    writing.start()
    last, seen = 0, 0
    while last < 3000:
        if (read := slot.read()) is None:
            continue
        found, passed = read
        assert found.stamp.index == last + passed + 1
        assert (found.pixels == found.stamp.index % 251).all()
        last, seen = found.stamp.index, seen + 1
    writing.join()
    slot.close()
    assert seen > 1


def test_frames_are_read_in_order_as_far_as_they_are_still_there(slots):
    writer, reader = slots
    for index in range(5):
        writer.write(frame(index))
    found = [reader.read(in_order=True) for _ in range(4)]
    assert [(each[0].stamp.index, each[1]) for each in found[:3]] == [(2, 2), (3, 0), (4, 0)]
    assert found[3] is None
