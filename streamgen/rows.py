"""The state of a stream as plain data: one video, its noise, its rows; no engine inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from streamgen.controls import Controls
from streamgen.frame import Stamp
from streamgen.schedule import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Controls in force, with all that is made of them before the first frame is drawn.

    levels: noisiest first. text: [tokens, width]; negative_text: alike, None where the guidance
    makes no pass on the negative prompt.
    """

    number: int
    controls: Controls
    levels: tuple[Level, ...]
    text: Tensor
    negative_text: Tensor | None


@dataclass(slots=True, kw_only=True)
class Row:
    """The unit of denoising: one frame on its way from noise to picture.

    x: [C, h, w] at level `revision.levels[position]`; past its last level a row is finished and x
    is x̂0. cond: further inputs of the model for this frame, as the clean source latent of
    InstructPix2Pix; origin: [C, h, w], the clean latent that the virtual negative stands for.
    noises: one [C, h, w] a level. revision and stamp: what the frame came with, kept to the end.
    """

    x: Tensor
    noises: tuple[Tensor, ...]
    cond: Mapping[str, Tensor]
    origin: Tensor
    revision: Revision
    stamp: Stamp
    position: int = 0

    @property
    def is_finished(self) -> bool:
        return self.position == len(self.revision.levels)

    @property
    def level(self) -> Level:
        """The level that x is at now."""
        return self.revision.levels[self.position]

    @property
    def needs_negative_pass(self) -> bool:
        """Whether this step runs the model on the negative prompt as well."""
        if self.revision.negative_text is None:
            return False
        return self.revision.controls.guidance == "full" or self.position == 0


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
    """One user's video: the revision in force and the noise.

    Assign another revision to steer it: the next frame is drawn with that, frames under way keep
    theirs. Two streams share nothing, so neither can see the other's pixels.
    """

    name: str
    revision: Revision
    noise: NoiseBank
