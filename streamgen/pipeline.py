"""The frame's way: encode, make rows, denoise, decode; always for a list of streams.

frames ──▶ encode ──▶ rows ──▶ denoise ──▶ decode ──▶ frames
          pixels to   one per   one call    latents
          latents     stream    a level     to pixels
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from streamgen.controls import Controls
from streamgen.denoise import denoise
from streamgen.frame import Frame, Stamp
from streamgen.guidance import renoised
from streamgen.metrics import StageClock
from streamgen.models.engines import Engines
from streamgen.prompts import PromptBook
from streamgen.revise import revise
from streamgen.rows import NoiseBank, Revision, Row, Stream


class Pipeline:
    """Redraws frames of any number of streams with one set of engines."""

    def __init__(self, engines: Engines, clock: StageClock | None = None) -> None:
        self.engines = engines
        self.clock = clock or StageClock()
        self.prompts = PromptBook(engines.text)

    def open_stream(self, name: str, controls: Controls) -> Stream:
        """Return a new stream; its first frame may follow at once."""
        shape, device = self.engines.latent_shape, self.engines.device
        noise = NoiseBank(shape=shape, device=device)
        return Stream(name=name, revision=self.revise(controls), noise=noise)

    def revise(self, controls: Controls, number: int = 0) -> Revision:
        """Make controls ready to be put in force; ConfigError for what this model cannot do.

        Reads the sentences that are new, so it may take as long as a frame.
        """
        return revise(controls, number, schedule=self.engines.schedule, prompts=self.prompts)

    def tick(self, streams: Sequence[Stream], frames: Sequence[Frame], now: int) -> list[Frame]:
        """Redraw one frame of each stream; the answers come in the same order.

        frames: of the size that the engines were made for. now: monotonic clock in ns.
        """
        self.clock.start()
        latents = self.engines.encode(np.stack([frame.pixels for frame in frames]))
        self.clock.lap("encode")
        stamps = [replace(frame.stamp, tick_ns=now) for frame in frames]
        rows = [self._row(*each) for each in zip(streams, latents, stamps, strict=True)]
        denoise(rows, self.engines, self.engines.schedule)
        self.clock.lap("denoise")
        pixels = self.engines.decode(torch.stack([row.x for row in rows]))
        self.clock.lap("decode")
        return [
            Frame(pixels=drawn, stamp=replace(row.stamp, revision=row.revision.number))
            for drawn, row in zip(pixels, rows, strict=True)
        ]

    def _row(self, stream: Stream, source: Tensor, stamp: Stamp) -> Row:
        """Put a frame's latent, [C, h, w] as the encoder gives it, on its way."""
        revision = stream.revision
        noises = stream.noise.take(revision.controls, len(revision.levels))
        clean = self.engines.scaled(source)
        x = clean
        if revision.levels:
            first = revision.levels[0]
            x = renoised(clean, noises[0], alpha=first.alpha, sigma=first.sigma)
        return Row(
            x=x,
            noises=noises,
            cond=self.engines.cond_of(source),
            origin=clean,
            revision=revision,
            stamp=stamp,
        )
