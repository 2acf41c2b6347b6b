from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from streamgen.errors import SourceError
from streamgen.sources.cameras import (
    DRIVERS,
    Camera,
    Driver,
    driver_of,
    find_camera,
    list_v4l2,
    refusal,
)

LAPTOP = Camera(number=0, name="Integrated Camera", address="/dev/video0")
LOGITECH = Camera(number=2, name="Logi C920", address="/dev/video2")


@pytest.fixture
def plug(tmp_path: Path) -> Callable[..., None]:
    """Put a node of a camera into a tree like that of the kernel."""

    def add(number: int, name: str, *, index: int = 0, has_device: bool = True) -> None:
        facts = tmp_path / "sys" / f"video{number}"
        facts.mkdir(parents=True)
        (facts / "name").write_text(f"{name}\n")
        (facts / "index").write_text(f"{index}\n")
        (tmp_path / "dev").mkdir(exist_ok=True)
        if has_device:
            (tmp_path / "dev" / f"video{number}").touch()

    return add


def seen(tmp_path: Path) -> list[Camera]:
    return list_v4l2(tmp_path / "sys", tmp_path / "dev")


def driver(*cameras: Camera) -> Driver:
    return Driver(
        format="v4l2",
        listed=lambda: cameras,
        address=lambda text: text,
        attempts=({},),
        absent="connect one",
        refused="allow it",
    )


def test_cameras_are_listed_by_number_without_their_nodes_for_metadata(plug, tmp_path) -> None:
    plug(10, "HDMI capture")
    plug(2, "Logi C920")
    plug(3, "Logi C920", index=1)

    assert [(each.number, each.name, each.obstacle) for each in seen(tmp_path)] == [
        (2, "Logi C920", None),
        (10, "HDMI capture", None),
    ]
    assert seen(tmp_path)[0].address == str(tmp_path / "dev" / "video2")


def test_a_camera_that_a_container_does_not_have_says_how_to_get_it(plug, tmp_path) -> None:
    plug(0, "Integrated Camera", has_device=False)

    (camera,) = seen(tmp_path)

    assert camera.obstacle is not None and "in a container, add --device" in camera.obstacle


def test_a_camera_that_may_not_be_read_names_the_group(plug, tmp_path) -> None:
    plug(0, "Integrated Camera")

    (camera,) = list_v4l2(
        tmp_path / "sys", tmp_path / "dev", is_allowed=lambda device: device.name != "video0"
    )

    assert camera.obstacle is not None and "group video" in camera.obstacle


def test_nodes_are_found_where_the_kernel_tells_nothing(tmp_path) -> None:
    (tmp_path / "dev").mkdir()
    for name in ("video1", "video0", "videodisc", "null"):
        (tmp_path / "dev" / name).touch()

    assert [(each.number, each.name) for each in seen(tmp_path)] == [(0, "video0"), (1, "video1")]


def test_no_tree_at_all_holds_no_camera(tmp_path) -> None:
    assert seen(tmp_path) == []


@pytest.mark.parametrize(
    "text", ["2", "Logi C920", "logi c920", "c920", "/dev/video2"], ids=lambda text: text
)
def test_a_camera_is_found_by_number_name_part_of_its_name_and_address(text: str) -> None:
    assert find_camera(text, driver(LAPTOP, LOGITECH)) == LOGITECH


def test_the_first_one_is_the_first_that_can_be_used() -> None:
    broken = Camera(number=0, name="old", address="/dev/video0", obstacle="may not be read")

    assert find_camera("", driver(broken, LOGITECH)) == LOGITECH
    with pytest.raises(SourceError, match="'old' cannot be used: may not be read"):
        find_camera("", driver(broken))


def test_a_path_that_is_in_no_list_is_taken_as_it_is(tmp_path) -> None:
    link = tmp_path / "usb-Logitech-index0"
    link.touch()

    assert find_camera(str(link), driver(LAPTOP)).address == str(link)


def test_a_system_without_a_list_opens_what_it_is_told() -> None:
    mac = DRIVERS["darwin"]

    assert find_camera("", mac).address == "0:none"
    assert find_camera("FaceTime HD Camera", mac).address == "FaceTime HD Camera:none"


@pytest.mark.parametrize(
    ("text", "cameras", "message"),
    [
        ("", (), "there is no camera here: connect one"),
        ("7", (LAPTOP, LOGITECH), r"no camera has that name; there are camera:0 \(Integrated Cam"),
        ("cam", (LAPTOP, Camera(number=1, name="Camlink", address="b")), "several cameras have"),
    ],
)
def test_a_camera_that_is_not_there_names_those_that_are(text, cameras, message) -> None:
    with pytest.raises(SourceError, match=message):
        find_camera(text, driver(*cameras))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EBUSY, "another program uses it"),
        (errno.ENOENT, "it is not there: connect one"),
        (errno.ENODEV, "it is not there: connect one"),
        (errno.ENOTTY, "it is no camera"),
        (errno.EINVAL, "leave out size and rate"),
        (errno.EACCES, "allow it"),
        (errno.EIO, "allow it"),
    ],
)
def test_what_stands_in_the_way_is_said_with_what_helps(code: int, words: str) -> None:
    error = av.FFmpegError(code, os.strerror(code))

    sentence = str(refusal(LAPTOP, driver(LAPTOP), error))

    assert sentence.startswith("camera 'Integrated Camera' cannot be opened: ")
    assert words in sentence


def test_what_is_asked_for_takes_the_place_of_what_a_driver_would_try() -> None:
    first, second = DRIVERS["linux"].options(size="320x240", rate="")

    assert first == {"input_format": "mjpeg", "video_size": "320x240", "framerate": "30"}
    assert second == {"video_size": "320x240", "framerate": "30"}


def test_every_system_has_a_driver_or_says_that_it_has_none() -> None:
    assert [driver_of(name).format for name in ("linux", "darwin", "win32")] == [
        "v4l2",
        "avfoundation",
        "dshow",
    ]
    with pytest.raises(SourceError, match="no driver on aix"):
        driver_of("aix")
