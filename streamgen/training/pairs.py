"""A pool of latent pairs: a picture, the same picture in a style, and the wish that joins them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from streamgen.training.captions import Captions, Wish
from streamgen.training.photos import PhotoCrops

GROUP = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PairBatch:
    """source, styled: [B, 16, h, w] unscaled latents; one wish per pair."""

    source: Tensor
    styled: Tensor
    wishes: list[Wish]


class PairPool:
    """A fixed number of pairs, the oldest replaced a few at a time."""

    def __init__(
        self, vae: AutoencoderTiny, *, crops: PhotoCrops, captions: Captions, size_px: int
    ) -> None:
        self.vae = vae
        self.crops = crops
        self.captions = captions
        self.size_px = size_px
        self.source: list[Tensor] = []
        self.styled: list[Tensor] = []
        self.wishes: list[Wish] = []
        self.oldest = 0

    def fill(self, count: int) -> None:
        """Draw pairs until there are `count`."""
        while len(self.wishes) < count:
            for source, styled, wish in zip(*self._draw_group(), strict=True):
                self.source.append(source)
                self.styled.append(styled)
                self.wishes.append(wish)

    def refresh(self) -> None:
        """Replace the oldest group."""
        for source, styled, wish in zip(*self._draw_group(), strict=True):
            self.source[self.oldest] = source
            self.styled[self.oldest] = styled
            self.wishes[self.oldest] = wish
            self.oldest = (self.oldest + 1) % len(self.wishes)

    def sample(self, count: int) -> PairBatch:
        """Return a random batch in float32."""
        pick = torch.randint(0, len(self.wishes), (count,), generator=self.crops.generator)
        chosen = pick.tolist()
        return PairBatch(
            source=torch.stack([self.source[i] for i in chosen]).float(),
            styled=torch.stack([self.styled[i] for i in chosen]).float(),
            wishes=[self.wishes[i] for i in chosen],
        )

    @torch.no_grad()
    def _draw_group(self) -> tuple[list[Tensor], list[Tensor], list[Wish]]:
        """Draw crops, each in one style; styles work on groups of one wish for speed."""
        image = self.crops.draw(GROUP, self.size_px)
        wish = self.captions.draw_wish()
        both = torch.cat([image, wish.draw(image).clamp(0, 1)]) * 2 - 1
        both = both.contiguous(memory_format=torch.channels_last)
        with torch.autocast(both.device.type, dtype=torch.bfloat16):
            latents = self.vae.encoder(both)
        source, styled = latents.half().contiguous().chunk(2)
        return list(source.clone()), list(styled.clone()), [wish] * GROUP
