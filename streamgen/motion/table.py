"""The motion adapters known by name, as rows of data, and where their files are; knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamgen.errors import ModelError
from streamgen.models.hub import fetch, has_weights, unwanted_files
from streamgen.models.registry import PACKAGED, is_hub_id

#: Repositories hold LoRAs and files for other programs beside them.
WANTED = ("config.json", "ring.json", "diffusion_pytorch_model*.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterRow:
    """What is known of a motion adapter before it is loaded.

    location: a folder, or the id of a hub repository, of a MotionAdapter in diffusers' layout.
    ships_with: the model, by name, whose own it is.
    """

    name: str
    location: Path | str
    about: str
    licence: str = "see the adapter's own card"
    ships_with: str = ""

    @property
    def is_on_hub(self) -> bool:
        return isinstance(self.location, str)


TABLE: tuple[AdapterRow, ...] = (
    AdapterRow(
        name="tiny",
        location=PACKAGED / "tiny" / "motion",
        about="Built in, for tiny: sees 9 frames. A little calmer, a little softer. No download.",
        licence="Apache-2.0",
        ships_with="tiny",
    ),
    AdapterRow(
        name="animatediff-v1-5",
        location="guoyww/animatediff-motion-adapter-v1-5",
        about="AnimateDiff 1 (Guo et al. 2023), for SD 1.5 models; sees up to 24 frames.",
    ),
    AdapterRow(
        name="animatediff-v1-5-2",
        location="guoyww/animatediff-motion-adapter-v1-5-2",
        about="AnimateDiff 2, for SD 1.5 models; sees up to 32 frames; motion LoRAs are for it.",
    ),
    AdapterRow(
        name="animatediff-v1-5-3",
        location="guoyww/animatediff-motion-adapter-v1-5-3",
        about="AnimateDiff 3, for SD 1.5 models; sees up to 32 frames; without a middle module.",
    ),
    AdapterRow(
        name="animatelcm",
        location="wangfuyun/AnimateLCM",
        about="AnimateLCM (Wang et al. 2024), for SD 1.5 models of a few steps, as sd15-lcm.",
    ),
)


def find_adapter(name: str, table: tuple[AdapterRow, ...] = TABLE) -> AdapterRow:
    """Return the row of a name, a folder or a hub id; raise ModelError for anything else."""
    for row in table:
        if row.name == name:
            return row
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return AdapterRow(name=folder.resolve().name, location=folder, about="A folder.")
    if folder.is_file():
        raise ModelError(
            f"motion adapter {name!r}: it is a file: give the folder with its config.json"
        )
    if is_hub_id(name):
        return AdapterRow(name=name, location=name, about="A hub repository.")
    known = ", ".join(row.name for row in table)
    raise ModelError(
        f"motion adapter {name!r}: choose {known}, a MotionAdapter's folder, or a hub id owner/name"
    )


def own_adapter(model: str, table: tuple[AdapterRow, ...] = TABLE) -> AdapterRow | None:
    """Return the adapter that ships with a model, by the model's name; None where none does."""
    return next((row for row in table if row.ships_with == model), None)


def adapter_folder(row: AdapterRow) -> Path:
    """Return the folder of an adapter, fetched where it lies on the hub.

    Weights in fp16 are fetched where a repository has no others.
    """
    if not row.is_on_hub:
        return Path(row.location).resolve()
    hub_id = str(row.location)
    folder = _fetch(hub_id, is_half=False)
    return folder if has_weights(folder) else _fetch(hub_id, is_half=True)


def _fetch(hub_id: str, *, is_half: bool) -> Path:
    return fetch(
        hub_id,
        WANTED,
        unwanted_files(is_half=is_half),
        what="motion adapter",
        instead="a MotionAdapter's folder",
    )
