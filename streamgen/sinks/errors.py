"""The sentences for a result that cannot be written; knows no format."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import av

from streamgen.errors import SinkError

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write_error(
    target: Path, error: Exception, *, frames: int = 0, written_bytes: int = 0
) -> SinkError:
    """Return the sentence for an error of the file system or of libav.

    frames, written_bytes: how far the result had got.
    """
    code = error.errno if isinstance(error, (OSError, av.FFmpegError)) else None
    got = f" after {frames} frames ({_megabytes(written_bytes)})" if frames else ""
    if code in _FULL:
        place = target if target.is_dir() else target.parent  # a folder may be a disk of its own
        free = _megabytes(shutil.disk_usage(place).free)
        reason = f"the disk is full ({free} free); make room or choose another place"
    elif code == errno.EFBIG:
        reason = "the file reached the largest size that is allowed here; choose another place"
    elif code in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = f"writing into '{target.parent}' is not allowed; choose another place"
    else:
        reason = getattr(error, "strerror", None) or str(error)
    return SinkError(f"output '{target}' cannot be written{got}: {reason}")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
