"""Loads the parts of a diffusers folder or hub repository; safetensors only, nothing unpickled."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from streamgen.errors import ConfigError, ModelError
from streamgen.models.hub import has_weights, model_folder, tiny_vae_folder, variant_of
from streamgen.models.registry import ModelRow
from streamgen.schedule import NoiseSchedule, schedule_from

logger = logging.getLogger(__name__)

Kind = Literal["img2img", "instruct_pix2pix"]
KINDS: Mapping[str, Kind] = {
    "StableDiffusionPipeline": "img2img",
    "StableDiffusionImg2ImgPipeline": "img2img",
    "StableDiffusionInstructPix2PixPipeline": "instruct_pix2pix",
}
Vae: TypeAlias = AutoencoderKL | AutoencoderTiny
VAES: Mapping[str, type[Vae]] = {
    "AutoencoderKL": AutoencoderKL,
    "AutoencoderTiny": AutoencoderTiny,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """The parts of a model in fp32 on the CPU, and what its configs say."""

    row: ModelRow
    kind: Kind
    unet: UNet2DConditionModel
    vae: Vae
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    schedule: NoiseSchedule

    @property
    def latent_channels(self) -> int:
        return int(self.unet.config.out_channels)

    @property
    def latent_factor(self) -> int:
        """How many pixels of a side make one latent pixel."""
        config = self.vae.config
        widths = config.get("block_out_channels") or config.get("encoder_block_out_channels")
        return int(2 ** (len(widths) - 1))

    @property
    def text_tokens(self) -> int:
        """How many tokens a sentence has, with padding."""
        limit = int(self.text_encoder.config.max_position_embeddings)
        return min(int(self.tokenizer.model_max_length), limit)

    @torch.no_grad()
    def text(self, sentence: str) -> Tensor:
        """Return the embedding of a sentence: float32 [tokens, width] on the CPU."""
        encoded = self.tokenizer(
            sentence,
            padding="max_length",
            max_length=self.text_tokens,
            truncation=True,
            return_tensors="pt",
        )
        hidden: Tensor = self.text_encoder(encoded.input_ids).last_hidden_state
        return hidden[0]


def load_model(row: ModelRow) -> LoadedModel:
    """Load a model; raise ModelError saying what was found and what is supported."""
    folder = model_folder(row)
    index = _read_json(folder / "model_index.json")
    kind = _kind_of(index, row)
    unet = _part(row, "unet", folder / "unet", _weights_of(UNet2DConditionModel))
    _check_unet(unet, kind, row)
    tiny_vae = row.tiny_vae
    return LoadedModel(
        row=row,
        kind=kind,
        unet=unet,
        vae=_part(row, "vae", folder / "vae", _vae_of(index))
        if tiny_vae is None
        else _part(row, "vae", tiny_vae_folder(tiny_vae), _weights_of(AutoencoderTiny)),
        text_encoder=_part(
            row, "text_encoder", folder / "text_encoder", _weights_of(CLIPTextModel)
        ),
        tokenizer=_part(row, "tokenizer", folder / "tokenizer", _tokenizer),
        schedule=_schedule(folder, row),
    )


def _read_json(path: Path) -> Mapping[str, Any]:  # Any: whatever JSON holds
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{path.parent}: there is no {path.name}: a model is a folder in diffusers layout"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds a {type(content).__name__}, not a JSON object")
    return content


def _kind_of(index: Mapping[str, Any], row: ModelRow) -> Kind:
    found = str(index.get("_class_name"))
    if found not in KINDS:
        raise ModelError(f"model {row.name!r} is a {found}: supported are {', '.join(KINDS)}")
    return KINDS[found]


def _check_unet(unet: UNet2DConditionModel, kind: Kind, row: ModelRow) -> None:
    config = unet.config
    if config.time_cond_proj_dim is not None:
        raise ModelError(
            f"model {row.name!r}: its UNet takes a guidance embedding (time_cond_proj_dim"
            f" {config.time_cond_proj_dim}): use a UNet without one"
        )
    wanted = config.out_channels * (2 if kind == "instruct_pix2pix" else 1)
    if config.in_channels != wanted:
        raise ModelError(
            f"model {row.name!r}: its UNet has {config.in_channels} input channels:"
            f" a {kind} model with {config.out_channels} outputs has {wanted}"
        )


def _part(row: ModelRow, name: str, folder: Path, load: Callable[[Path], Any]) -> Any:
    """Load one part, which diffusers leaves untyped, putting a sentence to what goes wrong."""
    try:
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}")
        part = load(folder)
        if isinstance(part, torch.nn.Module):
            _check_finite(part)
    # What a nonsensical config raises is up to three libraries, in types of their own.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"model {row.name!r}: its {name} cannot be loaded: {reason}") from error
    return part.eval() if isinstance(part, torch.nn.Module) else part


def _check_finite(part: torch.nn.Module) -> None:
    for name, weight in part.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            raise ValueError(f"it has NaN or infinite weights ({name})")


def _weights_of(kind: Any) -> Callable[[Path], Any]:  # diffusers and transformers are untyped
    """Return what loads a folder into fp32, whatever its weights are stored in."""

    def load(folder: Path) -> Any:
        if not has_weights(folder):
            raise FileNotFoundError(f"there are no weights in safetensors form in {folder}")
        part, info = kind.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,
            dtype=torch.float32,
            variant=variant_of(folder),
            output_loading_info=True,
        )
        # Both libraries put random numbers in their place; old checkpoints lack position_ids only.
        missing = sorted(key for key in info["missing_keys"] if not key.endswith("position_ids"))
        if missing:
            raise ValueError(f"{len(missing)} of its weights are missing, {missing[0]} first")
        return part

    return load


def _vae_of(index: Mapping[str, Any]) -> Callable[[Path], Any]:
    entry = index.get("vae")
    name = str(entry[1]) if isinstance(entry, list) and len(entry) == 2 else ""

    def load(folder: Path) -> Any:
        if name not in VAES:
            raise ValueError(f"it is a {name or 'missing entry'}: supported are {', '.join(VAES)}")
        return _weights_of(VAES[name])(folder)

    return load


def _tokenizer(folder: Path) -> Any:
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        # Of an empty folder transformers makes a tokenizer that knows no words.
        raise FileNotFoundError(f"there is no tokenizer.json or vocab.json in {folder}")
    # Without local_files_only, what looks like a repository's name is asked of the hub.
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def _schedule(folder: Path, row: ModelRow) -> NoiseSchedule:
    config = _read_json(folder / "scheduler" / "scheduler_config.json")
    try:
        return schedule_from(config)
    except ConfigError as error:
        raise ModelError(f"model {row.name!r}: {error}") from error
