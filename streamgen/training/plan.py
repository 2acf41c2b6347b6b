"""What one call of a stage is asked to do; knows nothing of the networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from streamgen.errors import ConfigError
from streamgen.training.checkpoint import check_start
from streamgen.training.extra import check_extra
from streamgen.training.loop import Budget, Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One call of a stage.

    data: folder of photos and clips (see `photos.py`). device: cpu or cuda, where
    networks, pictures and styles are. out: folder of the run, one subfolder a
    stage. size_px, batch: of the crops. pairs: how many latent pairs are held at once; scenes:
    how many procedural pictures join the photographs.
    """

    data: Path
    out: Path
    minutes: float
    seed: int = 0
    resume: bool = False
    size_px: int = 128
    batch: int = 16
    pairs: int = 6000
    scenes: int = 200
    rate: float = 0.015
    device: str = "cpu"
    save_every_s: float = 480.0

    def __post_init__(self) -> None:
        if not self.data.is_dir():
            raise ConfigError(f"data {str(self.data)!r}: there is no such folder")
        if not self.minutes > 0:
            raise ConfigError(f"minutes {self.minutes}: give a number above 0")
        if self.size_px < 64 or self.size_px % 32:
            raise ConfigError(f"size {self.size_px}: give a multiple of 32 from 64")
        if self.device not in ("cpu", "cuda"):
            raise ConfigError(f"device {self.device!r}: give cpu or cuda")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("device 'cuda': torch finds no CUDA device here; give cpu")
        if self.batch < 1 or self.pairs < self.batch:
            raise ConfigError(f"batch {self.batch}: give 1 or more, and no more than the pairs")

    def folder_of(self, stage: str) -> Path:
        """Return the folder of a stage; raise ConfigError where the stage cannot begin."""
        check_extra()
        folder = self.out / stage
        check_start(folder, is_resumed=self.resume)
        return folder

    def trainer(self, module: nn.Module, folder: Path) -> Trainer:
        """Return what fits the module, at the step of the last checkpoint if resumed."""
        folder.mkdir(parents=True, exist_ok=True)
        budget = Budget(minutes=self.minutes, rate=self.rate, save_every_s=self.save_every_s)
        trainer = Trainer(module, folder=folder, budget=budget)
        if self.resume:
            trainer.resume()
        return trainer

    def generator(self, step: int) -> torch.Generator:
        """Return the source of all data from a step on, so that no resumed call repeats any."""
        return torch.Generator().manual_seed((self.seed * 1_000_003 + step) % 2**63)
