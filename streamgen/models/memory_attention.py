"""A UNet whose self-attentions also see keys, values and outputs of frames before; named tensors.

Extended self-attention and feature fusion (StreamV2V, Liang et al. 2024, arXiv 2405.15757), without
state: what is remembered comes in, what is new goes out, as `extensions` says.

Strength is a bias: the logarithm of it is added to what a query and a remembered key give, so a
remembered token has that weight beside one of the frame's own. 1 is StreamV2V, 0 and what is not
filled weigh nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any  # Any: what a network gives

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from streamgen.errors import ConfigError
from streamgen.models.extensions import MemoryLayer
from streamgen.models.networks import denoiser_of

#: Outputs of this cosine begin to be fused; those of ALL are wholly. Between them it grows, so that
#: a rounding makes no other picture.
ALIKE, ALL = 0.98, 0.99
# Its logarithm is a number in every float type that has so small ones; in others it is -infinity.
_NOTHING = 1e-30


@dataclass(slots=True, eq=False)
class Recall:
    """What one call of the network remembers, for its attentions to take and to add to.

    slot: [B]. filled: bool [B, F]. bias: [B, F], the logarithm of what each frame's tokens weigh.
    fusion: [B]. memory: slabs [S, F, N, D] and new: [B, N, D], both by the last words of their
    names in `extensions`.
    """

    slot: Tensor
    filled: Tensor
    bias: Tensor
    fusion: Tensor
    memory: dict[str, Tensor]
    new: dict[str, Tensor] = field(default_factory=dict)

    def taken(self, name: str, dtype: torch.dtype) -> Tensor:
        """Return what the rows' slots hold, [B, F * N, D]."""
        return self.memory[name].index_select(0, self.slot).flatten(1, 2).to(dtype)

    def biases(self, tokens: int) -> Tensor:
        """Return what is added where a query meets the own and the remembered keys, [B, ...]."""
        told = self.bias.repeat_interleave(tokens, dim=1)
        own = torch.zeros_like(self.bias[:, :1]).expand(-1, tokens)
        return torch.cat([own, told], dim=1)


