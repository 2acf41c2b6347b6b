from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.clip import SAMPLE, read_clip
from streamgen.errors import SourceError


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
