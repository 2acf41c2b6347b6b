"""The newest frame between two processes, in shared memory; knows no processes.

Three buffers take turns, so that the reader copies one while the writer fills another; a number
before and after each tells a copy that was overtaken meanwhile, which is then made anew. Nothing is
locked: a process that dies holds nobody up.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from fractions import Fraction
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from streamgen.frame import Frame, Pixels, Stamp

BUFFERS = 3
# The number of the newest frame, 0 before the first.
_HEAD = struct.Struct("=Q")
# Number before and after, then the stamp; -1 stands for None.
_STAMP = struct.Struct("=QQqqqqqqqq")
_SPACE = 128


class FrameSlot:
    """One writer's newest frame for one reader in another process; frames are of one size."""

    def __init__(self, memory: SharedMemory, width: int, height: int, *, is_owner: bool) -> None:
        self.width, self.height = width, height
        assert memory.buf is not None, "open memory has a buffer"
        self._memory = memory
        self._bytes = memory.buf
        self._is_owner = is_owner
        self._written = 0
        self._read = 0

    @classmethod
    def create(cls, width: int, height: int) -> FrameSlot:
        """Return a new slot; who creates it also removes it, by `close`."""
        size = _SPACE + BUFFERS * (_SPACE + width * height * 3)
        memory = SharedMemory(create=True, size=size)  # zeros, by the system
        return cls(memory, width, height, is_owner=True)

    @classmethod
    def attach(cls, name: str, width: int, height: int) -> FrameSlot:
        """Return the slot that another process created."""
        return cls(SharedMemory(name=name), width, height, is_owner=False)

    @property
    def name(self) -> str:
        return self._memory.name

    def write(self, frame: Frame) -> None:
        """Make a frame the newest; ValueError for one of another size."""
        if (frame.width, frame.height) != (self.width, self.height):
            raise ValueError(
                f"frame {frame.width}x{frame.height}: this stream has {self.width}x{self.height}"
            )
        number = self._written + 1
        start, pixels = self._buffer(number)
        stamp = frame.stamp
        fields = (
            stamp.index,
            stamp.pts,
            stamp.time_base.numerator,
            stamp.time_base.denominator,
            stamp.ingest_ns,
            -1 if stamp.capture_ns is None else stamp.capture_ns,
            -1 if stamp.tick_ns is None else stamp.tick_ns,
            stamp.revision,
        )
        _STAMP.pack_into(self._bytes, start, number, 0, *fields)
        pixels[...] = frame.pixels
        _STAMP.pack_into(self._bytes, start, number, number, *fields)
        _HEAD.pack_into(self._bytes, 0, number)
        self._written = number

    def read(self, *, in_order: bool = False) -> tuple[Frame, int] | None:
        """Return the newest frame that was not read yet, and how many before it were passed over.

        None where there is no new one. in_order: return the oldest one that is still there.
        """
        late = BUFFERS - 1 if in_order else 0
        while True:
            (newest,) = _HEAD.unpack_from(self._bytes, 0)
            if newest == self._read:
                return None
            number = max(newest - late, self._read + 1)
            late = max(late - 1, 0)  # where it is overwritten meanwhile, the next one is tried
            start, shared = self._buffer(number)
            before, after, *fields = _STAMP.unpack_from(self._bytes, start)
            pixels: Pixels = shared.copy()
            (still,) = _HEAD.unpack_from(self._bytes, start)
            if before == after == still == number:
                passed = number - self._read - 1
                self._read = number
                return Frame(pixels=pixels, stamp=_stamp(fields)), passed

    def close(self) -> None:
        """Let go of the memory, and remove it where it was created."""
        self._memory.close()
        if self._is_owner:
            with suppress(FileNotFoundError):
                self._memory.unlink()

    def _buffer(self, number: int) -> tuple[int, Pixels]:
        """Return where the buffer of a number starts, and its pixels."""
        size = self.width * self.height * 3
        start = _SPACE + number % BUFFERS * (_SPACE + size)
        pixels: Pixels = np.ndarray(
            (self.height, self.width, 3), np.uint8, self._bytes, start + _SPACE
        )
        return start, pixels


def _stamp(fields: list[int]) -> Stamp:
    index, pts, numerator, denominator, ingest_ns, capture_ns, tick_ns, revision = fields
    return Stamp(
        index=index,
        pts=pts,
        time_base=Fraction(numerator, denominator),
        ingest_ns=ingest_ns,
        capture_ns=None if capture_ns < 0 else capture_ns,
        tick_ns=None if tick_ns < 0 else tick_ns,
        revision=revision,
    )
