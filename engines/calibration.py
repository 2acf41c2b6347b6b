"""Real inputs of a network, for backends that choose the ranges of small integers by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a network is given in use.

    samples: called when a network is built, and only then; each sample names all inputs of the
    specification, in its shapes. fingerprint: text that changes with the samples.
    """

    samples: Callable[[], Sequence[Mapping[str, Tensor]]]
    fingerprint: str
