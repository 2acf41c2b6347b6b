"""The autoencoder in int8: what it is calibrated on, and whether its pictures are good enough.

Calibrated and judged on frames of the packaged clip, as they are and recoloured as styles do it;
frames that it is judged on take no part in the calibration.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from engines.calibration import Calibration
from engines.errors import EngineError
from engines.spec import INT8, EngineSpec
from engines.store import NetworkStore
from engines.verify import Limits
from streamgen.frame import Pixels
from streamgen.models.accuracy import limits_of
from streamgen.quality import psnr
from streamgen.sources import open_source

SAMPLE = Path(__file__).parents[1] / "samples" / "webcam.mp4"
#: The networks of a frame that are quantised where int8 is asked for.
QUANTISED = ("vae_encoder", "vae_decoder")
#: Frames of the clip; every fourth is for the gate, the others for the calibration.
FRAMES = 16
HELD_OUT = 4
MEAN_DB = 36.0
WORST_DB = 33.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """PSNR of pictures through int8 against fp32, in dB of uint8 frames."""

    mean_db: float
    worst_db: float

    def require(self) -> None:
        """Raise EngineError where the pictures are not good enough."""
        if self.mean_db < MEAN_DB or self.worst_db < WORST_DB:
            raise EngineError(
                f"precision 'int8': the autoencoder is {self.mean_db:.1f} dB from fp32, at worst"
                f" {self.worst_db:.1f} dB; required: {MEAN_DB:g} and {WORST_DB:g} dB: use bf16"
            )


class Terms(TypedDict):
    """What a build is held to."""

    limits: Limits
    calibration: Calibration | None


def terms_of(spec: EngineSpec, modules: Mapping[str, nn.Module]) -> Terms:
    """Return how exact a network has to be, and what it is calibrated on for int8.

    modules: of the model by role, in fp32.
    """
    calibration = None
    if spec.precision == INT8:
        pixels = (spec.inputs if spec.role == "vae_encoder" else spec.outputs)[0]
        batch, height, width, _ = pixels.usual_shape
        encoder = modules["vae_encoder"]
        calibration = calibration_of(spec.role, (width, height), batch=batch, encoder=encoder)
    return Terms(limits=limits_of(spec), calibration=calibration)


def calibration_of(
    role: str, size: tuple[int, int], *, batch: int, encoder: nn.Module
) -> Calibration:
    """Return what encoder or decoder is calibrated on.

    size: width and height of the pictures. encoder: in fp32, it makes the decoder's latents.
    """

    @torch.inference_mode()
    def samples() -> Sequence[Mapping[str, Tensor]]:
        frames, _ = real_frames(*size)
        if role == "vae_encoder":
            return [{"pixels": _repeated(frame, batch)} for frame in frames]
        latents = (encoder(_repeated(frame, 1)) for frame in frames)
        return [{"latent": latent.repeat(batch, 1, 1, 1)} for latent in latents]

    return Calibration(samples=samples, fingerprint=_fingerprint(size, batch))


def passed_gate(
    networks: NetworkStore,
    specs: Sequence[EngineSpec],
    modules: Sequence[nn.Module],
    *,
    drawn: Callable[[Pixels], Pixels],
) -> Gate:
    """Return how good the autoencoder is in int8; EngineError where that is not enough.

    specs, modules: of encoder and decoder for one picture. drawn: a picture through both in int8.
    It is found once for the same networks and kept with them.
    """
    _, height, width, _ = specs[0].inputs[0].usual_shape
    facts = {
        **networks.facts(specs, modules),
        "calibration": _fingerprint((width, height), 1),
        "required": [MEAN_DB, WORST_DB],
    }

    def build(folder: Path) -> Mapping[str, object]:
        encoder, decoder = modules
        found = judge((width, height), drawn=drawn, encoder=encoder, decoder=decoder)
        found.require()
        (folder / "gate.json").write_text(json.dumps(asdict(found)), encoding="utf-8")
        return asdict(found)

    info = networks.cache.obtain("int8_gate", facts, build).info
    return Gate(mean_db=float(str(info["mean_db"])), worst_db=float(str(info["worst_db"])))


@torch.inference_mode()
def judge(
    size: tuple[int, int],
    *,
    drawn: Callable[[Pixels], Pixels],
    encoder: nn.Module,
    decoder: nn.Module,
) -> Gate:
    """Compare `drawn`, one picture through int8, with the modules in fp32."""
    _, frames = real_frames(*size)
    found = []
    for frame in frames:
        wanted = decoder(encoder(_repeated(frame, 1)))[0].numpy()
        found.append(psnr(drawn(frame), wanted))
    return Gate(mean_db=round(float(np.mean(found)), 2), worst_db=round(min(found), 2))


def real_frames(width: int, height: int) -> tuple[list[Pixels], list[Pixels]]:
    """Return frames to calibrate on and frames to judge by, uint8 [height, width, 3]."""
    with open_source(str(SAMPLE)) as source:
        clip = [frame.pixels for frame in source.frames()]
    picked = [clip[k * len(clip) // FRAMES] for k in range(FRAMES)]
    pictures = [
        np.array(ImageOps.fit(Image.fromarray(pixels), (width, height))) for pixels in picked
    ]
    looks = [_looks(picture) for picture in pictures]
    judged = [look for k, row in enumerate(looks) for look in row if k % HELD_OUT == 0]
    return [look for k, row in enumerate(looks) for look in row if k % HELD_OUT], judged


def _looks(picture: Pixels) -> list[Pixels]:
    """Return the picture as it is, as a negative, in hard black and white, in strong colours."""
    grey = picture.mean(axis=2, keepdims=True)
    hard = ((grey - 128) * 2 + 128).repeat(3, axis=2)
    strong = grey + (picture - grey) * 2
    drawn = (np.clip(look, 0, 255).astype(np.uint8) for look in (hard, strong))
    return [picture, 255 - picture, *drawn]


def _repeated(frame: Pixels, batch: int) -> Tensor:
    return torch.from_numpy(np.repeat(frame[None], batch, axis=0))


@lru_cache
def _fingerprint(size: tuple[int, int], batch: int) -> str:
    """Return a text that changes with the frames: the clip, this file, the size."""
    digest = hashlib.sha256(f"{size} {batch}".encode())
    for path in (SAMPLE, Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()
