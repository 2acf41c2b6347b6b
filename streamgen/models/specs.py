"""What goes into and out of the networks of a model: shapes and types, no networks."""

from __future__ import annotations

from engines.spec import EngineSpec, TensorSpec
from streamgen.models.loading import LoadedModel


def latent_shape(model: LoadedModel, size: tuple[int, int]) -> tuple[int, int, int]:
    """Return [C, h, w] of the latent of a picture of (width, height)."""
    width, height = size
    factor = model.latent_factor
    return model.latent_channels, height // factor, width // factor


def spec_of(
    role: str, batch: int, model: LoadedModel, *, size: tuple[int, int], precision: str
) -> EngineSpec:
    """Return the specification of a network for a batch size and a picture of (width, height)."""
    width, height = size
    latent = (batch, *latent_shape(model, size))
    picture = (batch, height, width, 3)
    text = (batch, model.text_tokens, int(model.unet.config.cross_attention_dim))
    rows = [
        TensorSpec("x", latent, "float32"),
        TensorSpec("t", (batch,), "float32"),
        TensorSpec("text", text, "float32"),
    ]
    if model.kind == "instruct_pix2pix":
        rows.append(TensorSpec("source", latent, "float32"))
    inputs, output = {
        "vae_encoder": ([TensorSpec("pixels", picture, "uint8")], ("latent", latent, "float32")),
        "unet": (rows, ("answer", latent, "float32")),
        "vae_decoder": ([TensorSpec("latent", latent, "float32")], ("pixels", picture, "uint8")),
    }[role]
    return EngineSpec(
        role=role, inputs=tuple(inputs), outputs=(TensorSpec(*output),), precision=precision
    )
