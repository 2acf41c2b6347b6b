"""The state of a stream as plain data: one video, its noise, its rows; no engine inside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from streamgen.controls import Controls, Seed
from streamgen.frame import Stamp
from streamgen.gate import SimilarityGate
from streamgen.lora.weights import Weights
from streamgen.schedule import Level
from streamgen.temporal.likeness import likeness
from streamgen.temporal.memory import StreamMemory
from streamgen.temporal.moment import Moment
from streamgen.temporal.motion import Motion
from streamgen.temporal.noise import MovingNoise


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Controls in force, with all that is made of them before the first frame is drawn.

    levels: noisiest first. text: [tokens, width]; negative_text: alike, None where the guidance
    makes no pass on the negative prompt. cond: further inputs of the model that words and controls
    decide on, as SDXL's; negative_cond: the same for the pass on the negative prompt. weights: of
    the model, with its LoRAs; None where it can have none.
    """

    number: int
    controls: Controls
    levels: tuple[Level, ...]
    text: Tensor
    negative_text: Tensor | None
    cond: Mapping[str, Tensor] = field(default_factory=dict)
    negative_cond: Mapping[str, Tensor] = field(default_factory=dict)
    weights: Weights | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Row:
    """The unit of denoising: one frame on its way from noise to picture.

    x: [C, h, w] at level `revision.levels[position]`; past its last level a row is finished and x
    is x̂0. cond: further inputs of the model for this frame, as the clean source latent of
    InstructPix2Pix, and those of the revision; origin: [C, h, w], the clean latent that the virtual
    negative stands for. noises: one [C, h, w] a level. revision and stamp: what the frame came
    with, kept to the end. motion: since the last frame drawn, None after a start or where nobody
    asks for it; memory: the stream's, None where nothing is to be remembered; number: counts the
    rows of a stream, by which its memory knows what is of the frame before.
    """

    x: Tensor
    noises: tuple[Tensor, ...]
    cond: Mapping[str, Tensor]
    origin: Tensor
    revision: Revision
    stamp: Stamp
    motion: Motion | None = None
    memory: StreamMemory | None = None
    number: int = 0
    position: int = 0

    @property
    def left(self) -> int:
        """How many steps are still to be made."""
        return len(self.revision.levels) - self.position

    @property
    def moment(self) -> Moment:
        """What the stream's memory needs to know of this row."""
        return Moment(number=self.number, controls=self.revision.controls, motion=self.motion)

    @property
    def is_finished(self) -> bool:
        return self.left == 0

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

    @property
    def needs_blind_pass(self) -> bool:
        """Whether this step runs the model without its picture as well."""
        return self.revision.controls.guides_by_image


@dataclass(slots=True, kw_only=True)
class NoiseBank:
    """A stream's noise: one fixed tensor per level and seed, moved along or new ones on request.

    Drawn on the CPU, so that a seed means the same picture on every device. controls: of the last
    noise taken.
    """

    shape: tuple[int, ...]
    device: torch.device
    fixed: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    drawn: int = 0
    moving: MovingNoise = field(default_factory=MovingNoise)
    controls: Controls | None = None

    def take(
        self, controls: Controls, count: int, *, motion: Motion | None = None
    ) -> tuple[Tensor, ...]:
        """Return `count` unit-noise tensors of `shape`, for the levels in order.

        motion: since the last frame, for noise that moves; at a start, a cut and with controls that
        make another picture it begins as fixed noise.
        """
        before, self.controls = self.controls, controls
        seeds = controls.noises
        if controls.noise == "moving":
            is_other = before is None or motion is None or likeness(before, controls) == 0
            return self._take_moving(seeds, count, None if is_other else motion)
        self.moving.forget()
        if controls.noise == "fresh":
            self.drawn += 1
            numbers = [self.drawn * 97 + k for k in range(count)]
            return tuple(
                _blended([self._draw(seed.number, number) for seed in seeds], seeds)
                for number in numbers
            )
        self._forget_others({seed.number for seed in seeds})
        return tuple(
            _blended([self._fixed(seed.number, k) for seed in seeds], seeds) for k in range(count)
        )

    def _take_moving(
        self, seeds: Sequence[Seed], count: int, motion: Motion | None
    ) -> tuple[Tensor, ...]:
        self._forget_others({seed.number for seed in seeds})
        self.moving.keep((seed.number, k) for seed in seeds for k in range(count))
        if motion is None or motion.is_cut:
            self.moving.forget()
        else:
            self.moving.move(motion)
        return tuple(
            _blended([self._moved(seed.number, k) for seed in seeds], seeds) for k in range(count)
        )

    def _moved(self, seed: int, position: int) -> Tensor:
        return self.moving.cells((seed, position), self._fixed(seed, position))

    def _fixed(self, seed: int, position: int) -> Tensor:
        key = (seed, position)
        if key not in self.fixed:
            self.fixed[key] = self._draw(seed, position)
        return self.fixed[key]

    def _forget_others(self, seeds: set[int]) -> None:
        for key in [key for key in self.fixed if key[0] not in seeds]:
            del self.fixed[key]

    def _draw(self, seed: int, number: int) -> Tensor:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
        return torch.randn(self.shape, generator=generator).to(self.device)


def _blended(noises: list[Tensor], seeds: Sequence[Seed]) -> Tensor:
    """Return the sum by weight, of unit variance again as independent noises add up in squares."""
    if len(noises) == 1:
        return noises[0]
    size = math.sqrt(sum(seed.weight**2 for seed in seeds))
    parts = [noise * (seed.weight / size) for noise, seed in zip(noises, seeds, strict=True)]
    return torch.stack(parts).sum(dim=0)


@dataclass(slots=True, kw_only=True, eq=False)
class Stream:
    """One user's video: the revision in force, the noise, the memory, the rows under way.

    Assign another revision to steer it: the next frame is drawn with that, frames under way keep
    theirs. Two streams share nothing, so neither can see the other's pixels.

    has_picture: False for a stream drawn from words alone. rows: oldest first. is_running: whether
    the last frame was drawn or some are under way; the first one of a start makes all its steps at
    once. drawn_with: the revision of the last frame drawn.
    """

    name: str
    revision: Revision
    noise: NoiseBank
    memory: StreamMemory
    gate: SimilarityGate
    has_picture: bool = True
    rows: list[Row] = field(default_factory=list)
    is_running: bool = False
    drawn_with: Revision | None = None

    @property
    def is_sequential(self) -> bool:
        """Whether every frame makes all its steps at once."""
        return self.revision.controls.denoising == "sequential"

    def take_finished(self) -> list[Row]:
        """Return the rows that are at their end, oldest first, and let go of them."""
        done = [row for row in self.rows if row.is_finished]
        self.rows = [row for row in self.rows if not row.is_finished]
        return done

    def reset(self) -> None:
        """Drop what is under way; the next frame starts anew."""
        self.rows.clear()
        self.is_running = False
        self.gate.forget()
        self.memory.forget()
