"""Which layer, and which part of its LoRA, a key of a file names; knows no tensors and no files.

A layer is found by its spelling with `_` for every dot: kohya writes names so, and of any other
naming it can be made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from streamgen.errors import ModelError
from streamgen.lora.original import original_names

Network: TypeAlias = Literal["unet", "text_encoder", "text_encoder_2"]
Part: TypeAlias = Literal["down", "up", "alpha"]

#: Of kohya, of diffusers, and of what names the layers as Stability AI's code did.
_PREFIXES: Mapping[str, Network] = {
    "lora_unet_": "unet",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "unet.": "unet",
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
    "diffusion_model.": "unet",
}
#: How names begin where nothing says which network they are of: diffusers before 0.17.
_ROOTS: Mapping[str, Network] = {
    "down_blocks.": "unet",
    "mid_block.": "unet",
    "up_blocks.": "unet",
    "text_model.": "text_encoder",
}
_ENDINGS: Mapping[str, Part] = {
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    "_lora.down.weight": "down",
    "_lora.up.weight": "up",
    ".lora.alpha": "alpha",
    ".lora_linear_layer.alpha": "alpha",
    "_lora.alpha": "alpha",
    ".alpha": "alpha",
}
#: What else files hold, by a step of their keys.
_UNSUPPORTED: Mapping[str, str] = {
    r"hada_\w+": "a LoHa",
    r"lokr_\w+": "a LoKr",
    r"dora_scale|lora_magnitude_vector": "a DoRA",
    r"b?oft_\w+": "an OFT",
    r"lora_mid": "a LoCon in Tucker form",
    r"lora_embedding_[AB]": "a LoRA of embeddings",
    r"bundle_emb": "a LoRA with embeddings of new words",
    r"diff|diff_b": "full differences of weights",
    r"(?:lora_B(?:\.default)?|lora_up)\.bias": "a LoRA with biases",
}
_OLD_ATTENTION = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyName:
    """What a key names; layer is spelt as in the file, without what stands around it."""

    network: Network
    layer: str
    part: Part

    @property
    def spelling(self) -> str:
        return flat(self.layer)


def parse(key: str) -> KeyName:
    """Return what a key names; raise ModelError, without the file's name, for any other key."""
    for step, kind in _UNSUPPORTED.items():
        if re.search(rf"(?:^|\.)(?:{step})(?:\.|$)", key):
            raise ModelError(f"it is {kind} ({key!r}): supported are plain LoRAs, down and up")
    ending = next((ending for ending in _ENDINGS if key.endswith(ending)), None)
    network, rest = _network(key)
    if ending is None or network is None:
        raise ModelError(
            f"its key {key!r} is unknown: supported are the names of diffusers and PEFT"
            " ('unet.….lora_A.weight') and of kohya ('lora_unet_….lora_down.weight')"
        )
    layer = rest.removesuffix(ending).replace(".processor.", ".")
    return KeyName(network=network, layer=_modern(layer, network), part=_ENDINGS[ending])


def flat(name: str) -> str:
    """Return the spelling that a layer is found by."""
    return name.replace(".", "_")


def spellings(network: Network, layers: Iterable[str]) -> dict[str, str]:
    """Return the names of a network's layers by all the spellings that files have for them."""
    names = list(layers)
    found = {flat(name): name for name in names}
    if network == "unet":
        others = {flat(other): name for name, other in original_names(names).items()}
    else:
        # Some of the encoder's classes have this step in the names of their layers, others not.
        step = "text_model_"
        others = {
            spelling.removeprefix(step) if spelling.startswith(step) else step + spelling: name
            for spelling, name in found.items()
        }
    return {**others, **found}


def _network(key: str) -> tuple[Network | None, str]:
    for prefix, network in _PREFIXES.items():
        if key.startswith(prefix):
            return network, key.removeprefix(prefix)
    for root, network in _ROOTS.items():
        if key.startswith(root):
            return network, key
    return None, key


def _modern(layer: str, network: Network) -> str:
    """Return today's name of an attention's layer: old files name the processor's."""
    before, dot, last = layer.rpartition(".")
    if not dot:
        return layer
    if network == "unet":
        return f"{layer}.0" if last == "to_out" else layer
    return f"{before}.{_OLD_ATTENTION.get(last, last)}"
