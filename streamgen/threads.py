"""How many processor threads the libraries of this process may use."""

from __future__ import annotations

import cv2
import torch


def use_threads(number: int | None) -> None:
    """Give a process that draws `number` threads; None leaves torch what it took.

    OpenCV gets one: its pictures are small, and threads of a pool of its own would take turns with
    those of the engine (measured: 5 ms a frame instead of 3).
    """
    if number is not None:
        torch.set_num_threads(number)
    cv2.setNumThreads(1)
