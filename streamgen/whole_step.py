"""A tick of streams in steady state as one call over fixed tensors, for a GPU to replay as a graph.

pixels ─▶ encode ─▶ noise in ─▶ unet ─▶ x̂0 ─┬▶ next level      (rows that have steps to make)
          rows under way ──────▶            └▶ decode ─▶ pixels (the oldest row of each stream)

It computes what `Pipeline` computes row by row, which stays beside it: for every tick that is not
steady, and to be compared with. State stays in the rows of the streams; here is only room for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from engines.graphs import Graph, Recorder
from streamgen.frame import Frame, Pixels
from streamgen.guidance import clean_from, renoised
from streamgen.rows import Row
from streamgen.schedule import NoiseSchedule

# Of a row: its time, what it is at, its boundary scalings, and what it goes to.
_NUMBERS = ("t", "alpha", "sigma", "c_out", "c_skip", "alpha_next", "sigma_next")


class Networks(Protocol):
    """What runs a network by its role, as `streamgen.models.ports.Ports`."""

    def run(self, role: str, **values: Tensor) -> Tensor: ...


class Drawer(Protocol):
    """What a step takes from `streamgen.models.engines.Engines`."""

    @property
    def ports(self) -> Networks: ...
    @property
    def schedule(self) -> NoiseSchedule: ...
    @property
    def scale(self) -> float: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def latent_shape(self) -> tuple[int, ...]: ...
    def scaled(self, latent: Tensor) -> Tensor: ...
    def cond_of(self, source: Tensor) -> dict[str, Tensor]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What a step has made of S streams with n levels each.

    pixels: uint8 [S, H, W, 3] on the CPU; latents: [S, C, h, w], what they were decoded from, good
    until the next step; is_finite: whether all of those are. under_way: [S, n - 1, C, h, w], the
    other rows at their next level, oldest first. clean, cond: [S, C, h, w] each, what became of the
    new pictures before noise came in.
    """

    pixels: Pixels
    latents: Tensor
    is_finite: bool
    under_way: Tensor
    clean: Tensor
    cond: Mapping[str, Tensor]


