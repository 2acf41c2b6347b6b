from __future__ import annotations

import random

import pytest
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

from server.aiortc_tuning.jitter import MarkedFrame, MarkerBitJitterBuffer


def packet(sequence: int, timestamp: int, data: bytes, *, marker: bool = False) -> RtpPacket:
    made = RtpPacket(
        sequence_number=sequence & 0xFFFF, timestamp=timestamp & 0xFFFFFFFF, marker=int(marker)
    )
    made._data = data  # type: ignore[attr-defined]  # as the receiver does
    return made


def video(frame_count: int, first_sequence: int = 0, seed: int = 1) -> list[RtpPacket]:
    """Frames of one to five packets; the timestamp wraps on the way."""
    rng = random.Random(seed)
    packets: list[RtpPacket] = []
    for index in range(frame_count):
        count = rng.randint(1, 5)
        for part in range(count):
            packets.append(
                packet(
                    first_sequence + len(packets),
                    0xFFFFFFFF - 9000 + 3000 * index,
                    f"{index}.{part};".encode(),
                    marker=part == count - 1,
                )
            )
    return packets


def feed(buffer: JitterBuffer, packets: list[RtpPacket]) -> list[JitterFrame]:
    frames: list[JitterFrame] = []
    for each in packets:
        _, frame = buffer.add(each)
        if frame is not None:
            frames += frame.all() if isinstance(frame, MarkedFrame) else [frame]
    return frames


def tuned() -> MarkerBitJitterBuffer:
    return MarkerBitJitterBuffer(capacity=512, is_video=True)


def test_frame_comes_with_its_marker_without_the_next_frame() -> None:
    buffer = tuned()
    assert feed(buffer, [packet(7, 100, b"a")]) == []
    (frame,) = feed(buffer, [packet(8, 100, b"b", marker=True)])
    assert (frame.data, frame.timestamp) == (b"ab", 100)


@pytest.mark.parametrize("first_sequence", [0, 65_500])
def test_frames_are_those_of_upstream_only_sooner(first_sequence: int) -> None:
    packets = video(200, first_sequence)
    plain = feed(JitterBuffer(capacity=512, is_video=True), packets)
    fast = feed(tuned(), packets)
    assert [frame.data for frame in fast[:-1]] == [frame.data for frame in plain]
    assert len(fast) == 200


def test_frames_without_markers_come_with_the_next_frame() -> None:
    frames = feed(tuned(), [packet(n, 3000 * n, b"%d" % n) for n in range(4)])
    assert [frame.data for frame in frames] == [b"0", b"1", b"2"]


def test_gap_holds_back_and_what_fills_it_brings_all_that_waited() -> None:
    packets = [packet(n, 3000 * n, b"%d" % n, marker=True) for n in range(5)]
    buffer = tuned()
    early = feed(buffer, [packets[0], packets[2], packets[3]])
    late = feed(buffer, [packets[1]])
    after = feed(buffer, [packets[4]])
    assert [[frame.data for frame in part] for part in (early, late, after)] == [
        [b"0"],
        [b"1", b"2", b"3"],
        [b"4"],
    ]


def test_followers_keep_their_distance_on_the_line_of_the_receiver() -> None:
    start = 0xFFFFFFFF - 2999
    packets = [packet(n, start + 3000 * n, b"%d" % n, marker=True) for n in range(3)]
    buffer = tuned()
    buffer.add(packets[0])
    buffer.add(packets[2])
    _, frame = buffer.add(packets[1])
    assert isinstance(frame, MarkedFrame)
    frame.timestamp = 3000  # as the receiver does
    assert [each.timestamp for each in frame.all()] == [3000, 6000]


def test_padding_is_no_frame() -> None:
    packets = [
        packet(0, 0, b"0", marker=True),
        packet(1, 0, b""),
        packet(2, 0, b""),
        packet(3, 3000, b"1", marker=True),
        packet(4, 3000, b"", marker=True),
        packet(5, 6000, b"2", marker=True),
    ]
    assert [frame.data for frame in feed(tuned(), packets)] == [b"0", b"1", b"2"]


def test_shuffled_packets_give_every_frame_in_order() -> None:
    packets = video(100)
    shuffled = packets[:1]
    rng = random.Random(3)
    for start in range(1, len(packets), 8):
        part = packets[start : start + 8]
        rng.shuffle(part)
        shuffled += part
    assert [frame.data for frame in feed(tuned(), shuffled)] == [
        frame.data for frame in feed(tuned(), packets)
    ]


def test_long_loss_asks_for_a_key_frame_and_goes_on() -> None:
    buffer = tuned()
    buffer.add(packet(0, 0, b"0", marker=True))
    asked = False
    frames: list[JitterFrame] = []
    for n in range(2, 700):
        lost_picture, frame = buffer.add(packet(n, 3000 * n, b"%d" % n, marker=True))
        asked = asked or lost_picture
        frames += frame.all() if isinstance(frame, MarkedFrame) else []
    assert asked
    assert frames[-1].data == b"699"
