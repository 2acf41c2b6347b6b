"""The frame's way: encode, make rows, denoise, decode; always for a list of streams.

frames ──▶ encode ──▶ rows ──▶ denoise ──▶ decode ──▶ frames
          pixels to   one per   one call    latents
          latents     stream    a level     to pixels
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from streamgen.controls import Controls
from streamgen.denoise import denoise
from streamgen.frame import Frame
from streamgen.guidance import renoised
from streamgen.metrics import StageClock
from streamgen.models.engines import Engines
from streamgen.prompts import PromptBook
from streamgen.rows import NoiseBank, Row, Stream
from streamgen.schedule import levels


class Pipeline:
    """Redraws frames of any number of streams with one set of engines."""

    def __init__(self, engines: Engines, clock: StageClock | None = None) -> None:
        self.engines = engines
        self.clock = clock or StageClock()
        self.prompts = PromptBook(engines.text)

    def open_stream(self, name: str, controls: Controls) -> Stream:
        """Return a new stream; its first frame may follow at once."""
        shape, device = self.engines.latent_shape, self.engines.device
        return Stream(name=name, controls=controls, noise=NoiseBank(shape=shape, device=device))

    def tick(self, streams: Sequence[Stream], frames: Sequence[Frame], now: int) -> list[Frame]:
        """Redraw one frame of each stream; the answers come in the same order.

        frames: of the size that the engines were made for. now: monotonic clock in ns.
        """
        clock = self.clock.start(now)
        latents = self.engines.encode(np.stack([frame.pixels for frame in frames]))
        clock.lap("encode")
        rows = [self._row(*each) for each in zip(streams, frames, latents, strict=True)]
        denoise(rows, self.engines, self.engines.schedule)
        clock.lap("denoise")
        pixels = self.engines.decode(torch.stack([row.x for row in rows]))
        clock.lap("decode")
        return [
            frame.redrawn(drawn, revision=row.revision)
            for frame, drawn, row in zip(frames, pixels, rows, strict=True)
        ]

    def _row(self, stream: Stream, frame: Frame, source: Tensor) -> Row:
        """Put a frame's latent, [C, h, w] as the encoder gives it, on its way."""
        controls = stream.controls
        ladder = levels(self.engines.schedule, controls.indices)
        noises = stream.noise.take(controls, len(ladder))
        clean = self.engines.scaled(source)
        x = clean
        if ladder:
            alpha, sigma = (clean.new_tensor(v) for v in (ladder[0].alpha, ladder[0].sigma))
            x = renoised(clean, noises[0], alpha=alpha, sigma=sigma)
        return Row(
            x=x,
            levels=ladder,
            noises=noises,
            text=self.prompts.blend(controls.prompts),
            negative_text=self._negative(controls),
            cond=self.engines.cond_of(source),
            origin=clean,
            controls=controls,
            stamp=frame.stamp,
            revision=stream.revision,
        )

    def _negative(self, controls: Controls) -> Tensor | None:
        return self.prompts.embed(controls.negative_prompt) if controls.is_guided else None
