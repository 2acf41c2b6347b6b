"""Recordings of streams by their names, into real files."""

from __future__ import annotations

import av
import pytest

from server.nouns import UnknownSession, UnknownStream
from server.recorder_files import RecordingLimits, RecordingPlace
from server.recording import RecordingOff


def test_what_a_stream_shows_is_recorded_until_it_is_told_to_end(runner, house, tmp_path):
    async def play():
        place = RecordingPlace(folder=tmp_path, limits=RecordingLimits(free_bytes=0))
        async with house.open(recordings=place) as sessions:
            owner = house.visitor(120)
            opened = await owner.join(sessions, name="stage")
            await owner.sees(120)
            assert sessions.recording("stage") is None
            with pytest.raises(UnknownSession, match="nothing was recorded"):
                await sessions.end_recording("stage")
            assert (await sessions.record("stage")).state != "ended"
            await house.looked(lambda: sessions.recording("stage").seconds > 0.5)
            assert (await sessions.record("stage")).files == sessions.recording("stage").files
            status = await sessions.stream_status("stage")
            assert (status.is_recording, status.viewers) == (True, 0)
            facts = await sessions.end_recording("stage")
            assert facts.state == "ended" and facts.why_ended == ""
            assert levels(tmp_path / facts.file) == {True}
            assert not sessions.streams()[0].is_recording

            again = await sessions.record("stage")
            assert again.state == "waiting"
            await house.looked(lambda: sessions.recording("stage").file is not None)
            file = sessions.recording("stage").file
            assert file != facts.file
            await sessions.close(opened.id)
            assert levels(tmp_path / file) == {True}
            with pytest.raises(UnknownStream):
                sessions.recording("stage")

    runner.run(play())


def levels(path):
    """Return whether the pictures of a file are grey 120, as a set."""
    with av.open(str(path)) as file:
        return {
            abs(int(frame.to_ndarray(format="rgb24")[32, 32].mean()) - 120) < 8
            for frame in file.decode(video=0)
        }


def test_without_a_folder_recording_is_refused_by_the_name_of_its_option(runner, house):
    async def play():
        async with house.open() as sessions:
            await house.visitor().join(sessions, name="stage")
            with pytest.raises(RecordingOff, match="--record-dir"):
                await sessions.record("stage")
            assert not sessions.streams()[0].is_recording

    runner.run(play())
