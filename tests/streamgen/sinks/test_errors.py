from __future__ import annotations

import errno
from pathlib import Path

import av
import pytest

from streamgen.sinks.errors import write_error


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("kind", [OSError, av.FFmpegError])
def test_a_full_disk_says_how_much_is_free_and_how_far_it_got(
    tmp_path: Path, kind: type[OSError] | type[av.FFmpegError], code: int
) -> None:
    error = kind(code, "No space left on device")
    sentence = str(write_error(tmp_path / "o.mp4", error, frames=7, written_bytes=2_500_000))
    assert sentence.startswith(f"output '{tmp_path}/o.mp4' cannot be written after 7 frames")
    assert "(2.5 MB): the disk is full (" in sentence
    assert sentence.endswith(" MB free); make room or choose another place")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_place_that_is_not_allowed_is_named(tmp_path: Path, code: int) -> None:
    sentence = str(write_error(tmp_path / "o.mp4", OSError(code, "no")))
    assert f"writing into '{tmp_path}' is not allowed" in sentence


def test_any_other_error_keeps_the_words_of_the_system(tmp_path: Path) -> None:
    sentence = str(write_error(tmp_path / "o.mp4", OSError(errno.EIO, "Input/output error")))
    assert sentence == f"output '{tmp_path}/o.mp4' cannot be written: Input/output error"
