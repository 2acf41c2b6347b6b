"""Which files of a model are needed and where they are; fetches them from the hub if need be.

Knows nothing of torch: `streamgen models` asks it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from streamgen.errors import ModelError
from streamgen.models.registry import ModelRow

_SUFFIX = ".safetensors"
#: Parts of a model that have weights.
WEIGHTED = ("unet", "vae", "text_encoder")
#: Those that SDXL has beside them.
SECOND = ("text_encoder_2",)
_CONFIGS = (
    "model_index.json",
    "scheduler/*.json",
    *(f"{part}/*.{kind}" for part in ("tokenizer", "tokenizer_2") for kind in ("json", "txt")),
)
#: Weights in fp16, in one file or in many, as diffusers names them.
_FP16 = ("*.fp16.*", "*.fp16-*")
_UNWANTED = ("*.non_ema.*", "*.non_ema-*", "*.pruned.*")
TINY_VAE = ("config.json", "diffusion_pytorch_model.safetensors")


def wanted_files(row: ModelRow) -> list[str]:
    """Return the patterns of the files in a model's repository that its row needs."""
    parts = [*_needed(row), *SECOND]
    return [*_CONFIGS, *(f"{part}/*{kind}" for part in parts for kind in (".json", _SUFFIX))]


def unwanted_files(*, is_half: bool = False) -> list[str]:
    """Return the patterns of files to leave out, those in fp16 among them unless it is_half."""
    return [*_UNWANTED, *(() if is_half else _FP16)]


def model_folder(row: ModelRow) -> Path:
    """Return the folder of a model, fetched where it lies on the hub.

    Weights in fp16 are fetched where a repository has no others.
    """
    if not row.is_on_hub:
        return Path(row.location).resolve()
    hub_id, wanted = str(row.location), wanted_files(row)
    folder = fetch(hub_id, wanted, unwanted_files())
    second = [part for part in SECOND if (folder / part).is_dir()]
    if all(has_weights(folder / part) for part in (*_needed(row), *second)):
        return folder
    return fetch(hub_id, wanted, unwanted_files(is_half=True))


def _needed(row: ModelRow) -> list[str]:
    return [part for part in WEIGHTED if part != "vae" or row.tiny_vae is None]


def tiny_vae_folder(tiny_vae: Path | str) -> Path:
    """Return the folder of a small autoencoder, fetched where it lies on the hub."""
    if isinstance(tiny_vae, Path):
        return tiny_vae.resolve()
    return fetch(tiny_vae, TINY_VAE)


def fetch(
    hub_id: str,
    wanted: Sequence[str],
    unwanted: Sequence[str] = (),
    *,
    what: str = "model",
    instead: str = "a diffusers folder, or use tiny",
) -> Path:
    """Download what is needed of a repository that the user named, or take it from the cache.

    what: the repository is, and instead: what else there is to give; for the error.
    """
    try:
        fetched = snapshot_download(
            hub_id, allow_patterns=list(wanted), ignore_patterns=list(unwanted)
        )
    except (OSError, ValueError, HfHubHTTPError, HFValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{what} {hub_id!r}: it is not in the local hub cache and cannot be fetched ({reason}):"
            f" check the name and the connection, or give {instead}"
        ) from error
    return Path(fetched)


def has_weights(folder: Path) -> bool:
    """Whether a part's folder holds weights in a form that is loaded."""
    return any(folder.glob(f"*{_SUFFIX}"))


def variant_of(folder: Path) -> str | None:
    """Return "fp16" where a part has no other weights, as diffusers names that; else None."""
    half = {path for pattern in _FP16 for path in folder.glob(pattern)}
    return "fp16" if half and not set(folder.glob(f"*{_SUFFIX}")) - half else None
