"""The suite's report as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamgen.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"eager": "tab:gray", "eager-graph": "tab:olive", "inductor": "tab:blue"}
_WIDTH, _ROW_HEIGHT, _LEAST_HEIGHT = 8.0, 0.34, 2.4


def draw_gpu(report: Mapping[str, Any], path: Path) -> None:
    """Draw a PNG: speed and share of the roofline of every case, memory over many frames."""
    # The package works without it; without pyplot no window system is asked for.
    from matplotlib.figure import Figure

    results = [each for each in report["results"] if each["error"] is None]
    stable = [each for each in results if "stability" in each]
    panels = 3 if stable else 2
    height = max(_LEAST_HEIGHT, _ROW_HEIGHT * len(results) + 1.4)
    size = (_WIDTH * panels * 0.75, height)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    figure.suptitle(_title(report, results), fontsize="medium")
    _draw_speed(figure.add_subplot(1, panels, 1), results)
    _draw_roofline(figure.add_subplot(1, panels, 2), results)
    if stable:
        _draw_stability(figure.add_subplot(1, panels, 3), stable)
    try:
        figure.savefig(path)
    except OSError as error:
        raise ConfigError(f"--plot '{path}' cannot be written: {error.strerror}") from error


def _title(report: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> str:
    config, machine = report["config"], report["machine"]
    told = f"random weights, scale {report['scale']}, {config['precision']}"
    told += f"\n{machine['gpu'] or machine['cpu']}, torch {report['versions']['torch']}"
    if any(result["busy"] for result in results):
        told += "\nBUSY MACHINE: no measure of it"
    return told


def _draw_speed(axes: Axes, results: Sequence[Mapping[str, Any]]) -> None:
    values = [result["fps"] for result in results]
    _bars(axes, results, values, labels=[f"{value:.1f}" for value in values])
    axes.set(title="frames a second, all streams together", xlabel="frames a second")


def _draw_roofline(axes: Axes, results: Sequence[Mapping[str, Any]]) -> None:
    values = [100 * result["roofline"]["share"] for result in results]
    _bars(axes, results, values, labels=[f"{value:.0f} %" for value in values])
    axes.set_yticklabels([])
    axes.set(title="share of the roofline", xlabel="%")


def _bars(
    axes: Axes,
    results: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    *,
    labels: Sequence[str],
) -> None:
    places = range(len(results))
    colours = [_COLOURS[result["config"]["mode"]] for result in results]
    drawn = axes.barh(places, values, color=colours, height=0.7)
    axes.bar_label(drawn, labels=labels, padding=3, fontsize="small")
    axes.set_yticks(list(places), [result["name"] for result in results], fontsize="small")
    axes.invert_yaxis()
    axes.margins(x=0.16)


def _draw_stability(axes: Axes, stable: Sequence[Mapping[str, Any]]) -> None:
    for result in stable:
        told = result["stability"]
        looks = told["allocated_mib"]
        frames = [told["frames"] * place // (len(looks) - 1) for place in range(len(looks))]
        axes.plot(frames, looks, "o-", label=result["name"], markersize=3)
    axes.set(title="memory held", xlabel="frames", ylabel="MiB", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
