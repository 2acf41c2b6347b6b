from __future__ import annotations

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.video.frame import VideoFrame
from PIL import Image

from benchmarks.clip import SAMPLE, read_clip
from streamgen.errors import SourceError
from streamgen.sources import open_source


def test_a_clip_shorter_than_asked_for_begins_again(clip):
    read = read_clip(clip, limit=20)

    assert len(read.pictures) == 6
    assert read.picture(6) is read.picture(0)
    assert read.picture(11) is read.picture(5)


def test_no_more_pictures_are_kept_than_asked_for(clip):
    assert len(read_clip(clip, limit=2).pictures) == 2


def test_the_clip_that_ships_can_be_read():
    assert len(read_clip(SAMPLE, limit=3).pictures) == 3


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match="nowhere.mp4': there is no such file"):
        read_clip(tmp_path / "nowhere.mp4", limit=2)


def test_a_still_image_is_no_clip(tmp_path):
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "still.png")

    with pytest.raises(SourceError, match="still.png' is no video"):
        read_clip(tmp_path / "still.png", limit=2)


def test_of_two_films_in_a_file_it_is_the_one_that_a_source_reads(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, (width, height) in zip(streams, [(64, 48), (128, 96)], strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        streams[1].disposition = Disposition.default
        for number in range(4):
            for stream in streams:
                blank = np.zeros((stream.height, stream.width, 3), np.uint8)
                picture = VideoFrame.from_ndarray(blank, format="rgb24")
                picture.pts = number
                output.mux(stream.encode(picture))
        for stream in streams:
            output.mux(stream.encode(None))
    with open_source(path) as source:
        expected = source.info.width

    assert read_clip(path, limit=2).picture(0).width == expected
