"""The state of a stream as plain data: one video, its noise, its rows; no engine inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from streamgen.controls import Controls
from streamgen.frame import Stamp
from streamgen.schedule import Level


@dataclass(slots=True, kw_only=True)
class Row:
    """The unit of denoising: one frame on its way from noise to picture.

    x: [C, h, w] at level `levels[position]`; a row past its last level is finished, x is then x̂0.
    text, negative_text: [tokens, width]; the second is None without guidance by a pass.
    cond: further inputs of the model for this frame, as the clean source latent of
    InstructPix2Pix; origin: [C, h, w], the clean latent that the virtual negative stands for.
    noises: one tensor per level; controls, stamp: what the frame came with, kept to the end.
    """

    x: Tensor
    levels: tuple[Level, ...]
    noises: tuple[Tensor, ...]
    text: Tensor
    negative_text: Tensor | None
    cond: Mapping[str, Tensor]
    origin: Tensor
    controls: Controls
    stamp: Stamp
    revision: int
    position: int = 0

    @property
    def is_finished(self) -> bool:
        return self.position == len(self.levels)

    @property
    def level(self) -> Level:
        """The level that x is at now."""
        return self.levels[self.position]

    @property
    def needs_negative_pass(self) -> bool:
        """Whether this step runs the model on the negative prompt as well."""
        if not self.controls.is_guided:
            return False
        mode = self.controls.guidance
        return mode == "full" or (mode == "initialize" and self.position == 0)


@dataclass(slots=True, kw_only=True)
class NoiseBank:
    """A stream's noise: one fixed tensor per level and seed, or new ones on request.

    Drawn on the CPU, so that a seed means the same picture on every device.
    """

    shape: tuple[int, ...]
    device: torch.device
    fixed: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    drawn: int = 0

    def take(self, controls: Controls, count: int) -> tuple[Tensor, ...]:
        """Return `count` unit-noise tensors of `shape`, for the levels in order."""
        if controls.noise == "fresh":
            self.drawn += 1
            return tuple(self._draw(controls.seed, self.drawn * 97 + k) for k in range(count))
        self._forget_other_seeds(controls.seed)
        return tuple(self._fixed(controls.seed, k) for k in range(count))

    def _fixed(self, seed: int, position: int) -> Tensor:
        key = (seed, position)
        if key not in self.fixed:
            self.fixed[key] = self._draw(seed, position)
        return self.fixed[key]

    def _forget_other_seeds(self, seed: int) -> None:
        for key in [key for key in self.fixed if key[0] != seed]:
            del self.fixed[key]

    def _draw(self, seed: int, number: int) -> Tensor:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
        return torch.randn(self.shape, generator=generator).to(self.device)


@dataclass(slots=True, kw_only=True)
class Stream:
    """One user's video: controls in force, their revision, the noise.

    Two streams share nothing, so neither can see the other's pixels.
    """

    name: str
    controls: Controls
    noise: NoiseBank
    revision: int = 0

    def steer(self, controls: Controls) -> None:
        """Put other controls in force, from the next frame on."""
        self.controls = controls
        self.revision += 1
