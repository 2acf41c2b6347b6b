"""The memory that TensorRT's networks work in, one after the other; knows nothing of their work."""

from __future__ import annotations

from threading import Lock

import torch
from torch import Tensor

# What CUDA gives begins at a multiple of this, and TensorRT asks for it.
_ALIGNMENT = 256


class Scratch:
    """One piece of memory for each stream of a device: on one stream, only one network runs.

    A recorded graph goes on writing where it wrote when it was recorded. So a piece that has become
    too small is replaced for those who ask from now on, and goes when the last binding lets go.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        #: For work that is not to be on CUDA's default stream; none where there is no CUDA.
        self.aside = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._pieces: dict[int, Tensor] = {}
        self._lock = Lock()

    def piece(self, stream: int, nbytes: int) -> Tensor:
        """Return uint8 memory for a stream, of so many bytes at least, aligned."""
        with self._lock:
            held = self._pieces.get(stream)
            if held is None or held.nbytes < nbytes:
                held = self._pieces[stream] = self._allocated(max(nbytes, _ALIGNMENT))
            return held

    @property
    def nbytes(self) -> int:
        """Bytes of the pieces that are given out now."""
        return sum(piece.nbytes for piece in tuple(self._pieces.values()))

    def _allocated(self, nbytes: int) -> Tensor:
        room = torch.empty(nbytes + _ALIGNMENT, dtype=torch.uint8, device=self.device)
        skipped = -room.data_ptr() % _ALIGNMENT
        return room[skipped : skipped + nbytes]
