"""What the networks of a model are held to, and the frames that they are calibrated on.

The denoiser sees in use: latents of a picture at a few noise levels, and embeddings of sentences.
For fp8 it is given those: of frames of the packaged clip, at the levels of the model's own
controls. What `quantised` says of the autoencoder in int8 is passed on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.calibration import Calibration
from engines.fingerprint import Fingerprints
from engines.spec import FP8, INT8, EngineSpec
from streamgen.control_schema import controls_from
from streamgen.frame import Pixels
from streamgen.models.accuracy import limits_of
from streamgen.models.loading import LoadedModel
from streamgen.models.quantised import QUANTISED, SAMPLE, Terms, real_frames, terms_of
from streamgen.models.specs import latent_scale
from streamgen.prompts import PromptBook
from streamgen.revise import Reviser
from streamgen.rows import Revision
from streamgen.schedule import t_index_list

#: Rows that the denoiser is calibrated on, in batches of the network's size.
ROWS = 32
#: Whoever asks for more steps is drawn at further levels of noise.
STEPS = 4
#: Beside the model's own prompt; the first is the negative's, where nobody writes one.
SENTENCES = ("", "a face by the window, oil painting", "pencil sketch", "neon city at night, anime")


def quantised_roles(precision: str) -> tuple[str, ...]:
    """Return the networks that are quantised where a precision is asked for.

    The denoiser with a feature bank is not: for every sample, it would take the whole bank.
    """
    return {INT8: QUANTISED, FP8: ("unet",)}.get(precision, ())


class Calibrating:
    """Gives the terms of the networks of one model; weights are read when they are asked for."""

    def __init__(self, model: LoadedModel, modules: Mapping[str, nn.Module]) -> None:
        """modules: of the model by role, in fp32."""
        self._model = model
        self._modules = dict(modules)
        self._fingerprints = Fingerprints()

    def terms_of(self, spec: EngineSpec) -> Terms:
        """Return how exact a network has to be, and what it is calibrated on if it is quantised."""
        if spec.precision != FP8:
            return terms_of(spec, self._modules)
        return Terms(limits=limits_of(spec), calibration=self._of_denoiser(spec))

    def _of_denoiser(self, spec: EngineSpec) -> Calibration:
        batch, _, height, width = spec.inputs[0].usual_shape
        factor = self._model.latent_factor
        size = width * factor, height * factor

        def samples() -> Sequence[Mapping[str, Tensor]]:
            rows = real_rows(self._model, self._modules["vae_encoder"], size)
            parts = [rows[at : at + batch] for at in range(0, len(rows) - batch + 1, batch)]
            names = [tensor.name for tensor in spec.inputs]
            return [
                {name: torch.stack([row[name] for row in part]) for name in names} for part in parts
            ]

        return Calibration(samples=samples, fingerprint=self._fingerprint(size, batch))

    def _fingerprint(self, size: tuple[int, int], batch: int) -> str:
        """Return a text that changes with the samples: the clip, the code, the other networks."""
        model = self._model
        second = [model.second_text.encoder] if model.second_text else []
        networks = [self._modules["vae_encoder"], model.text_encoder, *second]
        told = [size, batch, dict(model.row.controls), model.schedule, _files_hash()]
        told += [self._fingerprints.weights(network) for network in networks]
        return hashlib.sha256(repr(told).encode()).hexdigest()


@torch.inference_mode()
def real_rows(
    model: LoadedModel, encoder: nn.Module, size: tuple[int, int]
) -> list[dict[str, Tensor]]:
    """Return what a denoiser is given for frames of the clip, without a batch, by input name.

    encoder: in fp32. size: width and height of the pictures.
    """
    frames, _ = real_frames(*size)
    reviser = Reviser(
        schedule=model.schedule, prompts=PromptBook(model.text), abilities=model.abilities(size)
    )
    own = controls_from(dict(model.row.controls))
    indices = sorted({*own.indices, *t_index_list(own.strength, STEPS)})
    sentences = [*SENTENCES, own.prompts[0].text]
    generator = torch.Generator().manual_seed(0)

    @cache
    def revision(level: int, sentence: int) -> Revision:
        given = {"prompts": sentences[sentence], "t_index_list": [indices[level]]}
        return reviser.revise(controls_from({**model.row.controls, **given}))

    rows = []
    for number in range(ROWS):
        told = revision(number % len(indices), number // len(indices) % len(sentences))
        frame = frames[number * len(frames) // ROWS]
        rows.append(_row(model, encoder, frame, told, generator))
    return rows


def _row(
    model: LoadedModel,
    encoder: nn.Module,
    frame: Pixels,
    revision: Revision,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Return one frame on its way, at the first level of a revision."""
    latent = encoder(torch.from_numpy(frame[None]))[0]
    level = revision.levels[0]
    noise = torch.randn(latent.shape, generator=generator)
    return {
        "x": level.alpha * latent_scale(model) * latent + level.sigma * noise,
        "t": torch.tensor(float(level.t)),
        "text": revision.text,
        "source": latent,
        **revision.cond,
    }


@cache
def _files_hash() -> str:
    digest = hashlib.sha256()
    for path in (SAMPLE, Path(__file__), Path(__file__).with_name("quantised.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
