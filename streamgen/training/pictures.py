"""The mix of pictures that the stages train on: photographs, scenes, and both in styles."""

from __future__ import annotations

import torch
from torch import Tensor

from streamgen.training.captions import Captions
from streamgen.training.photos import PhotoCrops, held_on, scene_files

SCENE_SHARE = 0.25
#: The autoencoder must draw what the styles look like too: this share of its pictures is styled.
STYLED_SHARE = 0.5625
STYLED_GROUP = 3


def mix_scenes(
    files: list[list[Tensor]], *, count: int, generator: torch.Generator, device: str = "cpu"
) -> PhotoCrops:
    """Draw `count` scenes to go with the files; all of them are held on the device."""
    return PhotoCrops(
        held_on(files, device),
        held_on(scene_files(count, 256, generator), device),
        scene_share=SCENE_SHARE,
        generator=generator,
    )


class StyledMix:
    """Crops, some of them already redrawn in a random style."""

    def __init__(self, crops: PhotoCrops, captions: Captions) -> None:
        self.crops = crops
        self.captions = captions

    def draw(self, count: int, size_px: int) -> Tensor:
        """Return float32 [count, 3, size_px, size_px] in [0, 1]."""
        image = self.crops.draw(count, size_px)
        for start in range(0, int(count * STYLED_SHARE), STYLED_GROUP):
            group = slice(start, start + STYLED_GROUP)
            image[group] = self.captions.draw_wish().draw(image[group])
        return image.clamp(0, 1)
