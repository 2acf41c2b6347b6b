"""The autoencoder of a run as the later stages use it: averaged weights, unit-variance latents."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from torch import nn

from streamgen.errors import ConfigError
from streamgen.training.checkpoint import checkpoint_in, load_average
from streamgen.training.nets import build_vae, initial_weights
from streamgen.training.pictures import StyledMix

logger = logging.getLogger(__name__)


def trained_vae(out: Path) -> AutoencoderTiny:
    """Return the autoencoder of a run, with its averaged weights.

    Where its decoder was trained further (`decoder.py`), with that one.
    """
    with initial_weights(0):
        vae = build_vae()
    load_average(vae, out / "vae")
    if checkpoint_in(out / "decoder").exists():
        load_average(vae.decoder, out / "decoder")
    return vae.eval().to(memory_format=torch.channels_last)


def settle_scale(out: Path, vae: AutoencoderTiny, mix: StyledMix | None) -> None:
    """Give the autoencoder the factor that makes its latents unit variance.

    It is found once for the same weights and kept beside them with their fingerprint.
    mix: pictures to find it on; None where it must have been found. Raises ConfigError then.
    """
    path = out / "vae" / "latent_scale.json"
    weights = fingerprint(vae.encoder)
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    # A file of an early run has no fingerprint; its factor is taken as it is.
    if kept is None or kept.get("weights", weights) != weights:
        if mix is None:
            reason = "its autoencoder was trained again: " if kept else ""
            raise ConfigError(f"{path}: {reason}train the unet stage first")
        kept = {"scaling_factor": _find_scale(vae, mix), "weights": weights}
        path.write_text(json.dumps(kept), encoding="utf-8")
        logger.info("latent scale %g of autoencoder %s", kept["scaling_factor"], weights)
    vae.register_to_config(scaling_factor=kept["scaling_factor"])


def fingerprint(module: nn.Module) -> str:
    """Return a text that changes with the weights of a module, and with nothing else."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.no_grad()
def _find_scale(vae: AutoencoderTiny, mix: StyledMix) -> float:
    latents = torch.cat([vae.encode(mix.draw(16, 128) * 2 - 1).latents for _ in range(6)])
    return round(1 / float(latents.std()), 4)
