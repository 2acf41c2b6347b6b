"""Real pictures that a model is shown with, and where they come from; knows no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streamgen.errors import ConfigError
from streamgen.frame import Pixels
from streamgen.sources import Size, open_source

#: Draws a picture with a prompt: uint8 [H, W, 3] to the same.
Draw = Callable[[Pixels, str], Pixels]
SAM2 = "facebookresearch/sam2"
INTEL = "intel-iot-devkit/sample-videos"
TFJS = "tensorflow/tfjs-models"
SCIKIT = "scikit-image/scikit-image, src/_skimage2/data"
FREE = "public domain or CC0 by the repository's data notes"
APACHE = "Apache-2.0 (repository)"
CC_BY = "CC-BY-4.0 (repository)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A file that may be shown: its name, where it is from, and what its licence is."""

    file: str
    source: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """A photo, or the frame of a clip from a second on."""

    origin: Origin
    shows: str
    at_s: float = 0.0


SIGNER = Origin(file="signer_webcam.mp4", source=f"{INTEL}, asl_gestures", licence=CC_BY)
COFFEE_POURED = Origin(
    file="pour_coffee.mp4", source=f"{SAM2}, demo/data/gallery/04_coffee.mp4", licence=APACHE
)
JUGGLER = Origin(
    file="juggle_park.mp4",
    source=f"{SAM2}, demo/data/gallery/05_default_juggle.mp4",
    licence=APACHE,
)
DANCER = Origin(
    file="dance_studio.mp4", source=f"{TFJS}, pose-detection/test_data/pose_1.mp4", licence=APACHE
)
ASTRONAUT = Origin(file="astronaut.jpg", source=f"{SCIKIT}/astronaut.png", licence=FREE)
CUP = Origin(file="coffee.jpg", source=f"{SCIKIT}/coffee.png", licence=FREE)
CAT = Origin(
    file="chelsea_cat.jpg",
    source=f"{SCIKIT}/chelsea.png",
    licence="CC0 by the repository's data notes",
)
CARS = Origin(file="street_cars.jpg", source=f"{SAM2}, notebooks/images/cars.jpg", licence=APACHE)
BRIDGE = Origin(
    file="mdn_view1.jpg",
    source="mdn/dom-examples, view-transitions/mpa/images/image1.jpg",
    licence="CC0-1.0 (repository)",
)

STILLS = (
    Still(origin=ASTRONAUT, shows="a face"),
    Still(origin=SIGNER, shows="a webcam", at_s=5.0),
    Still(origin=COFFEE_POURED, shows="hands", at_s=4.0),
    Still(origin=CARS, shows="a street"),
    Still(origin=CAT, shows="an animal"),
    Still(origin=CUP, shows="an object"),
    Still(origin=BRIDGE, shows="a landscape"),
    Still(origin=JUGGLER, shows="a body, grass and leaves", at_s=3.0),
)


def find_file(data: Path, name: str) -> Path:
    """Return the file of that name under a folder; raise ConfigError where there is none."""
    found = sorted(data.rglob(name))
    if not found:
        raise ConfigError(f"folder '{data}': has no {name}, nor has any folder in it")
    return found[0]


def read_still(data: Path, still: Still, *, side_px: int) -> Pixels:
    """Return the middle of a still as a square of that side."""
    path = find_file(data, still.origin.file)
    with open_source(path, size=Size(side_px, side_px)) as source:
        for frame in source.frames():
            if frame.stamp.seconds >= still.at_s:
                return frame.pixels
    raise ConfigError(f"clip '{path}': ends before {still.at_s:g} s; it is not the one meant")
