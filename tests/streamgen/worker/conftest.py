"""A worker without thread or clock: real pipelines on engines that give the picture back."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from streamgen.errors import ModelError
from streamgen.frame import Frame, Stamp
from streamgen.revise import Abilities
from streamgen.schedule import schedule_from
from streamgen.worker import Worker


class EchoEngines:
    """Redraw nothing: the picture that comes out says whose it is and which."""

    def __init__(self, config):
        self.schedule = schedule_from({"prediction_type": "sample"})
        self.latent_shape = (3, 2, 2)
        self.device = torch.device("cpu")
        self.abilities = Abilities(reads_picture=True, works_blind=False)
        self.model = SimpleNamespace(row=SimpleNamespace(controls={}))
        backend = SimpleNamespace(name="echo")
        self.choice = SimpleNamespace(backend=backend, device="cpu", rejected=())
        self.described_precision = "fp32"
        self.upcoming = self.motion_memory = None
        self.batches = []
        self.is_broken = self.is_closed = False
        self.broken_owner = None

    def encode(self, pixels):
        return torch.from_numpy(pixels[:, ::8, ::8].copy()).permute(0, 3, 1, 2).float()

    def unet(self, x, t, text, cond):
        self.batches.append(len(x))
        return cond["source"]

    def decode(self, latents):
        owners = latents[:, 0, 0, 0].round().tolist()
        if self.is_broken or self.broken_owner in owners:
            raise ModelError("model 'one' drew NaN or infinity")
        levels = latents.round().to(torch.uint8).permute(0, 2, 3, 1)
        return levels.repeat_interleave(8, 1).repeat_interleave(8, 2).numpy()

    def text(self, sentence):
        return torch.zeros(1, 1)

    def scaled(self, latent):
        return latent

    def cond_of(self, source):
        return {"source": source}

    def close(self):
        self.is_closed = True


class Bench:
    """A worker and the engines that it loaded."""

    def __init__(self, **options):
        self.loaded = {}
        self.worker = Worker(self.load, **options)

    def load(self, config):
        if config.model == "missing":
            raise ModelError("model 'missing': no such model")
        self.loaded[config] = EchoEngines(config)
        return self.loaded[config]


@pytest.fixture(scope="session")
def make_bench():
    return Bench


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture(scope="session")
def picture():
    """Return what makes a frame whose colour is its owner and its number."""
    return _picture


@pytest.fixture(scope="session")
def told():
    """Return what reads from a frame whose it is and which."""
    return _told


def _picture(owner, index, ingest_ns=0):
    """A frame whose colour is its owner and its number."""
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[...] = (owner, index % 256, index // 256)
    stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=ingest_ns)
    return Frame(pixels=pixels, stamp=stamp)


def _told(frame):
    """Return whose picture this is and which, from its colour."""
    owner, low, high = (int(value) for value in frame.pixels[8, 8])
    return owner, low + 256 * high
