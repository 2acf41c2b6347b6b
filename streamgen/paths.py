"""What a file system answers about a name that a user gave; knows no kind of file."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from streamgen.errors import StreamgenError


@contextmanager
def asking_about(subject: str, kind: type[StreamgenError]) -> Generator[None, None, None]:
    """Turn what the file system refuses (too long, not allowed, a circle) into a sentence."""
    try:
        yield
    except OSError as error:
        raise kind(f"{subject} cannot be reached: {error.strerror or error}") from error
    except RuntimeError as error:  # Path.resolve before Python 3.13
        raise kind(f"{subject} cannot be reached: its links lead in a circle") from error
