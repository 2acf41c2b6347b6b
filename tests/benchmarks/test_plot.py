from __future__ import annotations

import copy

import pytest
from PIL import Image

from benchmarks.plot import check_plot, draw_plot
from benchmarks.sweep import joined
from streamgen.errors import ConfigError

pytest.importorskip("matplotlib", reason="matplotlib is not here")


def size_of(path) -> tuple[int, int]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return picture.size


def with_config(report, **changes):
    other = copy.deepcopy(report)
    other["config"] |= changes
    return other


def drawn(report, path) -> tuple[int, int]:
    draw_plot(report, path)
    return size_of(path)


def test_a_report_is_a_panel_for_each_thing_that_it_tells(report, tmp_path):
    alone = drawn(report | {"streams": [], "compare": {}}, tmp_path / "alone.png")
    all_three = drawn(report, tmp_path / "all.png")

    assert all_three == (3 * alone[0], alone[1])


def test_lists_add_panels_in_a_second_row(report, tmp_path):
    sizes = [with_config(report, size=size) for size in ("64x64", "96x96", "128x64")]
    both = sizes + [with_config(each, steps=2) for each in sizes]
    one = drawn(report | {"streams": [], "compare": {}}, tmp_path / "one.png")

    assert drawn(joined(sizes), tmp_path / "sizes.png") == (2 * one[0], 2 * one[1])
    assert drawn(joined(both), tmp_path / "both.png") == (3 * one[0], 2 * one[1])


def test_a_busy_machine_has_no_bars_beside_others(report, tmp_path):
    rival = report["compare"]["diffusers"] | {"ratio": None, "reason": "the machine was busy"}
    alone = drawn(report | {"compare": {}}, tmp_path / "alone.png")

    assert drawn(report | {"compare": {"diffusers": rival}}, tmp_path / "busy.png") == alone


def test_a_name_that_cannot_be_drawn_to_is_an_error_before_the_work(tmp_path):
    with pytest.raises(ConfigError, match="ends in .png"):
        check_plot(tmp_path / "plot.svg")
    with pytest.raises(ConfigError, match="in a folder that is there"):
        check_plot(tmp_path / "missing" / "plot.png")
    check_plot(tmp_path / "plot.png")
