"""A pool of clips as latents: sources, what is wanted of them, and the flow from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import Tensor

from streamgen.training.captions import Captions, Wish
from streamgen.training.motion_clips import Clip, draw_clip
from streamgen.training.photos import PhotoCrops


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipBatch:
    """B clips of F frames; latents unscaled.

    source, styled: [B, F, 16, h, w]. flow: [B, F - 1, 2, h, w] in cells of the latent; is_known:
    bool [B, F - 1, 1, h, w], True where flow is known all over the cell. One wish per clip.
    """

    source: Tensor
    styled: Tensor
    flow: Tensor
    is_known: Tensor
    wishes: list[Wish]


def clip_latents(clip: Clip, vae: AutoencoderTiny) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return source and styled latents, flow and where it is known, as one clip of a batch."""
    both = torch.cat([clip.source, clip.styled]) * 2 - 1
    both = both.contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast(both.device.type, dtype=torch.bfloat16):
        latents = vae.encoder(both)
    source, styled = latents.half().contiguous().chunk(2)
    cell = clip.source.shape[-1] // latents.shape[-1]
    known = -F.max_pool2d(-clip.is_known.float(), cell)
    return source.clone(), styled.clone(), F.avg_pool2d(clip.flow, cell) / cell, known > 0.5


class ClipPool:
    """A fixed number of clips, the oldest replaced one at a time."""

    def __init__(
        self,
        vae: AutoencoderTiny,
        *,
        crops: PhotoCrops,
        captions: Captions,
        frames: int,
        size_px: int,
    ) -> None:
        self.vae = vae
        self.crops = crops
        self.captions = captions
        self.frames = frames
        self.size_px = size_px
        self.clips: list[tuple[Tensor, ...]] = []
        self.wishes: list[Wish] = []
        self.oldest = 0

    def fill(self, count: int) -> None:
        """Draw clips until there are `count`."""
        while len(self.clips) < count:
            clip, wish = self._draw()
            self.clips.append(clip)
            self.wishes.append(wish)

    def refresh(self) -> None:
        """Replace the oldest clip."""
        self.clips[self.oldest], self.wishes[self.oldest] = self._draw()
        self.oldest = (self.oldest + 1) % len(self.clips)

    def sample(self, count: int) -> ClipBatch:
        """Return a random batch in float32."""
        pick = torch.randint(0, len(self.clips), (count,), generator=self.crops.generator)
        chosen = pick.tolist()
        source, styled, flow, known = (
            torch.stack(parts) for parts in zip(*(self.clips[k] for k in chosen), strict=True)
        )
        return ClipBatch(
            source=source.float(),
            styled=styled.float(),
            flow=flow.float(),
            is_known=known,
            wishes=[self.wishes[k] for k in chosen],
        )

    def _draw(self) -> tuple[tuple[Tensor, ...], Wish]:
        wish = self.captions.draw_wish()
        clip = draw_clip(self.crops, wish.draw, frames=self.frames, side_px=self.size_px)
        return clip_latents(clip, self.vae), wish
