"""A small random network in double precision, and engines around it whose latents can be seen."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from streamgen.frame import Frame, Stamp
from streamgen.revise import Abilities
from streamgen.schedule import schedule_from

SIDE = 16


class SmallNet(nn.Module):
    """x, t, text and source through two random convolutions; no normalisation across rows."""

    def __init__(self, channels, reads_picture):
        super().__init__()
        self.first = nn.Conv2d(channels * (2 if reads_picture else 1), 8, 3, padding=1)
        self.last = nn.Conv2d(8, channels, 3, padding=1)

    def forward(self, x, t, text, cond):
        inside = self.first(torch.cat([x, *cond.values()], dim=1))
        told = text.mean(dim=(1, 2)) + t / 500
        return self.last(torch.tanh(inside + told.view(-1, 1, 1, 1))) + 0.5 * x


class SmallEngines:
    """Latent = a pixel of each cell of 8, in [-1, 1]; `drawn` keeps the latents that came out."""

    def __init__(self, *, prediction="epsilon", reads_picture=True, seed=0, **config):
        torch.manual_seed(seed)
        asked = {"prediction_type": prediction, "_class_name": "LCMScheduler", **config}
        self.schedule = schedule_from(asked)
        self.latent_shape = (3, SIDE // 8, SIDE // 8)
        self.device = torch.device("cpu")
        self.abilities = Abilities(reads_picture=reads_picture, works_blind=reads_picture)
        self.net = SmallNet(3, reads_picture).double().requires_grad_(False)
        self.batches = []
        self.drawn = []

    def encode(self, pixels):
        small = torch.from_numpy(pixels[:, ::8, ::8].copy()).permute(0, 3, 1, 2)
        return small.double() / 127.5 - 1

    def unet(self, x, t, text, cond):
        self.batches.append(len(x))
        return self.net(x.double(), t.double(), text, cond)

    def decode(self, latents):
        self.drawn += list(latents.clone())
        levels = (latents * 64 + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        return levels.repeat_interleave(8, 1).repeat_interleave(8, 2).numpy()

    def text(self, sentence):
        generator = torch.Generator().manual_seed(sum(map(ord, sentence)) + 1)
        return torch.randn(2, 4, generator=generator, dtype=torch.float64)

    def scaled(self, latent):
        return latent

    def cond_of(self, source):
        return {"source": source} if self.abilities.reads_picture else {}


@pytest.fixture
def small_engines():
    return SmallEngines


def numbered_frame(index, seed=0):
    """A picture of its own for every number."""
    rng = np.random.default_rng([seed, index])
    pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=0)
    return Frame(pixels=pixels, stamp=stamp)


@pytest.fixture(name="numbered_frame")
def _numbered_frame():
    return numbered_frame
