"""A report as a picture: where a frame's time goes, and how speed depends on what was varied."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report import Report
from benchmarks.tables import FORMS
from streamgen.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Rows of the report that are no stage: the frame is all of them together.
_WHOLE = "frame"
_PANEL_WIDTH, _PANEL_HEIGHT = 6.5, 4.2
_MOST_IN_A_ROW = 3


def check_plot(path: Path) -> None:
    """Raise ConfigError if a plot cannot be drawn there; asked before the work."""
    if find_spec("matplotlib") is None:
        raise ConfigError(f"--plot '{path}' needs matplotlib: pip install matplotlib")
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--plot '{path}': name a file that ends in .png")
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"--plot '{path}': name a file in a folder that is there")


def draw_plot(report: Report, path: Path) -> None:
    """Draw a PNG of a report, a panel for each thing that it tells."""
    # The package works without it; without pyplot no window system is asked for.
    from matplotlib.figure import Figure

    results: Sequence[Report] = report.get("results", [report])
    panels = [panel for panel, is_told in _PANELS if is_told(results)]
    columns = len(panels) if len(panels) <= _MOST_IN_A_ROW else math.ceil(len(panels) / 2)
    rows = math.ceil(len(panels) / columns)
    size = (_PANEL_WIDTH * columns, _PANEL_HEIGHT * rows)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    figure.suptitle(_title(results), fontsize="medium")
    for place, panel in enumerate(panels, start=1):
        panel(figure.add_subplot(rows, columns, place), results)
    try:
        figure.savefig(path)
    except OSError as error:
        raise ConfigError(f"--plot '{path}' cannot be written: {error.strerror}") from error


def _title(results: Sequence[Report]) -> str:
    config, machine = results[0]["config"], results[0]["machine"]
    told = f"{config['model']}, {config['backend']} {config['precision']} on {config['device']}"
    if len(results) == 1:
        told += f", {config['size']}, steps {config['steps']}"
    told += f"\n{machine['cpu']}, {machine['cores']} cores"
    if machine["gpu"]:
        told += f", {machine['gpu']}"
    if any(result["machine"]["busy"] for result in results):
        told += "\nBUSY MACHINE: no measure of it"
    return told


def _draw_stages(axes: Axes, results: Sequence[Report]) -> None:
    """Stack the medians of the stages; the whisker goes to the 95th percentile of the frame."""
    names = [name for name in results[0]["stages"] if name != _WHOLE]
    places = range(len(results))
    bottoms = [0.0] * len(results)
    for name in names:
        heights = [result["stages"][name]["p50"] for result in results]
        axes.bar(places, heights, bottom=bottoms, width=0.6, label=name)
        bottoms = [below + height for below, height in zip(bottoms, heights, strict=True)]
    frames = [result["frame_ms"] for result in results]
    middles = [laps["p50"] for laps in frames]
    above = [laps["p95"] - laps["p50"] for laps in frames]
    axes.errorbar(
        places,
        middles,
        yerr=[[0.0] * len(frames), above],
        fmt="k_",
        capsize=6,
        label="frame, p50 to p95",
    )
    axes.set_xticks(list(places), [_label(result, results) for result in results])
    axes.set_xlim(-0.8, len(results) - 0.2)
    axes.set(ylabel="ms a frame", ylim=(0, None), title="where the time goes (medians)")
    axes.legend(fontsize="small")


def _draw_sizes(axes: Axes, results: Sequence[Report]) -> None:
    """Draw speed over the area of a picture, a line for each number of steps."""
    for steps in _different(results, "steps"):
        line = [result for result in results if result["config"]["steps"] == steps]
        line.sort(key=lambda result: _area(result["config"]["size"]))
        sizes = [result["config"]["size"] for result in line]
        fps = [result["fps"] for result in line]
        axes.plot([_area(size) / 1e3 for size in sizes], fps, "o-", label=f"steps {steps}")
    sizes = sorted(_different(results, "size"), key=_area)
    axes.set_xticks([_area(size) / 1e3 for size in sizes], sizes)
    _finish(axes, title="speed over size", xlabel="picture")


def _draw_steps(axes: Axes, results: Sequence[Report]) -> None:
    """Draw speed over the number of steps, a line for each size."""
    for size in _different(results, "size"):
        line = [result for result in results if result["config"]["size"] == size]
        line.sort(key=lambda result: int(result["config"]["steps"]))
        steps = [result["config"]["steps"] for result in line]
        axes.plot(steps, [result["fps"] for result in line], "o-", label=size)
    axes.set_xticks(sorted(_different(results, "steps")))
    _finish(axes, title="speed over steps", xlabel="steps")


def _draw_streams(axes: Axes, results: Sequence[Report]) -> None:
    """Draw the speed of all streams together over their number, a line for each result."""
    counts: set[int] = set()
    for result in results:
        groups = sorted(result["streams"], key=lambda group: int(group["count"]))
        numbers = [group["count"] for group in groups]
        counts.update(numbers)
        label = _label(result, results).replace("\n", ", ")
        axes.plot(numbers, [group["fps"] for group in groups], "o-", label=label)
    axes.set_xticks(sorted(counts))
    _finish(axes, title="speed of all streams together", xlabel="streams")


def _draw_rivals(axes: Axes, results: Sequence[Report]) -> None:
    """Draw ours beside others, of the first result."""
    bars = {"streamgen": results[0]["fps"]}
    for name, rival in results[0]["compare"].items():
        for form, prefix in FORMS.items():
            if form in rival:
                bars[f"{name}\n{rival[form]}"] = rival[f"{prefix}fps"]
    drawn = axes.bar(list(bars), list(bars.values()), width=0.6, color="tab:gray")
    drawn[0].set_color("tab:blue")
    axes.bar_label(drawn, fmt="%.1f")
    axes.margins(y=0.12)
    axes.set(ylabel="frames a second", title=f"the same frames, {results[0]['config']['size']}")


def _finish(axes: Axes, *, title: str, xlabel: str) -> None:
    axes.margins(y=0.12)
    axes.set(title=title, xlabel=xlabel, ylabel="frames a second", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _label(result: Report, results: Sequence[Report]) -> str:
    config = result["config"]
    has_steps = len(_different(results, "steps")) > 1
    return f"{config['size']}\nsteps {config['steps']}" if has_steps else str(config["size"])


def _different(results: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    return list(dict.fromkeys(result["config"][key] for result in results))


def _may_compare(compare: Mapping[str, Any]) -> bool:
    return bool(compare) and not any(rival["reason"] for rival in compare.values())


def _area(size: str) -> int:
    width, height = size.split("x")
    return int(width) * int(height)


#: What can be drawn, and which results tell it.
_PANELS: Sequence[
    tuple[Callable[[Axes, Sequence[Report]], None], Callable[[Sequence[Report]], bool]]
] = (
    (_draw_stages, lambda results: True),
    (_draw_sizes, lambda results: len(_different(results, "size")) > 1),
    (_draw_steps, lambda results: len(_different(results, "steps")) > 1),
    (_draw_streams, lambda results: bool(results[0].get("streams"))),
    # Bars side by side are a ratio, too: not of a busy machine.
    (_draw_rivals, lambda results: _may_compare(results[0].get("compare", {}))),
)
