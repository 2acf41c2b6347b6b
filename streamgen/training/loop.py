"""The training loop every stage shares: time budget, warm-up and decay, EMA, checkpoints, log.

Knows nothing of pictures: a stage gives it a module and a function that returns one loss.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from streamgen.training.checkpoint import checkpoint_in, read_checkpoint
from streamgen.training.muon import Muon
from streamgen.training.plot import save_plot

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long to train and how.

    minutes: wall-clock time of this call; the learning rate decays to zero over it.
    rate: peak learning rate of Muon; ema: decay of the averaged weights per step.
    """

    minutes: float
    rate: float
    ema: float = 0.999
    warmup_steps: int = 50
    log_every: int = 50
    save_every_s: float = 120.0


class Trainer:
    """Fits one module and keeps an exponential moving average of its weights."""

    def __init__(self, module: nn.Module, *, folder: Path, budget: Budget) -> None:
        self.module = module
        self.folder = folder
        self.budget = budget
        self.step = 0
        self.parameters = dict(module.named_parameters())
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.optimizer = Muon(module.named_parameters(), rate=budget.rate)

    def resume(self) -> None:
        """Continue from the last checkpoint in the folder; raise ConfigError without one."""
        tensors = read_checkpoint(self.folder)
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[f"weights.{name}"])
                self.average[name].copy_(tensors[f"average.{name}"])
        prefix = "optimizer."
        self.optimizer.load_state(
            {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
        )
        self.step = int(tensors["step"])
        logger.info("resumed at step %d", self.step)

    def run(
        self,
        loss_of: Callable[[int], tuple[Tensor, Mapping[str, float]]],
        report: Callable[[int], Mapping[str, float]],
    ) -> None:
        """Train until the budget is spent.

        loss_of(step) returns the loss and figures to log; report(step) is called at each
        checkpoint with the averaged weights in place and returns figures of its own.
        """
        began = saved = time.monotonic()
        seconds = self.budget.minutes * 60
        data_s = 0.0
        while (elapsed := time.monotonic() - began) < seconds:
            loss, figures = loss_of(self.step)
            self._descend(loss, self._factor(elapsed / seconds))
            data_s += figures.get("data_s", 0.0)
            if self.step % self.budget.log_every == 0:
                share = {"data_share": data_s / max(elapsed, 1e-9), "minute": elapsed / 60}
                self._log({"loss": float(loss.detach()), **figures, **share})
            if time.monotonic() - saved > self.budget.save_every_s:
                saved = time.monotonic()
                self._checkpoint(report)
        self._checkpoint(report)

    def _factor(self, progress: float) -> float:
        """Return the share of the peak rate: linear warm-up, then a cosine down to 2 %."""
        warm = min(1.0, (self.step + 1) / self.budget.warmup_steps)
        return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))

    def _descend(self, loss: Tensor, factor: float) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step(factor)
        self.step += 1
        decay = min(self.budget.ema, self.step / (self.step + 10))
        with torch.no_grad():
            averages = list(self.average.values())
            torch._foreach_lerp_(averages, list(self.parameters.values()), 1 - decay)

    def _log(self, figures: Mapping[str, float]) -> None:
        line = {"step": self.step, **{key: round(value, 5) for key, value in figures.items()}}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def _checkpoint(self, report: Callable[[int], Mapping[str, float]]) -> None:
        tensors = {"step": torch.tensor(self.step)}
        for name, parameter in self.parameters.items():
            tensors[f"weights.{name}"] = parameter.detach().contiguous()
            tensors[f"average.{name}"] = self.average[name].contiguous()
        for key, tensor in self.optimizer.state().items():
            tensors[f"optimizer.{key}"] = tensor.contiguous()
        partial = self.folder / "checkpoint.partial"
        save_file(tensors, partial)
        partial.replace(checkpoint_in(self.folder))
        self._log(self._with_average(lambda: report(self.step)))
        save_plot(self.folder / "log.jsonl", self.folder / "log.png")

    def _with_average(self, act: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
        """Call `act` while the module holds the averaged weights."""
        kept = {name: p.detach().clone() for name, p in self.parameters.items()}
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self.average[name])
            figures = act()
            for name, parameter in self.parameters.items():
                parameter.copy_(kept[name])
        return figures
