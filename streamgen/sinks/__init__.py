"""Where frames go: one table from location to sink; a new sink is one row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streamgen.errors import SinkError
from streamgen.frame import VideoInfo
from streamgen.paths import asking_about
from streamgen.sinks.beside import beside
from streamgen.sinks.protocol import H264Options, Sink, SinkOptions

__all__ = ["VIDEO_SUFFIXES", "H264Options", "Sink", "SinkOptions", "beside", "is_live", "open_sink"]

VIDEO_SUFFIXES = (".mp4", ".mov")


def open_sink(
    location: str | Path,
    info: VideoInfo,
    *,
    audio: Path | None = None,
    source_path: Path | None = None,
    overwrite: bool = False,
    encoding: H264Options | None = None,
) -> Sink:
    """Open what `location` names; SinkError says in one sentence why that is not possible.

    info: of the frames that will be written; their size and time base are checked against it.
    source_path: of the input, which is never written over.
    """
    options = SinkOptions(
        audio=audio,
        source_path=source_path,
        overwrite=overwrite,
        encoding=encoding or H264Options(),
    )
    text = str(location)
    for kind in KINDS:
        with asking_about(f"output {text!r}", SinkError):
            is_admitted = bool(text) and kind.admits(text)
        if is_admitted:
            return kind.open(text, info, options)
    known = ", ".join(kind.name for kind in KINDS)
    raise SinkError(f"output {text!r}: allowed are {known}")


def is_live(location: str) -> bool:
    """Tell whether what `location` names shows pictures as time passes."""
    return any(kind.is_live and kind.admits(location) for kind in KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of sink: what it is called, which locations are its own, and how it opens.

    is_live: it shows pictures as time passes, and belongs to the thread that opened it.
    """

    name: str
    admits: Callable[[str], bool]
    open: Callable[[str, VideoInfo, SinkOptions], Sink]
    is_live: bool = False


def _open_null(location: str, info: VideoInfo, options: SinkOptions) -> Sink:
    from streamgen.sinks.null import NullSink

    return NullSink()


def _open_window(location: str, info: VideoInfo, options: SinkOptions) -> Sink:
    from streamgen.sinks.window import open_window

    return open_window(info)


def _open_mp4(location: str, info: VideoInfo, options: SinkOptions) -> Sink:
    from streamgen.sinks.mp4 import open_mp4

    return open_mp4(Path(location), info, options)


def _open_folder(location: str, info: VideoInfo, options: SinkOptions) -> Sink:
    from streamgen.sinks.folder import open_folder

    return open_folder(Path(location), info, options)


KINDS = (
    Kind(name="null:", admits=lambda location: location == "null:", open=_open_null),
    Kind(
        name="window:",
        admits=lambda location: location == "window:",
        open=_open_window,
        is_live=True,
    ),
    Kind(
        name="a file ending with .mp4 or .mov",
        admits=lambda location: (
            Path(location).suffix.lower() in VIDEO_SUFFIXES and not location.endswith("/")
        ),
        open=_open_mp4,
    ),
    Kind(
        name="a folder (an existing one, or a name that ends with '/')",
        admits=lambda location: location.endswith("/") or Path(location).is_dir(),
        open=_open_folder,
    ),
)
