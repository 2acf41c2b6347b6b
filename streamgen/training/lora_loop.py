"""The training loop of a LoRA: AdamW for a number of steps or minutes, checkpoints, log.

Like `loop.Trainer` but for the length, which may be a number of steps, so that a run can be
repeated to the bit, resumed or not; and without averaged weights, as the rate falls to zero.
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
from streamgen.training.plot import save_plot

logger = logging.getLogger(__name__)
_STATE = ("exp_avg", "exp_avg_sq", "step")
LossOf = Callable[[int], tuple[Tensor, Mapping[str, float]]]
Report = Callable[[int], Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """steps: of all calls together; where there are none, minutes: wall-clock time of this call."""

    steps: int | None
    minutes: float

    def progress(self, step: int, elapsed_s: float) -> float:
        """Return how much is done, 1 or more at the end."""
        return elapsed_s / (60 * self.minutes) if self.steps is None else step / self.steps


class LoraTrainer:
    """Fits a module whose parameters are all to be learned."""

    def __init__(
        self,
        module: nn.Module,
        *,
        folder: Path,
        rate: float,
        warmup_steps: int = 20,
        log_every: int = 10,
        save_every_s: float = 60.0,
    ) -> None:
        """rate: at its peak; folder: of checkpoint and log."""
        self.folder = folder
        self.rate = rate
        self.warmup_steps = warmup_steps
        self.log_every = log_every
        self.save_every_s = save_every_s
        self.step = 0
        self.parameters = dict(module.named_parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0
        )

    def resume(self) -> None:
        """Continue from the last checkpoint in the folder; raise ConfigError without one."""
        tensors = read_checkpoint(self.folder)
        self.step = int(tensors["step"])
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[f"weights.{name}"])
                if self.step:
                    state = {key: tensors[f"{key}.{name}"].clone() for key in _STATE}
                    self.optimizer.state[parameter] = {
                        key: value.to(parameter.device) if key != "step" else value
                        for key, value in state.items()
                    }
        logger.info("resumed at step %d", self.step)

    def run(self, length: Length, loss_of: LossOf, report: Report) -> None:
        """Train to the end of the length.

        loss_of(step) returns the loss and figures to log; report(step) is called at each
        checkpoint and returns figures of its own.
        """
        began = saved = time.monotonic()
        while (progress := length.progress(self.step, time.monotonic() - began)) < 1:
            loss, figures = loss_of(self.step)
            self._descend(loss, self._factor(progress))
            if self.step % self.log_every == 0:
                minute = (time.monotonic() - began) / 60
                self._log({"loss": float(loss.detach()), **figures, "minute": minute})
            if time.monotonic() - saved > self.save_every_s:
                saved = time.monotonic()
                self._checkpoint(report)
        self._checkpoint(report)

    def _factor(self, progress: float) -> float:
        """Return the share of the peak rate: linear warm-up, then a cosine down to nothing."""
        warm = min(1.0, (self.step + 1) / self.warmup_steps)
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def _descend(self, loss: Tensor, factor: float) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = factor * self.rate
        self.optimizer.step()
        self.step += 1

    def _log(self, figures: Mapping[str, float]) -> None:
        line = {"step": self.step, **{key: round(value, 5) for key, value in figures.items()}}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def _checkpoint(self, report: Report) -> None:
        tensors = {"step": torch.tensor(self.step)}
        for name, parameter in self.parameters.items():
            tensors[f"weights.{name}"] = parameter.detach().contiguous()
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{key}.{name}"] = value
        partial = self.folder / "checkpoint.partial"
        save_file(tensors, partial)
        partial.replace(checkpoint_in(self.folder))
        figures = report(self.step)
        logger.info("step %d: %s", self.step, dict(figures))
        self._log(figures)
        save_plot(self.folder / "log.jsonl", self.folder / "log.png")
