"""What a recording's own thread does: pieces in, files out, until a limit or a failure.

Knows no event loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Literal

import av

from server.recorder_files import GB, RecordingError, RecordingFolder, RecordingLimits, stem_of
from server.recorder_mp4 import Mp4Part, Piece, begin_part, parameters_of

logger = logging.getLogger(__name__)

#: How often room is looked at, in seconds of the recording.
LOOK_S = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFacts:
    """How a recording is doing.

    file: the name of the newest, None until the first picture. files: all of them, as each size of
    picture has its own. seconds, bytes: of all files. state: `waiting` for the first picture.
    why_ended: a sentence where it did not end because it was told to.
    """

    name: str
    state: Literal["waiting", "recording", "ended"] = "waiting"
    file: str | None = None
    files: tuple[str, ...] = ()
    seconds: float = 0.0
    bytes: int = 0
    why_ended: str = ""


class RecordingWriter:
    """Writes pieces to files, in a thread of its own; others only look at `facts` and `written`."""

    def __init__(
        self,
        folder: RecordingFolder,
        name: str,
        *,
        limits: RecordingLimits,
        clock: Callable[[], float],
    ) -> None:
        self.pieces: SimpleQueue[Piece | None] = SimpleQueue()
        self.written = 0
        self.facts = RecordingFacts(name=name)
        self._folder, self._limits, self._clock = folder, limits, clock
        self._stem = ""
        self._part: Mp4Part | None = None
        self._whole_s = 0.0
        self._whole_bytes = 0
        self._looked_s = 0.0

    def run(self) -> None:
        """Write until told to end, a limit is reached or something fails."""
        why = "something went wrong"
        try:
            why = self._write_all()
            self._close_part()
        except (OSError, av.FFmpegError, RecordingError) as error:
            why = getattr(error, "strerror", None) or str(error)
            logger.warning("recording of %s: %s", self.facts.name[:6], error)
        finally:
            if self._part is not None:
                self._part.drop()
                self._tell(self._part)
            says = f"The recording ended: {why}." if why else ""
            self.facts = replace(self.facts, state="ended", why_ended=says)

    def _write_all(self) -> str:
        """Return which limit was reached, or nothing where it was told to end."""
        while (piece := self.pieces.get()) is not None:
            if why := self._limit(piece):
                return why
            part = self._part_for(piece)
            part.add(piece)
            self.written += len(piece.data)
            self._tell(part)
        return ""

    def _limit(self, piece: Piece) -> str:
        limits, facts = self._limits, self.facts
        if facts.seconds >= limits.max_s:
            return f"it has reached {limits.max_s / 60:g} minutes"
        if self._part is None or facts.seconds - self._looked_s >= LOOK_S:
            self._looked_s = facts.seconds
            if why := self._folder.make_room():
                return why
        if self._part is not None and self._part.file.size + len(piece.data) > limits.max_bytes:
            return f"its file has reached {limits.max_bytes / GB:g} GB"
        return ""

    def _part_for(self, piece: Piece) -> Mp4Part:
        """Return the file for a picture: a new one where it is of another size."""
        part = self._part
        if part is not None and not (
            piece.is_key and parameters_of(piece.data) not in (b"", part.parameters)
        ):
            return part
        self._close_part()
        self._stem = self._stem or stem_of(self.facts.name, self._clock())
        file = self._folder.claim(self._stem)
        self.facts = replace(
            self.facts,
            state="recording",
            file=file.path.name,
            files=(*self.facts.files, file.path.name),
        )
        try:
            part = self._part = begin_part(file, piece)
        except BaseException:
            file.close()
            raise
        return part

    def _close_part(self) -> None:
        """Make the file whole that is being written, if there is one."""
        part, self._part = self._part, None
        if part is not None:
            try:
                part.close()
            finally:
                self._tell(part)
            self._whole_s, self._whole_bytes = self.facts.seconds, self.facts.bytes

    def _tell(self, part: Mp4Part) -> None:
        self.facts = replace(
            self.facts,
            seconds=self._whole_s + part.seconds,
            bytes=self._whole_bytes + part.file.size,
        )
