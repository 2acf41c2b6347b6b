from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from streamgen.cli.devices import Found, cameras, preview, screens, told
from streamgen.errors import SinkError, SourceError
from streamgen.sources import Rect
from streamgen.sources.cameras import DRIVERS, Camera, Driver


def driver(cameras: Sequence[Camera] | None) -> Driver:
    return Driver(
        format="v4l2",
        listed=lambda: cameras,
        address=lambda text: text,
        attempts=({},),
        absent="connect one",
        refused="allow it",
    )


class Eye:
    def monitors(self):
        return (Rect(0, 0, 3840, 1080), Rect(0, 0, 1920, 1080), Rect(1920, 0, 1920, 1080))

    def grab(self, part):
        return np.zeros((part.height, part.width, 3), np.uint8)

    def close(self):
        pass


def test_cameras_are_told_by_what_run_takes_and_what_is_in_the_way():
    found = cameras(
        lambda: driver(
            [
                Camera(number=0, name="Laptop", address="/dev/video0"),
                Camera(number=2, name="Logi", address="/dev/video2", obstacle="group video"),
            ]
        )
    )

    assert list(told({"cameras": found})) == [
        "cameras",
        "  camera:0   Laptop",
        "  camera:2   Logi: group video",
    ]


def test_what_is_not_there_says_how_to_get_it():
    def missing():
        raise SourceError("screen: needs the library mss: pip install 'streamgen[screen]'")

    def dark():
        raise SinkError("output 'window:': there is no display")

    assert cameras(lambda: driver([])).advice == "connect one"
    assert "try camera:0" in str(cameras(lambda: DRIVERS["darwin"]).advice)
    assert screens(missing) == Found(
        advice="needs the library mss: pip install 'streamgen[screen]'"
    )
    assert list(told({"preview": preview(dark)})) == ["preview", "  none: there is no display"]


def test_screens_are_told_with_their_size_and_place():
    assert list(told({"screens": screens(Eye)})) == [
        "screens",
        "  screen:1   1920x1080",
        "  screen:2   1920x1080 at 1920,0",
    ]


def test_a_window_that_can_be_opened_is_told():
    assert preview(lambda: None).devices[0].location == "window:"


def test_the_command_tells_of_every_kind(streamgen):
    done = streamgen("devices")

    assert done.code == 0, done.err
    kinds = [line for line in done.out.splitlines() if not line.startswith(" ")]
    assert kinds == ["cameras", "screens", "windows", "preview"]


def test_the_command_prints_json(streamgen, tmp_path):
    printed = json.loads(streamgen("devices", "--json").out)
    streamgen("devices", "--json", tmp_path / "devices.json")

    assert printed.keys() == {"cameras", "screens", "windows", "preview"}
    assert printed["windows"]["devices"] == []
    assert "screen:1?region=x,y,WxH" in printed["windows"]["advice"]
    assert json.loads((tmp_path / "devices.json").read_text()) == printed


@pytest.mark.parametrize("option", ["--jsn", "--list"])
def test_an_unknown_option_is_named(streamgen, option):
    assert streamgen("devices", option).code == 2
