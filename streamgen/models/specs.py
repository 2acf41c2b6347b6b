"""What goes into and out of the networks of a model: shapes and types, no networks.

Tensors by name; B is the batch, a fixed number, C, h, w those of the latent; float32 where nothing
else is said. What UNets can have beyond these is in `extensions`.

    vae_encoder   pixels uint8 [B, H, W, 3] → latent [B, C, h, w]
    unet          x [B, C, h, w], t [B], text [B, T, D], further inputs → answer [B, C, h, w]
    vae_decoder   latent [B, C, h, w] → pixels uint8 [B, H, W, 3]
    text_encoder  tokens int64 [B, T] → text [B, T, D]; SDXL: tokens, tokens_2 → text, text_embeds

Further inputs are there where the UNet's config has them, in this order:

    source        [B, C, h, w]  the clean latent, of InstructPix2Pix
    guidance      [B, G]        the guidance scale, of LCM (`streamgen.guidance`)
    text_embeds   [B, P]        the sentence as a whole, of SDXL
    time_ids      [B, 6]        sizes in pixels, of SDXL
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any  # Any: a config of diffusers

from engines.spec import EngineSpec, Side, TensorSpec
from streamgen.errors import ModelError
from streamgen.models.loading import TIME_IDS, LoadedModel
from streamgen.models.sides import Sides, SizeRange, over, picture_sides

_FLOAT = "float32"
Config = Mapping[str, Any]


def latent_scale(model: LoadedModel) -> float:
    """Return what latents are multiplied by for the denoiser; ModelError if it is no use."""
    scale = model.vae.config.scaling_factor
    if not isinstance(scale, int | float) or not 0 < scale < math.inf:
        raise ModelError(f"model {model.row.name!r}: scaling_factor {scale}: give a number above 0")
    return float(scale)


def latent_shape(model: LoadedModel, size: tuple[int, int]) -> tuple[int, int, int]:
    """Return [C, h, w] of the latent of a picture of (width, height)."""
    width, height = size
    factor = model.latent_factor
    return model.latent_channels, height // factor, width // factor


def spec_of(
    role: str,
    batch: int,
    model: LoadedModel,
    *,
    size: tuple[int, int] | SizeRange,
    precision: str,
) -> EngineSpec:
    """Return the specification of a network of a loaded model for a batch size.

    size: of the picture, (width, height), or a range of them.
    """
    if role == "text_encoder":
        return text_spec(model, batch, precision=precision)
    if role == "unet":
        config = model.unet.config
        sides = picture_sides(size, unit=model.latent_factor * depth(config))
        latent = over(sides[0], model.latent_factor), over(sides[1], model.latent_factor)
        return unet_spec(
            config, batch, latent=latent, tokens=model.text_tokens, precision=precision
        )
    sides = picture_sides(size, unit=model.latent_factor)
    return vae_spec(role, batch, model.vae.config, sides=sides, precision=precision)


def vae_spec(role: str, batch: int, config: Config, *, sides: Sides, precision: str) -> EngineSpec:
    """Return the specification of "vae_encoder" or "vae_decoder"; sides: of the picture."""
    widths = config.get("block_out_channels") or config["encoder_block_out_channels"]
    factor = 2 ** (len(widths) - 1)
    coarse = [over(side, factor) for side in sides]
    latent = TensorSpec("latent", (batch, config["latent_channels"], *coarse), _FLOAT)
    pixels = TensorSpec("pixels", (batch, *sides, 3), "uint8")
    ways = {"vae_encoder": (pixels, latent), "vae_decoder": (latent, pixels)}
    given, made = ways[role]
    return EngineSpec(role=role, inputs=(given,), outputs=(made,), precision=precision)


def unet_spec(
    config: Config, batch: int, *, latent: Sides, tokens: int = 77, precision: str
) -> EngineSpec:
    """Return the specification of a UNet with such a config; latent: its sides."""
    shape = (batch, int(config["out_channels"]), *latent)
    inputs = {
        "x": shape,
        "t": (batch,),
        "text": (batch, tokens, int(config["cross_attention_dim"])),
        **_further(config, shape),
    }
    return EngineSpec(
        role="unet",
        inputs=tuple(TensorSpec(name, sides, _FLOAT) for name, sides in inputs.items()),
        outputs=(TensorSpec("answer", shape, _FLOAT),),
        precision=precision,
    )


def further_inputs(config: Config) -> tuple[str, ...]:
    """Return the names of what a UNet takes beside x, t and text, in order."""
    return tuple(_further(config, (1, int(config["out_channels"]), 1, 1)))


def depth(config: Config) -> int:
    """Return how many latent pixels of a side make one where a UNet is coarsest."""
    return int(2 ** (len(config["block_out_channels"]) - 1))


def text_spec(model: LoadedModel, batch: int, *, precision: str) -> EngineSpec:
    """Return the specification of the text encoders as one network, `text.SentenceReader`."""
    count = model.text_tokens
    width = int(model.text_encoder.config.hidden_size)
    inputs = [TensorSpec("tokens", (batch, count), "int64")]
    outputs = []
    if model.second_text is not None:
        width += int(model.second_text.encoder.config.hidden_size)
        inputs.append(TensorSpec("tokens_2", (batch, count), "int64"))
        outputs.append(TensorSpec("text_embeds", (batch, model.pooled_width), _FLOAT))
    text = TensorSpec("text", (batch, count, width), _FLOAT)
    return EngineSpec(
        role="text_encoder",
        inputs=tuple(inputs),
        outputs=(text, *outputs),
        precision=precision,
    )


def _further(config: Config, shape: tuple[Side, ...]) -> dict[str, tuple[Side, ...]]:
    """Return the further inputs of a UNet by name; shape: of its answer."""
    batch, found = shape[0], {}
    if config["in_channels"] == 2 * config["out_channels"]:
        found["source"] = shape
    if config.get("time_cond_proj_dim"):
        found["guidance"] = (batch, int(config["time_cond_proj_dim"]))
    if config.get("addition_embed_type") == "text_time":
        sizes = TIME_IDS * int(config["addition_time_embed_dim"])
        pooled = int(config["projection_class_embeddings_input_dim"]) - sizes
        found |= {"text_embeds": (batch, pooled), "time_ids": (batch, TIME_IDS)}
    return found
