"""What a source is, and what may be asked of any source; knows no kind of source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from streamgen.frame import Frame, VideoInfo
from streamgen.sources.geometry import Fit, Rect, Size

SizeRule = Callable[[Size], Size]


class Source(Protocol):
    """Frames from somewhere, in order; whoever opens one closes it.

    info: of the frames it delivers. content: where the picture lies in them, the whole frame
    unless it is letterboxed. audio: a file whose sound belongs to the frames, None if none does.
    has_picture: False where the frames only keep time for what is drawn from words alone.
    """

    has_picture: bool = True

    info: VideoInfo
    content: Rect
    audio: Path | None

    def frames(self) -> Iterator[Frame]:
        """Yield every frame once, in order of presentation."""
        ...

    def interrupt(self) -> None:
        """Let `frames` end soon where it waits for time to pass; any thread may ask for it."""
        return  # most do not wait

    def close(self) -> None:
        """Let go of files and decoders; closing twice is allowed."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What may be asked of a source.

    size: of the frames, or a rule that gets the size a player would show and returns the size
    to deliver; None delivers the size a player would show. rate: for sources that have none.
    clock: gives the monotonic nanoseconds of arrival.
    """

    size: Size | SizeRule | None
    fit: Fit
    rate: Fraction | None
    clock: Callable[[], int]

    def target(self, upright: Size) -> Size:
        """Return the size to deliver for a picture that a player would show at `upright`."""
        if self.size is None or isinstance(self.size, Size):
            return self.size or upright
        return self.size(upright)
