"""Crops of photographs and video frames held in memory; knows nothing of styles or networks."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from streamgen.errors import ConfigError
from streamgen.training.scenes import draw_scenes

T = TypeVar("T")
logger = logging.getLogger(__name__)

#: Photos kept for evaluation: never trained on.
TEST_PHOTOS = (
    "astronaut.jpg",
    "chelsea_cat.jpg",
    "coffee.jpg",
    "hands.jpg",
    "mdn_view1.jpg",
    "portrait.jpg",
    "street_cars.jpg",
    "vacation.jpg",
)
#: Files whose licence is not stated: for evaluation only.
UNLICENSED = ("bricks_wall.jpg", "wood.jpg", "cockatoo_closeup.mp4")
FRAMES_PER_VIDEO = 24


def load_files(folder: Path) -> list[list[Tensor]]:
    """Decode every licensed photo and some frames of every licensed clip under `folder`.

    Returns one list per file, of uint8 [3, H, W] tensors. Raises ConfigError where the folder has
    none.
    """
    excluded = {*TEST_PHOTOS, *UNLICENSED}
    files: list[list[Tensor]] = []
    for path in sorted(folder.rglob("*")):
        if path.name not in excluded and path.suffix.lower() in (".jpg", ".png", ".mp4"):
            files.append(_read(path))
    if not files:
        raise ConfigError(
            f"data {str(folder)!r}: has no photos (.jpg, .png) or clips (.mp4) to train on"
        )
    logger.info("%d pictures in %d files of %s", sum(map(len, files)), len(files), folder)
    return files


def held_on(files: list[list[Tensor]], device: str) -> list[list[Tensor]]:
    """Return the pictures of all files on a device."""
    return [[picture.to(device) for picture in file] for file in files]


def scene_files(count: int, size_px: int, generator: torch.Generator) -> list[list[Tensor]]:
    """Draw `count` procedural scenes, held like photographs (drawing is slower than cropping)."""
    batches = [draw_scenes(8, size_px, generator) for _ in range(math.ceil(count / 8))]
    scenes = (torch.cat(batches)[:count] * 255).round().to(torch.uint8).cpu()
    return [[scene] for scene in scenes]


def _read(path: Path) -> list[Tensor]:
    """Decode a file; ConfigError if it holds no picture."""
    try:
        pictures = list(_decode(path))
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"data '{path}' cannot be read: {reason}; remove the file") from error
    if not pictures:
        raise ConfigError(f"data '{path}' holds no picture; remove the file")
    return pictures


def _decode(path: Path) -> Iterable[Tensor]:
    with av.open(str(path)) as container:
        if not container.streams.video:
            return
        stream = container.streams.video[0]
        every = max(1, (stream.frames or 1) // FRAMES_PER_VIDEO)
        for index, frame in enumerate(container.decode(stream)):
            if index % every == 0:
                pixels = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
                yield torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


class PhotoCrops:
    """Random windows of pictures with strong scale and colour augmentation."""

    def __init__(
        self,
        files: list[list[Tensor]],
        scenes: list[list[Tensor]],
        *,
        scene_share: float,
        generator: torch.Generator,
    ) -> None:
        self.files = files
        self.scenes = scenes
        self.scene_share = scene_share
        self.generator = generator

    def draw(self, count: int, size_px: int) -> Tensor:
        """Return float32 [count, 3, size_px, size_px] in [0, 1], where the files are."""
        crops = torch.stack([self._window(size_px) for _ in range(count)])
        return self._recolour(crops)

    def _random(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def _pick(self, items: list[T]) -> T:
        return items[int(torch.randint(0, len(items), (), generator=self.generator))]

    def _window(self, size_px: int) -> Tensor:
        files = self.scenes if self._random(0, 1) < self.scene_share else self.files
        picture = self._pick(self._pick(files))
        _, height, width = picture.shape
        side = int(min(height, width) * self._random(0.05, 1.0) ** 0.7)
        side = max(min(size_px // 2, height, width), min(side, 4 * size_px, height, width))
        top = int(self._random(0, height - side + 0.999))
        left = int(self._random(0, width - side + 0.999))
        window = picture[None, :, top : top + side, left : left + side].float() / 255
        shape = (size_px, size_px)
        window = F.interpolate(window, size=shape, mode="bilinear", antialias=side > size_px)
        if self._random(0, 1) < 0.5:
            window = window.flip(-1)
        return window[0]

    def _recolour(self, crops: Tensor) -> Tensor:
        """Change exposure, contrast, white balance and saturation of each crop a little."""
        count = len(crops)

        def factor(low: float, high: float, channels: int = 1) -> Tensor:
            values = torch.rand(count, channels, 1, 1, generator=self.generator)
            return low + (high - low) * values.to(crops.device)

        grey = crops.mean(dim=1, keepdim=True)
        crops = grey + (crops - grey) * factor(0.6, 1.5)
        crops = crops * factor(0.9, 1.1, channels=3)
        crops = (crops - 0.5) * factor(0.75, 1.2) + 0.5 + factor(-0.12, 0.12)
        return crops.clamp(0.0, 1.0)
