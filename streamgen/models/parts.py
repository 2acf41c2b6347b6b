"""Loads one part of a diffusers folder; safetensors only, nothing unpickled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from transformers import CLIPTokenizer

from streamgen.errors import ModelError
from streamgen.models.hub import has_weights, variant_of
from streamgen.models.registry import ModelRow

Vae: TypeAlias = AutoencoderKL | AutoencoderTiny
VAES: Mapping[str, type[Vae]] = {
    "AutoencoderKL": AutoencoderKL,
    "AutoencoderTiny": AutoencoderTiny,
}


def part_of(row: ModelRow, name: str, folder: Path, load: Callable[[Path], Any]) -> Any:
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


def weights_of(kind: Any) -> Callable[[Path], Any]:  # diffusers and transformers are untyped
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


def vae_of(index: Mapping[str, Any]) -> Callable[[Path], Any]:
    entry = index.get("vae")
    name = str(entry[1]) if isinstance(entry, list) and len(entry) == 2 else ""

    def load(folder: Path) -> Any:
        if name not in VAES:
            raise ValueError(f"it is a {name or 'missing entry'}: supported are {', '.join(VAES)}")
        return weights_of(VAES[name])(folder)

    return load


def tokenizer_of(folder: Path) -> Any:
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        # Of an empty folder transformers makes a tokenizer that knows no words.
        raise FileNotFoundError(f"there is no tokenizer.json or vocab.json in {folder}")
    # Without local_files_only, what looks like a repository's name is asked of the hub.
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
