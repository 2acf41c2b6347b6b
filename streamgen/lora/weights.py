"""What a denoiser and its text encoders hold: the model's own weights, or those with LoRAs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamgen.lora.delta import Scaled

#: LoRAs by the digests of their files, each with its scale: what weights depend on, bit for bit.
Key = frozenset[tuple[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Weights:
    """Weights that a revision is drawn with; one object for all that are drawn with the same.

    Networks keep them for as long as it lives. stack: empty for the model's own.
    """

    stack: tuple[Scaled, ...] = ()

    @property
    def key(self) -> Key:
        """What tells these weights from others."""
        return key_of(self.stack)

    @property
    def text_key(self) -> Key:
        """What tells the weights of the text encoders from others; empty for the model's own."""
        return key_of([each for each in self.stack if _reads(each)])


def key_of(stack: Sequence[Scaled]) -> Key:
    """Return what tells a stack from others: neither its order nor what is at scale 0."""
    return frozenset((each.lora.digest, each.scale) for each in stack if each.scale)


def _reads(scaled: Scaled) -> bool:
    """Tell whether a LoRA changes how sentences are read."""
    return any(network != "unet" for network, _ in scaled.lora.factors)
