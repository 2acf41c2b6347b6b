"""A UNet that looks at a feature bank and has motion modules; named tensors, no state."""

from __future__ import annotations

from collections.abc import Sequence

from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from streamgen.models.extensions import MemoryLayer
from streamgen.models.memory_attention import put_memory, recalled, run_with
from streamgen.motion.unet import MotionUnet

#: Of the inputs of a bank, those that are no slabs: slot, mask, strength, fusion.
_TOLD = 4


class BothMemories(nn.Module):
    """x, t, text, further inputs, bank, motion → answer, what is new for each, in this order."""

    def __init__(self, network: MotionUnet, layers: Sequence[MemoryLayer]) -> None:
        """network: nobody else's, it is changed. layers: whose keys and values are kept.

        Raises ConfigError for a UNet that has other layers.
        """
        super().__init__()
        unet = network.unet
        assert isinstance(unet, UNet2DConditionModel), "it was made of one"
        self.parts = put_memory(unet, layers)
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs and outputs are in the order of `extensions`, then of `motion_extension`."""
        first = self.network.plain_inputs
        last = first + _TOLD + len(self.parts)
        plain, memory, motion = inputs[:first], inputs[first:last], inputs[last:]
        recall = recalled(memory, self.parts)
        answer, *moved = run_with(recall, self.network, [*plain, *motion])
        return (answer, *(recall.new[part] for part in self.parts), *moved)
