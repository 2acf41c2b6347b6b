"""A sink that counts frames and keeps none."""

from __future__ import annotations

from streamgen.frame import Frame
from streamgen.sinks.protocol import Sink


class NullSink(Sink):
    """frames: how many came."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.frames = 0

    def write(self, frame: Frame) -> None:
        """Count the frame."""
        self.frames += 1

    def finish(self) -> None:
        """Nothing is to be finished."""

    def abandon(self) -> None:
        """Nothing is left behind."""
