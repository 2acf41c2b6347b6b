"""What the motion stage is judged by: clips of photos never trained on, with and without modules.

All figures are decibels, more is better: `mean_db`, how near drawn frames are to what is wanted;
`warp_db`, to the frame before moved along the known flow; `calm_db`, how little the brightness of
cells bends in time; `sharp_db`, how sharp they are beside what is wanted. `frozen_…` is the model
as it is, `wanted_…` what cannot be bettered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from streamgen.evaluation.correspondence import Correspondence
from streamgen.evaluation.figures import cells_of, flicker_energy, gradient_energy, warp_error
from streamgen.frame import Pixels
from streamgen.training.motion import MotionStage
from streamgen.training.motion_clips import Clip, draw_clip
from streamgen.training.photos import PhotoCrops
from streamgen.training.sheet import save_sheet
from streamgen.training.styles import STYLES

#: What clips are drawn in, one each; the first of them are on the sheet.
SHOWN = ("pencil sketch", "oil painting", "comic", "watercolor", "neon")
ON_SHEET, FRAMES_ON_SHEET = 3, 7
#: Twice what the ring holds, and where all clips start: at the model's usual strength.
FRAMES, FULL_T = 16, 799
_SEED = 11
Answer = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A clip, the style it is wanted in, and what the model makes of it as it is, [F, 3, H, W]."""

    style: str
    clip: Clip
    frozen: Tensor


class MotionReport:
    """Draws the clips of the report, with the modules as they are at the time."""

    def __init__(self, stage: MotionStage, test: Tensor, *, size_px: int) -> None:
        """test: photos [N, 3, H, W] in [0, 1]."""
        self.stage = stage
        held = (test * 255).round().to(torch.uint8).to(stage.device)
        generator = torch.Generator().manual_seed(_SEED)
        crops = PhotoCrops([[p] for p in held], [], scene_share=0.0, generator=generator)
        filters = {style.name: style.draw for style in STYLES}
        self.shown = []
        for style in SHOWN:
            clip = draw_clip(crops, filters[style], frames=FRAMES, side_px=size_px)
            frozen = self._drawn(clip, style, stage.frozen_answer)
            self.shown.append(_Shown(style=style, clip=clip, frozen=frozen))

    def write(self, folder: Path) -> Mapping[str, float]:
        """Write the adapter and the sheet into a folder; return the figures."""
        self.stage.layers.save(folder / "adapter")
        drawn = [self._drawn(each.clip, each.style, self.stage.answer) for each in self.shown]
        rows: list[Tensor] = []
        for each, made in zip(self.shown[:ON_SHEET], drawn, strict=False):
            four = (each.clip.source, each.clip.styled, each.frozen, made)
            rows += [frames[-FRAMES_ON_SHEET:] for frames in four]
        save_sheet(rows, folder / "sheet.png")
        clips = [each.clip for each in self.shown]
        return {
            **_figures(drawn, clips),
            **_named("frozen", _figures([each.frozen for each in self.shown], clips)),
            **_named("wanted", _figures([each.styled for each in clips], clips)),
        }

    @torch.no_grad()
    def _drawn(self, clip: Clip, style: str, answer: Answer) -> Tensor:
        """Redraw a clip with the same noise in every frame: [F, 3, H, W] in [0, 1]."""
        stage = self.stage
        source = stage.vae.encode(clip.source * 2 - 1).latents[None]
        t = torch.tensor([FULL_T], device=stage.device)
        noise = torch.randn(source[:, :1].shape, generator=torch.Generator().manual_seed(0))
        noisy = stage.noised(source * stage.scale, t, noise.to(source))
        latent = answer(noisy, t, source, stage.text([style]))[0] / stage.scale
        picture: Tensor = stage.vae.decode(latent).sample
        return (picture / 2 + 0.5).clamp(0, 1)


def _figures(drawn: Sequence[Tensor], clips: Sequence[Clip]) -> dict[str, float]:
    """Return the mean figures of clips, each [F, 3, H, W] in [0, 1]."""
    error, warp, bend, sharp = [], [], [], []
    for made, clip in zip(drawn, clips, strict=True):
        frames, wanted = _pixels(made), _pixels(clip.styled)
        error.append(float((made - clip.styled).square().mean()))
        pairs = zip(frames, frames[1:], _known(clip), strict=False)
        warp.append(float(np.mean([warp_error(*pair) for pair in pairs])))
        cells = [cells_of(frame) for frame in frames]
        threes = zip(cells, cells[1:], cells[2:], strict=False)
        bend.append(float(np.mean([flicker_energy(*three) for three in threes])) / 255**2)
        sharp.append(_energy(wanted) / max(_energy(frames), 1e-9))
    parts = {"mean_db": error, "warp_db": warp, "calm_db": bend, "sharp_db": sharp}
    return {name: float(np.mean([_decibels(v) for v in part])) for name, part in parts.items()}


def _known(clip: Clip) -> list[Correspondence]:
    flows = clip.flow.permute(0, 2, 3, 1).cpu().numpy()
    known = clip.is_known[:, 0].cpu().numpy()
    return [Correspondence(flow=f, is_known=k) for f, k in zip(flows, known, strict=True)]


def _pixels(frames: Tensor) -> list[Pixels]:
    levels = (frames * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return list(levels)


def _energy(frames: Sequence[Pixels]) -> float:
    return float(np.mean([gradient_energy(frame) for frame in frames]))


def _decibels(ratio: float) -> float:
    return -10 * math.log10(max(ratio, 1e-10))


def _named(whose: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{whose}_{name}": value for name, value in figures.items()}
