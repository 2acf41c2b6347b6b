"""How steady and true the pictures are whose speed is measured: `streamgen bench --quality`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from streamgen.controls import Controls
from streamgen.evaluation.clips import read_frames
from streamgen.evaluation.measure import measure
from streamgen.evaluation.redraw import redraw_clip
from streamgen.models.engines import Engines
from streamgen.sources import Size

#: Frames that are measured: quality needs fewer than speed.
FRAMES = 48
#: What is told: a heading, its digits, and what it is multiplied with.
FIGURES: Mapping[str, tuple[str, int, float]] = {
    "warp_error": ("warp error x1000", 3, 1000),
    "input_warp_error": ("the input's own", 3, 1000),
    "flicker": ("flicker, levels", 2, 1),
    "sharpness": ("sharpness, input = 1", 3, 1),
    "edge_ssim": ("edge-SSIM", 3, 1),
    "lag": ("lag", 4, 1),
}


def quality_facts(engines: Engines, controls: Controls, path: Path) -> dict[str, Any]:
    """Return the figures of the first frames of a clip, drawn apart from what is timed."""
    size = Size(engines.config.width, engines.config.height)
    frames = read_frames(path, size=size, count=FRAMES)
    found = measure(frames, redraw_clip(engines, frames, controls).frames)
    return {"frames": found.frames} | {name: round(getattr(found, name), 6) for name in FIGURES}


def print_quality(quality: Mapping[str, Any], console: Console) -> None:
    """Print the figures as one row."""
    table = Table(title=f"quality of {quality['frames']} frames")
    for heading, _, _ in FIGURES.values():
        table.add_column(heading, justify="right")
    told = [f"{quality[name] * by:.{digits}f}" for name, (_, digits, by) in FIGURES.items()]
    table.add_row(*told)
    console.print(table)
