"""The file that a stage leaves: where it lies, what is said where it is missing or in the way."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from streamgen.errors import ConfigError


def checkpoint_in(folder: Path) -> Path:
    """Return the path of a stage's checkpoint."""
    return folder / "checkpoint.safetensors"


def check_start(folder: Path, *, is_resumed: bool) -> None:
    """Raise ConfigError where a checkpoint would be replaced, or one to go on from is missing."""
    path = checkpoint_in(folder)
    if is_resumed and not path.exists():
        raise ConfigError(f"{path}: there is no checkpoint to go on from: train without --resume")
    if path.exists() and not is_resumed:
        raise ConfigError(
            f"{path} exists: go on from it with --resume, or give another folder with --out"
        )


def read_checkpoint(folder: Path) -> dict[str, Tensor]:
    """Return what a stage left; raise ConfigError where it has not been trained."""
    path = checkpoint_in(folder)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{path}: train this stage first ({error})") from error


def load_average(module: nn.Module, folder: Path) -> None:
    """Give a module the averaged weights that a stage left."""
    prefix, tensors = "average.", read_checkpoint(folder)
    weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    module.load_state_dict(weights)
