"""Workers whose engines give every picture back: all of the way with none of the model.

For benchmarks of everything around a model, and for tests; no command offers them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import torch
from torch import Tensor

from streamgen.admission import Limits
from streamgen.child import ChildOptions, known_controls
from streamgen.config import StreamConfig
from streamgen.frame import Pixels
from streamgen.models.engines import Engines
from streamgen.revise import Abilities
from streamgen.schedule import NoiseSchedule, schedule_from
from streamgen.threads import use_threads
from streamgen.worker import Worker

#: What one call of the slow model takes.
SLOW_S = 0.2


def make_passthrough_worker(options: ChildOptions) -> Worker:
    """Return a worker that gives every picture back at once."""
    return _worker(options, lambda: None)


def make_slow_worker(options: ChildOptions) -> Worker:
    """Return a worker that gives every picture back after 200 ms."""
    return _worker(options, lambda: time.sleep(SLOW_S))


@dataclass(slots=True, kw_only=True, eq=False)
class PassthroughEngines:
    """The callables of `Engines`, without networks: a latent is the picture itself.

    pause: what happens instead of the denoiser's work.
    """

    config: StreamConfig
    pause: Callable[[], None] = lambda: None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    schedule: NoiseSchedule = field(
        default_factory=lambda: schedule_from({"prediction_type": "sample"})
    )
    abilities: Abilities = Abilities(reads_picture=True, works_blind=False)
    choice: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(
            backend=SimpleNamespace(name="passthrough"), device="cpu", rejected=()
        )
    )
    described_precision: str = "fp32"
    upcoming: None = None
    motion_memory: None = None

    @property
    def model(self) -> SimpleNamespace:
        """What is asked of a loaded model: the defaults of its controls."""
        return SimpleNamespace(row=SimpleNamespace(controls=_defaults(self.config)))

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return (3, self.config.height, self.config.width)

    def encode(self, pixels: Pixels) -> Tensor:
        """Return uint8 [B, H, W, 3] as float32 [B, 3, H, W]."""
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).float()

    def unet(self, x: Tensor, t: Tensor, text: Tensor, cond: dict[str, Tensor]) -> Tensor:
        """Return the pictures that the rows were made of."""
        self.pause()
        return cond["source"]

    def decode(self, latents: Tensor) -> Pixels:
        """Return float32 [B, 3, H, W] as uint8 [B, H, W, 3]."""
        pixels = latents.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        return cast(Pixels, pixels.numpy())

    def text(self, sentence: str) -> Tensor:
        return torch.zeros(1, 1)

    def scaled(self, latent: Tensor) -> Tensor:
        return latent

    def cond_of(self, source: Tensor) -> dict[str, Tensor]:
        return {"source": source}

    def close(self) -> None:
        """Give nothing back, as there is nothing."""


def _defaults(config: StreamConfig) -> Mapping[str, object]:
    """Return a model's defaults, but that pictures pass as they are, without any of the last."""
    return {**known_controls(config), "temporal_strength": 0.0}


def _worker(options: ChildOptions, pause: Callable[[], None]) -> Worker:
    use_threads(options.threads)
    return Worker(
        # They have all that a pipeline asks of engines; there is no second kind worth a protocol.
        lambda config: cast(Engines, PassthroughEngines(config=config, pause=pause)),
        limits=Limits(max_streams=options.max_streams, min_fps=options.min_fps),
        defaults=_defaults,
    )