class MemoryAttention:
    """A processor of diffusers for one self-attention; `recall` is set while the network runs."""

    def __init__(self, number: int, layer: MemoryLayer) -> None:
        self.number = number
        self.tokens = layer.tokens
        self.is_fused = layer.is_fused
        self.recall: Recall | None = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Return [B, N, D] of [B, N, D]; names are those that diffusers gives them by."""
        recall, dtype = self.recall, hidden_states.dtype
        assert recall is not None and encoder_hidden_states is None, "set by `MemoryDenoiser`"
        key, value = attn.to_k(hidden_states), attn.to_v(hidden_states)
        self._keep("k", key)
        self._keep("v", value)
        keys = torch.cat([key, recall.taken(f"k_{self.number}", dtype)], dim=1)
        values = torch.cat([value, recall.taken(f"v_{self.number}", dtype)], dim=1)
        bias = recall.biases(self.tokens).to(dtype)
        query, heads = attn.to_q(hidden_states), attn.heads
        seen = scaled_dot_product_attention(
            _split(query, heads),
            _split(keys, heads),
            _split(values, heads),
            # A row for each query, all alike: ONNX asks for them.
            attn_mask=bias[:, None, None].expand(-1, -1, self.tokens, -1),
        )
        out: Tensor = attn.to_out[0](seen.transpose(1, 2).flatten(2, 3))
        return self._fused(out, recall) if self.is_fused else out

    def _fused(self, out: Tensor, recall: Recall) -> Tensor:
        """Return the output with some of the likest remembered one in each token; and keep it."""
        self._keep("o", out)
        remembered = recall.taken(f"o_{self.number}", out.dtype)
        cosine = normalize(out, dim=2) @ normalize(remembered, dim=2).transpose(1, 2)
        is_empty = ~recall.filled.repeat_interleave(self.tokens, dim=1)
        best, at = cosine.masked_fill(is_empty[:, None], -1.0).max(dim=2, keepdim=True)
        likest = remembered.gather(1, at.expand(-1, -1, out.shape[2]))
        share = ((best - ALIKE) / (ALL - ALIKE)).clamp(0, 1)
        share = share * recall.fusion.to(out.dtype).view(-1, 1, 1)
        return out + share * (likest - out)

    def _keep(self, part: str, made: Tensor) -> None:
        assert self.recall is not None, "only called while there is one"
        self.recall.new[f"{part}_{self.number}"] = made


class MemoryDenoiser(nn.Module):
    """As `denoiser_of` makes it, with memory: x, t, text, further inputs, memory → answer, new ….

    Inputs and outputs are in the order of `extensions.with_memory`. Weights are those of the UNet;
    the UNet itself stays as it is.
    """

    def __init__(
        self, unet: UNet2DConditionModel, names: Sequence[str], layers: Sequence[MemoryLayer]
    ) -> None:
        """names: of the further inputs. Raises ConfigError for a UNet that has other layers."""
        super().__init__()
        weights = {id(each): each for each in chain(unet.parameters(), unet.buffers())}
        own: UNet2DConditionModel = copy.deepcopy(unet, weights)
        self.parts = put_memory(own, layers)
        self.network = denoiser_of(own, names)
        self.plain_inputs = 3 + len(names)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        plain, memory = inputs[: self.plain_inputs], inputs[self.plain_inputs :]
        recall = recalled(memory, self.parts)
        answer: Tensor = run_with(recall, self.network, plain)
        return (answer, *(recall.new[part] for part in self.parts))


def put_memory(unet: UNet2DConditionModel, layers: Sequence[MemoryLayer]) -> tuple[str, ...]:
    """Have the self-attentions of a UNet look at a memory, in place; return what it consists of.

    Raises ConfigError for a UNet that has other layers.
    """
    found = list(_self_attentions(unet))
    _check(found, layers)
    for number, (attention, layer) in enumerate(zip(found, layers, strict=True)):
        attention.set_processor(MemoryAttention(number, layer))
    return tuple(f"{part}_{k}" for k, each in enumerate(layers) for part in each.parts)


def recalled(memory: Sequence[Tensor], parts: Sequence[str]) -> Recall:
    """Return what a call remembers, of the inputs of `extensions.with_memory`."""
    slot, mask, strength, fusion, *slabs = memory
    # Whoever tries the network out on any numbers shall not read beyond the slab.
    slot = slot.clamp(0, mask.shape[0] - 1)
    filled = mask.index_select(0, slot)
    bias = (filled.to(strength.dtype) * strength[:, None]).clamp(min=_NOTHING).log()
    return Recall(slot, filled, bias, fusion, dict(zip(parts, slabs, strict=True)))


def run_with(recall: Recall, network: nn.Module, inputs: Sequence[Tensor]) -> Any:
    """Return what a network makes of its inputs, whose UNet has been through `put_memory`."""
    _hand_out(network, recall)
    try:
        return network(*inputs)
    finally:
        _hand_out(network, None)


def _hand_out(network: nn.Module, recall: Recall | None) -> None:
    for part in network.modules():
        if isinstance(part, Attention) and isinstance(part.processor, MemoryAttention):
            part.processor.recall = recall


def _self_attentions(unet: UNet2DConditionModel) -> Iterator[Attention]:
    """Yield them in the order that they are run in: torch walks the way up before the middle.

    Those of motion modules, which have the same name, are over time, and none of diffusers'.
    """
    for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
        parts = block.named_modules() if block is not None else ()
        named = (part for name, part in parts if name.endswith("attn1"))
        yield from (part for part in named if isinstance(part, Attention))


def _check(found: Sequence[Attention], layers: Sequence[MemoryLayer]) -> None:
    widths = [attention.inner_dim for attention in found]
    expected = [layer.width for layer in layers]
    if widths != expected or any(each.is_cross_attention for each in found):
        raise ConfigError(
            f"feature bank: this UNet has {len(found)} self-attentions of widths {widths}, its"
            f" config tells of {expected}: set bank_strength and bank_fusion to 0"
        )


def _split(tensor: Tensor, heads: int) -> Tensor:
    """Return [B, heads, N, D / heads] of [B, N, D]."""
    batch, tokens, width = tensor.shape
    return tensor.view(batch, tokens, heads, width // heads).transpose(1, 2)
