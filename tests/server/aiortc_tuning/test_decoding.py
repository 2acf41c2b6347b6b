from __future__ import annotations

import asyncio
import queue
import threading
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc.codecs.vpx import vp8_depayload
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av.frame import Frame

from server.aiortc_tuning.decoding import MAX_WAITING, Task, decode_newest
from server.aiortc_tuning.jitter import MarkedFrame
from server.aiortc_tuning.tuning import Tuning
from server.aiortc_tuning.vp8 import TunedVp8Encoder

VP8 = RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90_000, payloadType=97)


def coded(count: int, key_every: int = 1000) -> list[MarkedFrame]:
    encoder = TunedVp8Encoder(Tuning())
    frames = []
    for number in range(count):
        pixels = np.full((64, 64, 3), 4 * (number % 60), np.uint8)
        made = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
        made.pts, made.time_base = 3000 * number, Fraction(1, 90_000)
        payloads, timestamp = encoder.encode(made, number % key_every == 0)
        frames.append(MarkedFrame(b"".join(map(vp8_depayload, payloads)), timestamp))
    return frames


def decode(tasks: list[Task | None]) -> tuple[list[int | None], bool]:
    """Return the pts of what comes out, None for the end, and whether a key frame is asked for."""

    async def work() -> tuple[list[int | None], bool]:
        waiting: queue.Queue[Task | None] = queue.Queue()
        for task in tasks:
            waiting.put(task)
        out: asyncio.Queue[Frame | None] = asyncio.Queue()
        wants_key = threading.Event()
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=decode_newest, args=(loop, waiting, out, wants_key))
        thread.start()
        times: list[int | None] = []
        async with asyncio.timeout(10):
            while not times or times[-1] is not None:
                picture = await out.get()
                times.append(None if picture is None else picture.pts)
        thread.join()
        return times, wants_key.is_set()

    return asyncio.run(work())


def test_frames_come_out_in_order_and_then_the_end() -> None:
    tasks: list[Task | None] = [(VP8, frame) for frame in coded(5)]
    assert decode([*tasks, None]) == ([0, 3000, 6000, 9000, 12_000, None], False)


def test_followers_are_decoded_too() -> None:
    first, *rest = coded(3)
    first.followers = rest
    assert decode([(VP8, first), None]) == ([0, 3000, 6000, None], False)


def test_plain_frames_of_upstream_are_decoded() -> None:
    (frame,) = coded(1)
    assert decode([(VP8, JitterFrame(frame.data, 7)), None]) == ([7, None], False)


def test_backlog_is_skipped_and_a_key_frame_asked_for() -> None:
    tasks: list[Task | None] = [(VP8, frame) for frame in coded(MAX_WAITING + 2)]
    assert decode([*tasks, None]) == ([None], True)


@pytest.mark.parametrize("data", [b"\x00", b"\xff" * 40])
def test_broken_frame_asks_for_a_key_frame_and_ends_nothing(data: bytes) -> None:
    first, second = coded(2, key_every=1)
    tasks: list[Task | None] = [(VP8, first), (VP8, JitterFrame(data, 1)), (VP8, second), None]
    times, wants_key = decode(tasks)
    assert times[0] == 0
    assert times[-2:] == [3000, None]
    assert wants_key
