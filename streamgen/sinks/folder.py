"""Numbered PNG files in a folder that appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from streamgen.errors import SinkError
from streamgen.frame import Frame, VideoInfo
from streamgen.sinks.errors import write_error
from streamgen.sinks.partial import Partial, claim_folder
from streamgen.sinks.protocol import Sink, SinkOptions

# Transfers of ITU-T H.273 that a viewer of pictures takes for the usual one.
_HDR_CURVES = {16: "PQ", 18: "HLG"}


def open_folder(target: Path, info: VideoInfo, options: SinkOptions) -> FolderSink:
    """Begin a folder under a hidden name beside `target`."""
    source, overwrite = options.source_path, options.overwrite
    sink = FolderSink(claim_folder(target, source=source, overwrite=overwrite))
    if options.audio is not None:
        sink.notes.append("the sound was left out: a folder of images holds none")
    curve = _HDR_CURVES.get(info.colour.transfer or 0)
    if curve is not None:
        sink.notes.append(
            f"the pictures look dull: their brightness is that of HDR ({curve}), which .png files"
            " cannot say; write .mp4 or .mov to keep the look"
        )
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
        """Make the pictures appear; SinkError names where they are if they cannot."""
        if not self._is_open:
            return
        if self._frames == 0:
            self.abandon()
            raise SinkError(f"output '{self._partial.target}': no frame was written to it")
        self._is_open = False
        self._partial.publish_folder()

    def abandon(self) -> None:
        """Remove what was written."""
        if self._is_open:
            self._is_open = False
            self._partial.discard()

    def _failed(self, error: OSError) -> SinkError:
        target, frames = self._partial.target, self._frames
        sentence = write_error(target, error, frames=frames, written_bytes=self._bytes)
        self.abandon()  # after the sentence: it tells how much room there was
        return sentence
