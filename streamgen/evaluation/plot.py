"""Figures over time as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streamgen.errors import ConfigError
from streamgen.evaluation.measure import Figures

#: What is drawn below each other, each with the lines of its panel.
PANELS: Mapping[str, tuple[str, ...]] = {
    "warp error": ("warp_error", "input_warp_error"),
    "flicker, levels²": ("flicker",),
    "edge-SSIM to the input": ("edge_ssim",),
    "lag": ("lag",),
    "colour against the start, ΔE": ("colour_offset",),
}


def draw_figures(figures: Figures, path: Path, *, title: str) -> None:
    """Draw a PNG; ConfigError where it cannot be written."""
    # Not everyone has it; without pyplot no window system is asked for.
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(10, 2.2 * len(PANELS)), dpi=100, layout="constrained")
    drawing.suptitle(title, fontsize="medium")
    panels = drawing.subplots(len(PANELS), 1, sharex=True)
    for axes, (name, series) in zip(panels, PANELS.items(), strict=True):
        for one in series:
            values = figures.over_time[one]
            # Figures of two or three frames belong to the last of them.
            start = figures.frames - len(values)
            axes.plot(range(start, figures.frames), values, label=one, linewidth=1)
        axes.set(ylabel=name)
        axes.grid(alpha=0.3)
        if len(series) > 1:
            axes.legend(fontsize="x-small")
    panels[-1].set(xlabel="frame")
    try:
        drawing.savefig(path)
    except OSError as error:
        raise ConfigError(f"--plot '{path}' cannot be written: {error.strerror}") from error
