"""The models known by name, as rows of data; a new model is a new row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from streamgen.config import AUTO, NO_MOTION
from streamgen.errors import ConfigError, ModelError

#: Weights that ship with the package lie beside this file.
PACKAGED = Path(__file__).parent
#: Of adapters that are loaded, where a row says nothing else.
_MOTION_STRENGTH = 1.0
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """What is known of a model before it is loaded.

    location: a folder, or the id of a hub repository, in diffusers layout.
    controls: defaults that differ from those of `Controls`.
    area_px: pixels of a picture at its best size. multiple: both sides are multiples of it.
    tiny_vae: folder or hub id of a small autoencoder for the same latents, in place of the model's
    own. works_blind: whether an InstructPix2Pix model was trained with its picture left out, too.
    motion: the motion adapter that it is drawn with where nobody names another, or "none".
    """

    name: str
    location: Path | str
    about: str
    licence: str = "see the model's own card"
    controls: Mapping[str, object] = field(default_factory=dict)
    area_px: int = 512 * 512
    multiple: int = 8
    smallest_px: int = 64
    largest_px: int = 2048
    tiny_vae: Path | str | None = None
    works_blind: bool = True
    motion: str = NO_MOTION

    @property
    def is_on_hub(self) -> bool:
        return isinstance(self.location, str)

    @property
    def has_motion(self) -> bool:
        """Whether a motion adapter is loaded with it."""
        return self.motion != NO_MOTION

    def check_size(self, width: int, height: int) -> None:
        """Raise ConfigError for a picture that the model cannot take."""
        for name, side in (("width", width), ("height", height)):
            if side % self.multiple or not self.smallest_px <= side <= self.largest_px:
                raise ConfigError(
                    f"size {width}x{height}: {self.name} takes a {name} from {self.smallest_px} to"
                    f" {self.largest_px} in steps of {self.multiple}"
                )


TABLE: tuple[ModelRow, ...] = (
    ModelRow(
        name="tiny",
        location=PACKAGED / "tiny",
        about="Built in: redraws a picture in 18 styles that a prompt names. No download.",
        licence="Apache-2.0",
        controls={"prompts": "watercolor", "temporal_strength": 0.6},
        area_px=384 * 384,
        largest_px=1024,
        works_blind=False,
    ),
    ModelRow(
        name="sd-turbo",
        location="stabilityai/sd-turbo",
        about="SD 2.1 distilled to one step (Sauer et al. 2023). Needs a GPU to be live.",
        licence="Stability AI Community License",
        controls={"strength": 0.5, "guidance": "none", "prompts": "oil painting, masterpiece"},
        tiny_vae="madebyollin/taesd",
    ),
    ModelRow(
        name="sdxl-turbo",
        location="stabilityai/sdxl-turbo",
        about="SDXL distilled to one step (Sauer et al. 2023). Needs a large GPU to be live.",
        licence="Stability AI non-commercial research community licence",
        controls={"strength": 0.5, "guidance": "none", "prompts": "oil painting, masterpiece"},
        tiny_vae="madebyollin/taesdxl",
    ),
    ModelRow(
        name="sd15-lcm",
        location="SimianLuo/LCM_Dreamshaper_v7",
        about="SD 1.5 distilled to a few steps (Luo et al. 2023). Needs a GPU to be live.",
        licence="MIT",
        controls={
            "strength": 0.5,
            "steps": 2,
            "guidance": "none",
            "guidance_scale": 8.0,
            "prompts": "oil painting, masterpiece",
        },
        tiny_vae="madebyollin/taesd",
    ),
)


def find_model(name: str, table: tuple[ModelRow, ...] = TABLE) -> ModelRow:
    """Return the row of a name, a folder or a hub id; raise ModelError for anything else."""
    for row in table:
        if row.name == name:
            return row
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return ModelRow(name=folder.resolve().name, location=folder, about="A folder.")
    if is_hub_id(name):
        return ModelRow(name=name, location=name, about="A hub repository.")
    known = ", ".join(row.name for row in table)
    raise ModelError(f"model {name!r}: choose {known}, a diffusers folder, or a hub id owner/name")


def is_hub_id(name: str) -> bool:
    """Tell whether something is written as the id of a hub repository, and not as a path."""
    return not name.startswith((".", "/", "~")) and _HUB_ID.fullmatch(name) is not None


def with_motion(row: ModelRow, motion: str) -> ModelRow:
    """Return the row of a model with the adapter that is asked for, and the defaults that suit it.

    motion: as of `StreamConfig`. Without an adapter there is no strength of one.
    """
    adapter = row.motion if motion == AUTO else motion
    controls = {name: value for name, value in row.controls.items() if name != "motion_strength"}
    if adapter != NO_MOTION:
        controls["motion_strength"] = row.controls.get("motion_strength", _MOTION_STRENGTH)
    return replace(row, motion=adapter, controls=controls)
