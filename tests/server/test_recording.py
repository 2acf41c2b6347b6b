"""Recording of a stream's packets: what the files hold, where it ends, and that nobody waits."""

from __future__ import annotations

import asyncio
import fcntl
from fractions import Fraction
from functools import partial

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from server.aiortc_tuning import Tuning
from server.aiortc_tuning.shared import SharedH264
from server.audience import Audience
from server.recorder_files import LEDGER, RecordingPlace
from server.recording import Recorder, RecordingLimits, RecordingOff, begin_recording, do_nothing
from streamgen.frame import Frame, Stamp

NOON_S = 1_767_268_800.0  # 2026-01-01 12:00 UTC
FPS, STEP = 30, 3000
STEM = "stage-20260101-120000"


class Ended(asyncio.Event):
    """Counts how often it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        self.set()


def recorder_in(folder, *, ended=do_nothing, ask_for_key=do_nothing, **limits):
    limits = RecordingLimits(**{"free_bytes": 0, **limits})
    hooks = {"ended": ended, "ask_for_key": ask_for_key}
    return Recorder(folder, "stage", limits=limits, clock=lambda: NOON_S, **hooks)


def packets(greys, *, size=(64, 48), first=0, encoder=None):
    """Return a picture of each grey as packets, 30 a second, the first a key frame."""
    encoder = encoder or SharedH264(Tuning(), bitrate=1_000_000)
    made = []
    for index, grey in enumerate(greys):
        rgb = np.full((size[1], size[0], 3), grey, np.uint8)
        picture = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
        picture.pts, picture.time_base = (first + index) * STEP, Fraction(1, 90_000)
        made += encoder.encode(picture, is_key=index == 0)
    return made


def played(path):
    """Return size, time and grey of every picture of a file."""
    with av.open(path) as file:
        return [
            (each.width, each.height, each.time, int(each.to_ndarray(format="gray").mean()))
            for each in file.decode(video=0)
        ]


def test_a_file_holds_every_picture_at_its_time(tmp_path):
    greys = list(range(40, 200, 4))

    async def test():
        recorder = recorder_in(tmp_path)
        assert recorder.facts.state == "waiting"
        for packet in packets(greys, first=1234):
            recorder.take(packet)
        return await recorder.close()

    facts = asyncio.run(test())

    assert (facts.name, facts.file, facts.why_ended) == ("stage", f"{STEM}.mp4", "")
    assert facts.seconds == pytest.approx(len(greys) / FPS)
    assert facts.bytes == (tmp_path / facts.file).stat().st_size
    pictures = played(tmp_path / facts.file)
    assert [each[:2] for each in pictures] == [(64, 48)] * len(greys)
    assert [each[2] for each in pictures] == pytest.approx([n / FPS for n in range(len(greys))])
    assert [each[3] for each in pictures] == pytest.approx(greys, abs=20)


def test_a_complete_file_has_an_index_and_the_packets_as_they_were_sent(tmp_path):
    sent = packets([50, 100, 150])
    copies = [bytes(each) for each in sent]

    async def test():
        recorder = recorder_in(tmp_path)
        for packet in sent:
            recorder.take(packet)
        return await recorder.close()

    facts = asyncio.run(test())

    with av.open(tmp_path / facts.file) as file:
        stream = file.streams.video[0]
        assert (stream.frames, stream.codec_context.name) == (3, "h264")
        assert stream.codec_context.extradata
    assert [bytes(each) for each in sent] == copies
    assert [each.pts for each in sent] == [0, STEP, 2 * STEP]


def test_another_size_of_picture_gets_a_file_of_its_own(tmp_path):
    encoder = SharedH264(Tuning(), bitrate=1_000_000)

    async def test():
        recorder = recorder_in(tmp_path)
        for size, first in (((64, 48), 0), ((96, 64), 10), ((64, 48), 20)):
            for packet in packets([90] * 10, size=size, first=first, encoder=encoder):
                recorder.take(packet)
        return await recorder.close()

    facts = asyncio.run(test())

    assert facts.files == (f"{STEM}.mp4", f"{STEM}-2.mp4", f"{STEM}-3.mp4")
    assert facts.seconds == pytest.approx(1.0)
    for name, size in zip(facts.files, [(64, 48), (96, 64), (64, 48)], strict=True):
        pictures = played(tmp_path / name)
        assert [each[:2] for each in pictures] == [size] * 10
        assert pictures[0][2] == 0


def test_nothing_is_written_before_the_first_key_frame(tmp_path):
    async def test():
        recorder = recorder_in(tmp_path)
        for packet in packets([90] * 5)[1:]:
            recorder.take(packet)
        return await recorder.close()

    facts = asyncio.run(test())

    assert (facts.state, facts.file, list(tmp_path.iterdir())) == ("ended", None, [])


@pytest.mark.parametrize(
    ("limits", "words", "longest_s"),
    [
        ({"max_s": 6.0}, "it has reached 0.1 minutes.", 6.1),
        ({"max_bytes": 8000}, "its file has reached 8e-06 GB.", 6.9),
        (
            {"folder_bytes": 8000},
            "all recordings together have reached 8e-06 GB.",
            6.9,
        ),
    ],
)
def test_a_limit_ends_it_with_words_and_a_whole_file(tmp_path, limits, words, longest_s):
    async def test():
        ended = Ended()
        recorder = recorder_in(tmp_path, ended=ended, **limits)
        for packet in packets([40, 200] * 105):
            recorder.take(packet)
        await ended.wait()
        facts = recorder.facts
        assert facts == await recorder.close() == await recorder.close()
        return facts, ended.count

    facts, count = asyncio.run(test())

    assert (facts.state, facts.why_ended, count) == (
        "ended", f"The recording ended: {words}", 1,
    )  # fmt: skip
    assert 0.5 < facts.seconds < longest_s
    assert played(tmp_path / facts.file)[-1][2] == pytest.approx(facts.seconds - 1 / FPS)


@pytest.mark.parametrize(
    ("folder", "limits", "words"),
    [
        (".", {"free_bytes": 10**18}, "less than 1e+09 GB are left on the disk."),
        ("gone", {}, "No such file or directory."),
    ],
)
def test_where_nothing_can_be_written_it_ends_with_words(tmp_path, folder, limits, words):
    async def test():
        ended = Ended()
        recorder = recorder_in(tmp_path / folder, ended=ended, **limits)
        recorder.take(packets([90])[0])
        await ended.wait()
        return recorder.facts

    assert asyncio.run(test()).why_ended == f"The recording ended: {words}"
    assert not list(tmp_path.glob("*.mp4"))


def test_a_disk_that_hangs_costs_the_recording_and_not_the_stream(tmp_path):
    async def test():
        ended = Ended()
        recorder = recorder_in(tmp_path, ended=ended, waiting_bytes=4000)
        with (tmp_path / LEDGER).open("w") as ledger:
            fcntl.flock(ledger, fcntl.LOCK_EX)  # the recorder's thread waits for this one
            for packet in packets([40, 200] * 75):
                recorder.take(packet)
            assert ended.count == 1
            assert recorder.facts.why_ended == "The recording ended: the disk is too slow for it."
        return await recorder.close(), ended.count

    facts, count = asyncio.run(test())

    assert (facts.why_ended, count) == ("The recording ended: the disk is too slow for it.", 1)
    assert 0 < len(played(tmp_path / facts.file)) < 150


def test_key_frames_are_asked_for_so_that_players_can_jump(tmp_path):
    asked = Ended()

    async def test():
        recorder = recorder_in(tmp_path, ask_for_key=asked)
        for packet in packets([90] * 930):
            recorder.take(packet)
        await recorder.close()

    asyncio.run(test())

    assert asked.count == 3


def test_a_member_of_the_audience_records_what_viewers_get(tmp_path, pool):
    encoder = partial(SharedH264, Tuning(), bitrate=1_000_000)

    async def test():
        audience = Audience(pool, encoder=encoder)
        ended = Ended()
        place = RecordingPlace(folder=tmp_path, limits=RecordingLimits(free_bytes=0))
        recorder = begin_recording(place, "stage", ended=ended, ask_for_key=audience.ask_for_key)
        audience.join(recorder)
        for index in range(5):
            pixels = np.full((48, 64, 3), 40 * index, np.uint8)
            stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 90_000), ingest_ns=0)
            audience.out.show(Frame(pixels=pixels, stamp=stamp))
            while audience.encoded <= index:
                await asyncio.sleep(0)
        audience.leave(recorder)
        facts = await recorder.close()
        await audience.close()
        return facts

    facts = asyncio.run(test())

    assert len(played(tmp_path / facts.file)) == 5


def test_without_a_folder_recording_is_refused_by_name():
    with pytest.raises(RecordingOff, match="start the server with --record-dir DIR"):
        begin_recording(None, "stage")
