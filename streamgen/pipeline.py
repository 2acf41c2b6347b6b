"""The frame's way: gate, encode, make rows, denoise, decode; always for a list of streams.

frames ──▶ gate ──▶ encode ──▶ rows ──▶ denoise ──▶ decode ──▶ frames
          skips    pixels to   one per   one call    latents
          stills   latents     frame     a step      to pixels
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from streamgen.controls import Controls
from streamgen.denoise import denoise, pace
from streamgen.frame import Blank, Frame, Pixels, Stamp
from streamgen.gate import SimilarityGate
from streamgen.guidance import renoised
from streamgen.metrics import StageClock
from streamgen.models.crops import crops_of
from streamgen.models.engines import Engines, book_of
from streamgen.prompts import PromptBook
from streamgen.revise import Reviser
from streamgen.rows import NoiseBank, Revision, Row, Stream
from streamgen.steady import SteadyTicks, steady_ticks
from streamgen.temporal.memory import StreamMemory
from streamgen.temporal.motion import Motion, MotionEstimator
from streamgen.temporal.reuse import Drawn, Reuse

_NOTHING = np.zeros((8, 8, 3), np.uint8)


class Answer(NamedTuple):
    """A frame that came to its end, and whose it is."""

    stream: Stream
    frame: Frame


class Pipeline:
    """Redraws frames of any number of streams with one set of engines."""

    def __init__(self, engines: Engines, clock: StageClock | None = None) -> None:
        self.engines = engines
        self.clock = clock or StageClock()
        self.prompts = PromptBook(engines.text)
        #: LoRAs by name; None where streams can have none.
        self.loras = book_of(engines)
        self.reuse = Reuse(engines, crops_of(engines))
        #: Draws as one graph on a GPU what is drawn row by row elsewhere; None where it cannot.
        self.steady = steady_ticks(engines)

    def reviser(self, *, has_picture: bool = True) -> Reviser:
        """Return what makes controls ready for a stream of this model."""
        return Reviser(
            schedule=self.engines.schedule,
            prompts=self.prompts,
            abilities=replace(self.engines.abilities, reuses_parts=self.reuse.is_able),
            has_picture=has_picture,
            loras=self.loras,
        )

    def open_stream(self, name: str, controls: Controls, *, has_picture: bool = True) -> Stream:
        """Return a new stream; its first frame may follow at once.

        has_picture: False where it is drawn from words alone, from a `Blank` a frame.
        """
        return Stream(
            name=name,
            revision=self.reviser(has_picture=has_picture).revise(controls),
            noise=NoiseBank(shape=self.engines.latent_shape, device=self.engines.device),
            memory=StreamMemory(motion=MotionEstimator(cells=self.engines.latent_shape[1:])),
            gate=SimilarityGate(seed=controls.seed),
            has_picture=has_picture,
        )

    def tick(
        self, streams: Sequence[Stream], frames: Sequence[Frame | Blank], now: int
    ) -> list[Answer]:
        """Take one frame of each stream and return the pictures that are ready, oldest first.

        A stream may be named several times, with a frame each (`frame_buffer`). Every frame is
        answered once, with its own stamp, by this tick or a later one, unless the gate skips it.
        frames: of the size that the engines were made for. now: monotonic clock in ns.
        """
        self.clock.start()
        moving = [pair for pair in zip(streams, frames, strict=True) if _admits(*pair)]
        drawn = {stream for stream, _ in moving}
        if self.steady is not None and self.steady.admit(streams, moving):
            answers = self._whole(self.steady, moving, now)
        else:
            starting = {stream for stream in drawn if not stream.is_running}
            self._enter(moving, now)
            self.clock.lap("encode")
            answers = self._advance(
                list(dict.fromkeys(streams)),
                at_once=lambda stream: stream in starting or stream.is_sequential,
                together=max(len(moving), 1),
            )
        for stream in streams:
            stream.is_running = bool(stream.rows) or stream in drawn
        return answers

    def flush(self, streams: Sequence[Stream]) -> list[Answer]:
        """Bring everything under way to its end; the next frame of these streams starts anew."""
        self.clock.start()
        answers = self._advance(streams, at_once=lambda stream: True, together=len(streams))
        for stream in streams:
            stream.reset()
        return answers

    def _whole(
        self, steady: SteadyTicks, moving: Sequence[tuple[Stream, Frame | Blank]], now: int
    ) -> list[Answer]:
        """Do what `_enter` and `_advance` do, all at once."""
        for stream, _ in moving:
            stream.memory.forget()  # a steady stream keeps none: what there is grows old
        step = steady.put(moving, now)
        self.clock.lap("encode")
        step.run()
        self.clock.lap("denoise")
        finished = steady.take([stream for stream, _ in moving], step)
        self.clock.lap("decode")
        return [_answer(*each) for each in finished]

    def _enter(self, moving: Sequence[tuple[Stream, Frame | Blank]], now: int) -> None:
        """Put frames on their way: encode their pictures in one call, make a row of each."""
        latents = iter(
            self.reuse.encode(
                [
                    (_reused(stream, stream.revision), frame.pixels)
                    for stream, frame in moving
                    if isinstance(frame, Frame)
                ]
            )
        )
        for stream, frame in moving:
            source = next(latents) if isinstance(frame, Frame) else None
            motion = self._motion(stream, frame)
            stamp = replace(frame.stamp, tick_ns=now)
            stream.rows.append(self._row(stream, source, stamp=stamp, motion=motion))

    def _motion(self, stream: Stream, frame: Frame | Blank) -> Motion | None:
        """Return how a frame differs from the last one drawn, where its controls ask for that."""
        controls = stream.revision.controls
        if not controls.uses_motion or isinstance(frame, Blank):
            stream.memory.motion.forget()
            return None
        motion = stream.memory.motion.see(frame.pixels)
        if motion is None:
            return None
        return motion.on(self.engines.device, sees_cuts=controls.cut_detection == "on")

    def _row(
        self, stream: Stream, source: Tensor | None, *, stamp: Stamp, motion: Motion | None
    ) -> Row:
        """Return the row of a frame's latent, [C, h, w] as the encoder gives it, or of none."""
        revision = stream.revision
        noises = stream.noise.take(revision.controls, len(revision.levels), motion=motion)
        clean = torch.zeros_like(noises[0]) if source is None else self.engines.scaled(source)
        x = clean
        if source is None:
            x = noises[0]
        elif revision.levels:
            first = revision.levels[0]
            x = renoised(clean, noises[0], alpha=first.alpha, sigma=first.sigma)
        return Row(
            x=x,
            noises=noises,
            cond={**revision.cond, **({} if source is None else self.engines.cond_of(source))},
            origin=clean,
            revision=revision,
            stamp=stamp,
            motion=motion,
            memory=stream.memory if revision.controls.uses_motion else None,
            number=stream.memory.count(oldest=stream.rows[0].number if stream.rows else None),
        )

    def _advance(
        self, streams: Sequence[Stream], *, at_once: Callable[[Stream], bool], together: int
    ) -> list[Answer]:
        """Move the rows of streams on and decode, `together` in a call, those that are finished."""
        rows = [row for stream in streams for row in stream.rows]
        left = [steps for stream in streams for steps in pace(stream.rows, at_once=at_once(stream))]
        denoise(rows, left, self.engines, self.engines.schedule)
        self.clock.lap("denoise")
        done = [(stream, row) for stream in streams for row in stream.take_finished()]
        answers = []
        for start in range(0, len(done), together):
            batch = done[start : start + together]
            asked = [(_reused(stream, row.revision), row.x) for stream, row in batch]
            pixels = self.reuse.decode(asked)
            for (stream, row), drawn in zip(batch, pixels, strict=True):
                shown = row.memory.pictures.blended(drawn, row.moment) if row.memory else drawn
                answers.append(_answer(stream, row, shown))
        self.clock.lap("decode")
        return answers


def _reused(stream: Stream, revision: Revision) -> Drawn | None:
    """Return what a stream's last picture was drawn of, where parts of it may be left."""
    return stream.memory.drawn if revision.controls.reuse == "on" else None


def _answer(stream: Stream, row: Row, pixels: Pixels) -> Answer:
    stamp = replace(row.stamp, revision=row.revision.number)
    return Answer(stream, Frame(pixels=pixels, stamp=stamp))


def _admits(stream: Stream, frame: Frame | Blank) -> bool:
    """Tell whether a frame is to be drawn; other controls make another picture of a still one."""
    if stream.has_picture != isinstance(frame, Frame):
        wanted = "Frame" if stream.has_picture else "Blank"
        raise ValueError(f"stream {stream.name!r}: takes a {wanted}, got {type(frame).__name__}")
    if stream.revision is not stream.drawn_with:
        stream.gate.forget()
    controls = stream.revision.controls
    # Without a picture, one frame differs from another by its noise alone.
    is_other = not stream.has_picture and controls.noise == "fresh"
    pixels = frame.pixels if isinstance(frame, Frame) else _NOTHING
    if not is_other and not stream.gate.admits(pixels, controls):
        return False
    stream.drawn_with = stream.revision
    return True
