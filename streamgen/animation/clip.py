"""Draws a clip as a whole, from noise to pictures; knows no files and no command line.

camera ──▶ encode ──▶ noise ──▶ at each level: every window ──▶ x̂0, mixed ──▶ decode ──▶ pixels
          one by one                                                        one by one
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from streamgen.animation.camera import Camera
from streamgen.animation.clip_model import ClipModel
from streamgen.animation.sampling import Sampler
from streamgen.animation.windows import Window
from streamgen.frame import Pixels
from streamgen.guidance import clean_from, guided, renoised
from streamgen.rows import Revision
from streamgen.schedule import Level, NoiseSchedule

#: New noise for each frame, or the same for all.
Noise = Literal["fresh", "fixed"]
NOISES: tuple[Noise, ...] = get_args(Noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPlan:
    """What is drawn, and how.

    revision: what words and guidance come to; its levels are those of a stream, and not used.
    latent: its shape, [C, h, w].
    """

    frames: int
    latent: tuple[int, int, int]
    revision: Revision
    schedule: NoiseSchedule
    sampler: Sampler
    levels: tuple[Level, ...]
    windows: tuple[Window, ...]
    seed: int
    noise: Noise


class ClipDrawing:
    """Draws one clip. share: how much of the work is done, 0 to 1."""

    def __init__(self, model: ClipModel, plan: ClipPlan, camera: Camera | None) -> None:
        """camera: None where the clip is drawn from words alone."""
        self._model = model
        self._plan = plan
        self._camera = camera
        self._done = 0
        self._told = {name: each[None] for name, each in plan.revision.cond.items()}
        self._told_not = {name: each[None] for name, each in plan.revision.negative_cond.items()}

    @property
    def share(self) -> float:
        """How much of the work is done; encoding or decoding counts as much as a pass."""
        plan, revision = self._plan, self._plan.revision
        passes = 1 if revision.negative_text is None else 2
        drawn = sum(len(window.weights) for window in plan.windows) * passes * len(plan.levels)
        coded = plan.frames * (1 if self._camera is None else 2)
        return self._done / (drawn + coded)

    def pictures(self, on_work: Callable[[], None] = lambda: None) -> Iterator[Pixels]:
        """Yield uint8 [H, W, 3] of every frame; on_work: called when some of the work is done."""
        for latent in self.latents(on_work):
            pixels = self._model.decode(latent)
            self._worked(1, on_work)
            yield pixels

    def latents(self, on_work: Callable[[], None] = lambda: None) -> Tensor:
        """Return the scaled latents of all frames, [F, C, h, w]."""
        plan = self._plan
        source = self._source(on_work)
        first = plan.levels[0]
        x = self._noise(0)
        if source is not None:
            clean = source * self._model.scale
            x = renoised(clean, x, alpha=first.alpha, sigma=first.sigma)
        clean = x
        for number, level in enumerate(plan.levels, 1):
            clean = self._clean(x, level, source, on_work)
            for after in plan.levels[number : number + 1]:
                x = plan.sampler.moved(clean, x, level, after, self._noise(number))
        return clean

    def _source(self, on_work: Callable[[], None]) -> Tensor | None:
        """Return the latents of what the camera sees, not scaled."""
        if self._camera is None:
            return None
        latents = []
        for index in range(self._plan.frames):
            latents.append(self._model.encode(self._camera.seen(index)))
            self._worked(1, on_work)
        return torch.stack(latents)

    def _clean(
        self, x: Tensor, level: Level, source: Tensor | None, on_work: Callable[[], None]
    ) -> Tensor:
        """Return x̂0 of all frames: that of every window, mixed where they overlap."""
        clean = torch.zeros_like(x)
        for window in self._plan.windows:
            frames = window.frames
            seen = {} if source is None else {"source": source[frames]}
            weights = torch.tensor(window.weights, device=x.device).view(-1, 1, 1, 1)
            clean[frames] += weights * self._guided(x[frames], level, seen, on_work)
        # Boundary scalings come after the mixing, which is the same: the weights add up to 1.
        return level.c_out * clean + level.c_skip * x

    def _guided(
        self,
        x: Tensor,
        level: Level,
        seen: Mapping[str, Tensor],
        on_work: Callable[[], None],
    ) -> Tensor:
        """Return x̂0 of the frames of a window, with guidance; its passes are a call each."""
        revision = self._plan.revision
        positive = self._pass(x, level, revision.text, {**self._told, **seen})
        self._worked(len(x), on_work)
        if revision.negative_text is None:
            return positive
        told = {**self._told, **self._told_not, **seen}
        negative = self._pass(x, level, revision.negative_text, told)
        self._worked(len(x), on_work)
        return guided(positive, negative, scale=revision.controls.guidance_scale)

    def _pass(self, x: Tensor, level: Level, text: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        answer = self._model.answer(x, level.t, text, cond)
        prediction = self._plan.schedule.prediction
        return clean_from(prediction, answer, x=x, alpha=level.alpha, sigma=level.sigma)

    def _noise(self, number: int) -> Tensor:
        """Return the unit noise of a level, [F, C, h, w]; drawn on the CPU, as for streams.

        Frame by frame, so that a longer clip begins with the same: the first frame's is that of a
        stream.
        """
        plan = self._plan
        generator = torch.Generator().manual_seed((plan.seed * 1_000_003 + number) % 2**63)
        count = 1 if plan.noise == "fixed" else plan.frames
        drawn = [torch.randn(plan.latent, generator=generator) for _ in range(count)]
        return torch.stack(drawn).expand(plan.frames, *plan.latent).to(self._model.device)

    def _worked(self, units: int, on_work: Callable[[], None]) -> None:
        self._done += units
        on_work()
