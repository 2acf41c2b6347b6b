"""What a call of `streamgen train lora` is asked to do, and where it keeps what; no networks."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from streamgen.errors import ConfigError
from streamgen.training.checkpoint import check_start
from streamgen.training.extra import check_extra
from streamgen.training.lora_loop import Length

MAX_RANK = 128
#: What a run was begun with, and has to be gone on with.
SETTLED = ("model", "prompt", "rank", "seed", "size_px", "batch", "rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraPlan:
    """One call.

    photos, drawn: folders of pictures of equal names, before and after. out: the LoRA's file.
    prompt: the sentence that it is trained with. minutes: wall-clock time of this call; steps:
    train until this one instead, which ends the same, bit for bit, on the same machine.
    size_px, batch: of the crops. rate: the peak learning rate.
    """

    photos: Path
    drawn: Path
    out: Path
    model: str = "tiny"
    prompt: str = ""
    rank: int = 8
    minutes: float = 4.0
    steps: int | None = None
    seed: int = 0
    resume: bool = False
    size_px: int = 128
    batch: int = 8
    rate: float = 0.006
    device: str = "cpu"
    save_every_s: float = 60.0

    def __post_init__(self) -> None:
        if self.out.suffix != ".safetensors":
            raise ConfigError(f"out '{self.out}': give a file that ends in .safetensors")
        if not 1 <= self.rank <= MAX_RANK:
            raise ConfigError(f"rank {self.rank}: give a whole number from 1 to {MAX_RANK}")
        if not 0 < self.minutes < math.inf:
            raise ConfigError(f"minutes {self.minutes}: give a number above 0")
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"steps {self.steps}: give a whole number from 1 on")
        if self.size_px < 64 or self.size_px % 32:
            raise ConfigError(f"size {self.size_px}: give a multiple of 32 from 64")
        if self.batch < 1:
            raise ConfigError(f"batch {self.batch}: give a whole number from 1 on")
        if not 0 < self.rate < math.inf:
            raise ConfigError(f"rate {self.rate}: give a number above 0")
        if self.device not in ("cpu", "cuda"):
            raise ConfigError(f"device {self.device!r}: give cpu or cuda")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("device 'cuda': torch finds no CUDA device here; give cpu")

    @property
    def folder(self) -> Path:
        """Where checkpoint, log and contact sheet lie: beside the LoRA, named as it is."""
        return self.out.with_suffix(".training")

    @property
    def length(self) -> Length:
        return Length(steps=self.steps, minutes=self.minutes)

    def generator(self, step: int) -> torch.Generator:
        """Return the source of a step's data: a resumed run sees what it would have seen."""
        return torch.Generator().manual_seed((self.seed * 1_000_003 + step) % 2**63)

    def check(self) -> None:
        """Raise ConfigError where the run cannot begin, or cannot be gone on from so."""
        check_extra(["matplotlib"])
        check_start(self.folder, is_resumed=self.resume)
        if self.resume:
            self._check_settled()
        elif self.out.exists():
            raise ConfigError(f"out '{self.out}' exists: give another file, or remove it")

    def make_folder(self) -> None:
        """Make the folder of the run; raise ConfigError where nothing can be written there."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._settings.write_text(json.dumps(self._settled(), indent=1), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"out '{self.out}' cannot be written: {error.strerror}") from error
        if not os.access(self.out.parent, os.W_OK):
            raise ConfigError(f"out '{self.out}' cannot be written: permission denied")

    @property
    def _settings(self) -> Path:
        return self.folder / "settings.json"

    def _settled(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self).items() if name in SETTLED}

    def _check_settled(self) -> None:
        try:
            begun = json.loads(self._settings.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self._settings} cannot be read: train without --resume") from error
        for name, value in self._settled().items():
            if begun[name] != value:
                raise ConfigError(
                    f"{name} {value!r}: '{self.out}' was begun with {begun[name]!r}: go on with"
                    " that, or give another file"
                )
