"""Numbered PNG files in a folder that appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from streamgen.errors import SinkError
from streamgen.frame import Frame
from streamgen.sinks.errors import write_error
from streamgen.sinks.partial import Partial, claim_folder
from streamgen.sinks.protocol import Sink, SinkOptions


def open_folder(target: Path, options: SinkOptions) -> FolderSink:
    """Begin a folder under a hidden name beside `target`."""
    source, overwrite = options.source_path, options.overwrite
    sink = FolderSink(claim_folder(target, source=source, overwrite=overwrite))
    if options.audio is not None:
        sink.notes.append("the sound was left out: a folder of images holds none")
    return sink


class FolderSink(Sink):
    """000000.png, 000001.png, … in the order of writing."""

    def __init__(self, partial: Partial) -> None:
        self.notes: list[str] = []
        self._partial = partial
        self._frames = 0
        self._bytes = 0
        self._is_open = True

    def write(self, frame: Frame) -> None:
        """Write the next numbered file."""
        if not self._is_open:
            raise SinkError(f"output '{self._partial.target}' is closed, no frame can be added")
        path = self._partial.path / f"{self._frames:06d}.png"
        try:
            Image.fromarray(frame.pixels).save(path, compress_level=1)
            self._bytes += path.stat().st_size
        except OSError as error:
            raise self._failed(error) from error
        self._frames += 1

    def finish(self) -> None:
        """Move the folder to its name."""
        if not self._is_open:
            return
        if self._frames == 0:
            self.abandon()
            raise SinkError(f"output '{self._partial.target}': no frame was written to it")
        try:
            self._partial.publish_folder()
        except OSError as error:
            raise self._failed(error) from error
        self._is_open = False

    def abandon(self) -> None:
        """Remove what was written."""
        if self._is_open:
            self._is_open = False
            self._partial.discard()

    def _failed(self, error: OSError) -> SinkError:
        target = self._partial.target
        self.abandon()
        return write_error(target, error, frames=self._frames, written_bytes=self._bytes)
