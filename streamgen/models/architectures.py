"""Published networks with seeded random weights: for shapes, parity and speed only, never to draw.

What a network is, is a config of diffusers or transformers in `architectures/`: facts of the model
it is named after. Nothing is fetched. Knows nothing of models that draw for a user.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # Any: JSON

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from streamgen.errors import ModelError

_FOLDER = Path(__file__).with_suffix("")
#: Networks that are built alike.
_SAME = {
    "taesdxl": "taesd",  # other weights
    "sdxl-turbo-text": "sd15-text",
}
NAMES = tuple(sorted({path.stem for path in _FOLDER.glob("*.json")} | _SAME.keys()))


def make(
    name: str,
    *,
    seed: int = 0,
    scale: float = 1.0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """Return a network for inference with random weights, the same for a seed on one device.

    name: one of NAMES. scale: above 0 to 1; of the published widths and depths, which stay what the
    network can be built with. device: "meta" for counting, without weights.
    """
    config = config_of(name, scale=scale)
    where = torch.device(device)
    generators = [where.index or 0] if where.type == "cuda" else []
    with torch.random.fork_rng(devices=generators), where:
        torch.manual_seed(seed)
        made = _built(config)
    # Not `made.to`: that of diffusers warns of every dtype.
    return nn.Module.to(made, dtype).eval().requires_grad_(False)


def config_of(name: str, *, scale: float = 1.0) -> dict[str, Any]:
    """Return the config of a network of NAMES, at a part of its widths and depths."""
    if name not in NAMES:
        raise ModelError(f"architecture {name!r}: choose {', '.join(NAMES)}")
    if not 0 < scale <= 1:
        raise ModelError(f"architecture {name!r}: scale {scale:g}: give one above 0, up to 1")
    text = (_FOLDER / f"{_SAME.get(name, name)}.json").read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)
    return config if scale == 1 else {**config, **_scaled(config, scale)}


def _built(config: Mapping[str, Any]) -> nn.Module:
    rest = {name: value for name, value in config.items() if name != "_class_name"}
    match config["_class_name"]:
        case "UNet2DConditionModel":
            unet: nn.Module = UNet2DConditionModel(**rest)
            return unet
        case "AutoencoderTiny":
            vae: nn.Module = AutoencoderTiny(**rest)
            return vae
        case "CLIPTextModelWithProjection":
            return CLIPTextModelWithProjection(CLIPTextConfig(**rest))
        case _:
            return CLIPTextModel(CLIPTextConfig(**rest))


def _scaled(config: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """Return what is smaller in a network of a part of the size."""
    match config["_class_name"]:
        case "UNet2DConditionModel":
            return _scaled_unet(config, scale)
        case "AutoencoderTiny":
            sides = ("encoder_block_out_channels", "decoder_block_out_channels")
            return {side: [_part(width, scale, of=8) for width in config[side]] for side in sides}
        case _:
            widths = ("hidden_size", "intermediate_size", "projection_dim")
            smaller = {name: _part(config[name], scale, of=64) for name in widths}
            return {
                **smaller,
                "num_attention_heads": smaller["hidden_size"] // 64,
                # Two, because the embedding of SDXL is the last but one.
                "num_hidden_layers": max(2, round(config["num_hidden_layers"] * scale)),
            }


def _scaled_unet(config: Mapping[str, Any], scale: float) -> dict[str, Any]:
    # 32 groups in a norm.
    widths = [_part(width, scale, of=32) for width in config["block_out_channels"]]
    smaller: dict[str, Any] = {
        "block_out_channels": widths,
        "cross_attention_dim": _part(config["cross_attention_dim"], scale, of=64),
    }
    if isinstance(config["attention_head_dim"], list):
        # By its name; in these configs it is the number of heads, of 64 channels where they fit.
        smaller["attention_head_dim"] = [w // (64 if w % 64 == 0 else 32) for w in widths]
    if "time_cond_proj_dim" in config:
        smaller["time_cond_proj_dim"] = _part(config["time_cond_proj_dim"], scale, of=32)
    if "addition_time_embed_dim" in config:
        time = config["addition_time_embed_dim"]
        pooled = config["projection_class_embeddings_input_dim"] - 6 * time
        smaller["addition_time_embed_dim"] = _part(time, scale, of=32)
        smaller["projection_class_embeddings_input_dim"] = 6 * _part(time, scale, of=32) + _part(
            pooled, scale, of=64
        )
        layers = config["transformer_layers_per_block"]
        smaller["transformer_layers_per_block"] = [max(1, round(n * scale)) for n in layers]
    return smaller


def _part(width: int, scale: float, *, of: int) -> int:
    """Return about `scale` of a width, a multiple of `of`."""
    return max(1, round(width * scale / of)) * of
