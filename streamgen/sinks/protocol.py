"""What a sink is, and what may be asked of any sink; knows no kind of sink."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from streamgen.errors import ConfigError
from streamgen.frame import Frame

PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)


class Sink(Protocol):
    """Takes frames in order and makes a result that appears complete or not at all.

    Leaving the context finishes it; leaving with an exception abandons it.
    notes: sentences about what could not be kept as it was. is_wanted: False once whoever watches
    has seen enough.
    """

    notes: list[str]
    is_wanted: bool = True

    def write(self, frame: Frame) -> None:
        """Take the next frame; SinkError if it does not fit or cannot be written."""
        ...

    def idle(self) -> None:
        """Called now and then while no frame comes, for what must stay alive."""
        return  # most have nothing that does

    def finish(self) -> None:
        """Make the result appear under its name; finishing twice is allowed."""
        ...

    def abandon(self) -> None:
        """Leave nothing behind; does nothing once finished or abandoned."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.abandon()


@dataclass(frozen=True, slots=True, kw_only=True)
class H264Options:
    """crf: 0 (lossless) to 51 (worst); preset: of x264, from ultrafast to placebo."""

    crf: int = 18
    preset: str = "veryfast"

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise ConfigError(f"crf {self.crf}: allowed are 0 (lossless) to 51")
        if self.preset not in PRESETS:
            raise ConfigError(f"preset {self.preset!r}: choose {', '.join(PRESETS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkOptions:
    """What may be asked of a sink.

    audio: a file whose sound goes with the frames. source_path: what must not be written over.
    overwrite: whether a result that is there already may be replaced.
    """

    audio: Path | None
    source_path: Path | None
    overwrite: bool
    encoding: H264Options
