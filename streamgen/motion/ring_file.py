"""How many frames a stream's ring holds: what the user gave, else what the adapter is made for."""

from __future__ import annotations

import json
from pathlib import Path

from streamgen.errors import ConfigError, ModelError
from streamgen.motion.ring import Ring

#: Beside an adapter's config: the ring that it was trained with, as {"sinks": 2, "rolling": 6}.
RING = "ring.json"
#: Of adapters that do not say: what AnimateDiff's were trained with.
_WINDOW = 16
#: The frame that is drawn, and one before it.
_LEAST = 2


def ring_of(folder: Path, *, window: int | None, sinks: int | None, length: int) -> Ring:
    """Return the ring of a stream; raise ConfigError for one that this adapter cannot have.

    window: frames that are seen, the one that is drawn among them. sinks: of those, the first ones
    of the stream, which are kept. None: what the adapter's folder says, else up to 16 frames, half
    of them sinks, as Live2Diff (arXiv 2407.08701) begins with 8. length: the adapter's positions.
    """
    made_for = _read(folder, length)
    if window is not None and not _LEAST <= window <= length:
        raise ConfigError(
            f"--motion-window {window}: the motion adapter has positions for {length} frames:"
            f" give {_LEAST} to {length}"
        )
    if window is None:
        window = min(_WINDOW, length) if made_for is None else made_for.slots + 1
    if sinks is not None and not 0 <= sinks <= window - _LEAST:
        raise ConfigError(
            f"--motion-sinks {sinks}: of a window of {window} frames give 0 to {window - _LEAST}"
        )
    if sinks is None:
        sinks = min(window // 2 if made_for is None else made_for.sinks, window - _LEAST)
    return Ring(sinks=sinks, rolling=window - 1 - sinks)


def _read(folder: Path, length: int) -> Ring | None:
    """Return the ring that a folder's file tells of, None where there is no such file."""
    path = folder / RING
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"motion adapter: {path} cannot be read as JSON: {error}") from error
    if not isinstance(told, dict) or told.keys() != {"sinks", "rolling"}:
        raise ModelError(f'motion adapter: {path} holds {told}, not {{"sinks": 2, "rolling": 6}}')
    if not all(type(count) is int for count in told.values()):
        raise ModelError(f"motion adapter: {path} holds {told}: both are whole numbers")
    try:
        ring = Ring(**told)
        ring.fit(length)
    except ConfigError as error:
        raise ModelError(f"motion adapter: {path} tells of a {error}") from error
    return ring
