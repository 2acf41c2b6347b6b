"""The plotted log of a stage: losses and decibels over steps; knows nothing of the trainer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Figures that a training line may have, by panel; a report's figures are all decibels.
LOSSES = ("loss", "latent", "picture", "temporal")
DECIBELS = ("psnr",)
#: The figures that sum a report up, drawn thicker than those of single styles.
SUMS = ("test_psnr", "mean_db")

Line = Mapping[str, float]


def save_plot(log: Path, path: Path) -> None:
    """Draw `log.jsonl` into a PNG: losses above; dB of training and reports below."""
    # Only the train extra brings it; without pyplot no window system is asked for.
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    lines = _read(log)
    training = [line for line in lines if "loss" in line]
    reports = [line for line in lines if "loss" not in line]
    figure = Figure(figsize=(10, 10), dpi=100, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for axes in (above, below):
        # As many colours as a report has styles, and some more.
        axes.set_prop_cycle(color=colormaps["tab20"](range(20)))
    _draw(above, training, LOSSES)
    above.set(ylabel="loss", yscale="log")
    _draw(below, training, DECIBELS, style="--")
    _draw(below, reports, _figures_of(reports), style="o-")
    below.set(ylabel="dB", xlabel="step")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="x-small", ncols=4)
    figure.savefig(path)


def _read(log: Path) -> list[Line]:
    """Return the lines in order of their steps, which a resumed run may have done twice."""
    lines: list[Line] = []
    for text in log.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue  # a run that was killed while it wrote leaves part of a line
    return sorted(lines, key=lambda line: line["step"])


def _figures_of(reports: Iterable[Line]) -> list[str]:
    return list(dict.fromkeys(name for line in reports for name in line if name != "step"))


def _draw(axes: Axes, lines: Sequence[Line], names: Iterable[str], style: str = "-") -> None:
    for name in names:
        points = [(line["step"], line[name]) for line in lines if name in line]
        if points:
            steps, values = zip(*points, strict=True)
            is_sum = name in SUMS
            look = {"color": "black", "linewidth": 2.5} if is_sum else {"linewidth": 1.0}
            axes.plot(steps, values, style, label=name, markersize=3, **look)