class Slab:
    """A fixed tensor of many parts, filled anew when one of them is another tensor than before."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.tensor = torch.stack(list(parts))
        self._parts = tuple(parts)

    def fill(self, parts: Sequence[Tensor]) -> None:
        """Take over the parts; nobody changes noise or words in place, so known ones are there."""
        if any(old is not new for old, new in zip(self._parts, parts, strict=True)):
            torch.stack(list(parts), out=self.tensor)
            self._parts = tuple(parts)


class WholeStep:
    """The steady step of S streams with n levels: of every stream n rows, the oldest first.

    The last row of each is new: of its `x`, `origin` and `cond` only what the revision gave counts.
    """

    def __init__(
        self,
        engines: Drawer,
        rows: Sequence[Row],
        frames: Sequence[Frame],
        recorder: Recorder | None,
        *,
        denoisers: Networks | None = None,
    ) -> None:
        """rows, frames: like those that will come; what they hold is not drawn yet.

        denoisers: where the UNet is that they are drawn with; None: among the engines' networks."""
        self.engines = engines
        self._denoisers = denoisers or engines.ports
        self.levels = len(rows) // len(frames)
        self.graph = Graph(self._step, recorder)
        device, latents = engines.device, (len(frames), *engines.latent_shape)
        is_cuda = device.type == "cuda"
        pictures = (len(frames), *frames[0].pixels.shape)
        # The CPU writes here, and the GPU reads it while the CPU goes on.
        self._staged = torch.zeros(pictures, dtype=torch.uint8, pin_memory=is_cuda)
        self._pixels = torch.zeros(pictures, dtype=torch.uint8, device=device)
        self._entering = Slab([row.noises[0] for row in self._new(rows)])
        self._next = Slab([_next_noise(row) for row in rows])
        self._text = Slab([row.revision.text for row in rows])
        self._told = {name: Slab(parts) for name, parts in _told(rows).items()}
        self._levels: tuple[tuple[float, ...], ...] = ()
        zeros = partial(torch.zeros, dtype=self._next.tensor.dtype, device=device)
        self._numbers = zeros((len(_NUMBERS), len(rows)))
        self._flying = zeros((len(frames), self.levels - 1, *engines.latent_shape))
        self._under_way = torch.zeros_like(self._flying)
        self._clean, self._latents = zeros(latents), zeros(latents)
        self._cond = engines.cond_of(zeros(latents))
        self._seen = {name: torch.zeros_like(self._flying) for name in self._cond}
        self._drawn = torch.zeros_like(self._pixels)
        self._is_finite = torch.zeros((), dtype=torch.bool, device=device)

    def put(self, rows: Sequence[Row], frames: Sequence[Frame]) -> None:
        """Lay the rows and the pictures of a tick where the step reads them."""
        np.stack([frame.pixels for frame in frames], out=self._staged.numpy())
        self._pixels.copy_(self._staged, non_blocking=True)
        self._entering.fill([row.noises[0] for row in self._new(rows)])
        self._next.fill([_next_noise(row) for row in rows])
        self._text.fill([row.revision.text for row in rows])
        for name, parts in _told(rows).items():
            self._told[name].fill(parts)
        levels = tuple(_numbers(row) for row in rows)
        if levels != self._levels:
            self._levels = levels
            self._numbers.copy_(torch.tensor(levels, dtype=self._numbers.dtype).T)
        old = [row for k, row in enumerate(rows, 1) if k % self.levels]
        if old:
            torch.stack([row.x for row in old], out=self._flying.flatten(0, 1))
            for name, seen in self._seen.items():
                torch.stack([row.cond[name] for row in old], out=seen.flatten(0, 1))

    def run(self) -> None:
        """Compute what was put; on a GPU, only begin to."""
        self.graph.run()

    def take(self) -> Drawn:
        """Return what was made; the CPU waits here for a GPU."""
        return Drawn(
            pixels=self._drawn.to("cpu", copy=True).numpy(),
            latents=self._latents,
            is_finite=bool(self._is_finite),
            # Rows keep theirs for longer than until the next step.
            under_way=self._under_way.clone(),
            clean=self._clean.clone(),
            cond={name: each.clone() for name, each in self._cond.items()},
        )

    def _new(self, rows: Sequence[Row]) -> Sequence[Row]:
        return rows[self.levels - 1 :: self.levels]

    def _step(self) -> None:
        run, n = self.engines.ports.run, self.levels
        t, *numbers = self._numbers
        alpha, sigma, c_out, c_skip, alpha_next, sigma_next = (
            each.view(-1, 1, 1, 1) for each in numbers
        )
        latent = run("vae_encoder", pixels=self._pixels)
        self._clean.copy_(self.engines.scaled(latent))
        for name, each in self.engines.cond_of(latent).items():
            self._cond[name].copy_(each)
        entered = renoised(
            self._clean, self._entering.tensor, alpha=alpha[n - 1 :: n], sigma=sigma[n - 1 :: n]
        )
        x = _joined(self._flying, entered)
        cond = {name: _joined(self._seen[name], each) for name, each in self._cond.items()}
        cond |= {name: slab.tensor for name, slab in self._told.items()}
        answer = self._denoisers.run("unet", x=x, t=t, text=self._text.tensor, **cond)
        clean = clean_from(self.engines.schedule.prediction, answer, x=x, alpha=alpha, sigma=sigma)
        clean = c_out * clean + c_skip * x
        moved = renoised(clean, self._next.tensor, alpha=alpha_next, sigma=sigma_next)
        self._under_way.copy_(moved.unflatten(0, (-1, n))[:, 1:])
        self._latents.copy_(clean[::n])
        self._is_finite.copy_(torch.isfinite(self._latents).all())
        self._drawn.copy_(run("vae_decoder", latent=self._latents / self.engines.scale))


def _joined(older: Tensor, newest: Tensor) -> Tensor:
    """Return [S, n - 1, ...] and [S, ...] as rows, [S * n, ...]."""
    return torch.cat([older, newest[:, None]], dim=1).flatten(0, 1)


def _told(rows: Sequence[Row]) -> dict[str, list[Tensor]]:
    """Return the inputs that words and controls decide on, by name, of every row."""
    return {name: [row.revision.cond[name] for row in rows] for name in rows[0].revision.cond}


def _next_noise(row: Row) -> Tensor:
    """Return the noise of the level that a row goes to; any, where it goes to none."""
    return row.noises[min(row.position + 1, len(row.noises) - 1)]


def _numbers(row: Row) -> tuple[float, ...]:
    level, later = row.level, row.revision.levels[row.position + 1 :]
    alpha, sigma = (later[0].alpha, later[0].sigma) if later else (1.0, 0.0)
    return level.t, level.alpha, level.sigma, level.c_out, level.c_skip, alpha, sigma
