"""The virtual camera: sizes, colours, refusals; and a real device where there is one."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from streamgen.errors import SinkError
from streamgen.sinks.virtual_camera import (
    CameraOptions,
    VirtualCamera,
    check_package,
    open_pyvirtualcam,
    refusal,
    try_device,
)
from streamgen.sources.geometry import Size

pyvirtualcam = pytest.importorskip(
    "pyvirtualcam", reason="pyvirtualcam is not installed: pip install 'streamgen[vcam]'"
)


class Paper:
    """A backend of pyvirtualcam that keeps what it is shown; `busy_at` are sizes it refuses."""

    made: list[Paper] = []
    busy_at: set[tuple[int, int]] = set()

    def __init__(self, *, width, height, fps, fourcc, device, **others):
        if (width, height) in self.busy_at:
            raise RuntimeError("Virtual camera device paper could not be configured: busy")
        self.size, self.fps, self.name = (width, height), fps, device or "paper"
        self.frames, self.is_open = [], True
        self.made.append(self)

    def close(self):
        self.is_open = False

    def send(self, frame):
        self.frames.append(frame.copy())

    def device(self):
        return self.name

    def native_fourcc(self):
        return None


@pytest.fixture
def paper():
    pyvirtualcam.register_backend("paper", Paper)
    Paper.made, Paper.busy_at = [], set()
    yield Paper
    del pyvirtualcam.camera.BACKENDS["paper"]


@pytest.fixture
def said():
    return []


@pytest.fixture
def camera(paper, said):
    made = VirtualCamera(CameraOptions(backend="paper", fps=24), say=said.append)
    yield made
    made.close()


def picture(width=64, height=48, *, y=90, u=110, v=150):
    made = VideoFrame(width, height, "yuv420p")
    for plane, level in zip(made.planes, (y, u, v), strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    made.color_range, made.colorspace = 1, 6
    return made


def levels(planes, size):
    """Return Y, U and V in the middle of a picture."""
    width, height = size
    area = width * height
    y, u, v = np.split(planes, [area, area + area // 4])
    middle = (height // 4, width // 4)
    return (
        int(y.reshape(height, width)[height // 2, width // 2]),
        int(u.reshape(height // 2, width // 2)[middle]),
        int(v.reshape(height // 2, width // 2)[middle]),
    )


def test_a_picture_is_shown_byte_for_byte(camera, paper, said):
    noise = np.random.default_rng(1).integers(16, 235, (72, 64), np.uint8)
    sent = VideoFrame.from_ndarray(noise, format="yuv420p")

    camera.show(sent)

    (device,) = paper.made
    assert (device.size, device.fps) == ((64, 48), 24.0)
    assert np.array_equal(device.frames[0].reshape(72, 64), noise)
    assert said == ["The virtual camera paper shows pictures of 64x48."]


def test_a_new_size_opens_the_device_anew(camera, paper):
    camera.show(picture(64, 48))
    camera.show(picture(32, 32))
    camera.show(picture(32, 32))

    assert [(each.size, len(each.frames), each.is_open) for each in paper.made] == [
        ((64, 48), 1, False),
        ((32, 32), 2, True),
    ]


def test_a_size_that_is_refused_while_somebody_watches_is_fitted_into_the_old_one(
    camera, paper, said
):
    paper.busy_at = {(48, 48)}
    camera.show(picture(64, 48))
    for _ in range(3):
        camera.show(picture(48, 48, y=120))

    first, again = paper.made
    assert (first.is_open, again.size, len(again.frames)) == (False, (64, 48), 3)
    assert levels(again.frames[0], again.size) == pytest.approx((120, 110, 150), abs=2)
    assert again.frames[0][0] == 16  # the bar beside it is black
    assert len(said) == 2
    assert "paper stays at 64x48, into which the pictures of 48x48 are fitted" in said[1]


def test_the_old_size_needs_no_fitting_once_it_is_back(camera, paper):
    paper.busy_at = {(48, 48)}
    for size in ((64, 48), (48, 48), (64, 48)):
        camera.show(picture(*size))

    assert len(paper.made) == 2
    assert np.array_equal(paper.made[1].frames[1], picture(64, 48).to_ndarray().reshape(-1))


def test_an_odd_size_is_brought_to_an_even_one(camera, paper):
    camera.show(picture(65, 49))

    assert paper.made[0].size == (64, 48)
    assert levels(paper.made[0].frames[0], (64, 48)) == pytest.approx((90, 110, 150), abs=2)


def test_full_range_and_other_matrices_become_what_programs_expect(camera, paper):
    white = picture(y=255, u=128, v=128)
    white.color_range = 2
    camera.show(white)
    # Pure red as BT.709 and as BT.601, both in limited range.
    red = picture(y=63, u=102, v=240)
    red.colorspace = 1
    camera.show(red)

    shown = [levels(each, (64, 48)) for each in paper.made[0].frames]
    assert shown[0] == pytest.approx((235, 128, 128), abs=2)
    assert shown[1] == pytest.approx((81, 90, 240), abs=2)


def test_black_has_the_size_of_the_last_picture_and_needs_one(camera, paper):
    camera.show_black()
    assert paper.made == []

    camera.show(picture())
    camera.show_black()

    assert levels(paper.made[0].frames[1], (64, 48)) == (16, 128, 128)


def test_a_device_that_goes_away_is_one_sentence(camera, paper):
    camera.show(picture())

    def gone(frame):
        raise OSError("No such device")

    paper.made[0].send = gone
    with pytest.raises(SinkError, match="'paper' takes no more pictures: No such device"):
        camera.show(picture())


def test_closing_twice_is_allowed(camera, paper):
    camera.show(picture())
    camera.close()
    camera.close()

    assert not paper.made[0].is_open


def test_the_first_size_that_is_refused_is_an_error(camera, paper):
    paper.busy_at = {(64, 48)}

    with pytest.raises(SinkError, match="virtual camera: .*could not be configured: busy"):
        camera.show(picture())


def test_a_trial_forgives_a_device_that_is_busy(paper):
    paper.busy_at = {(640, 480)}
    try_device(CameraOptions(backend="paper"))
    paper.busy_at = set()
    try_device(CameraOptions(backend="paper"))

    assert [each.is_open for each in paper.made] == [False]


def test_an_unknown_backend_is_refused_by_name(paper):
    with pytest.raises(SinkError, match="backend 'nonsense': choose .*paper"):
        open_pyvirtualcam(Size(64, 48), CameraOptions(backend="nonsense"))


def test_a_missing_library_says_how_to_get_it():
    with pytest.raises(SinkError, match=r"pip install 'streamgen\[vcam\]'"):
        check_package("no_such_library")


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        ("linux", "sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=streamgen"),
        ("darwin", "install OBS 30 or newer, start and stop its virtual camera once"),
        ("win32", "install OBS 26 or newer"),
    ],
)
def test_where_there_is_no_device_it_is_said_how_to_get_one(platform, words):
    reason = "'x' backend: No v4l2 loopback device found at /dev/video[0-99]. Did you run …?"

    says = refusal(reason, None, platform=platform)

    assert says.startswith(f"virtual camera: there is none on this machine: {words}")


def test_a_device_that_is_there_needs_no_hint_how_to_get_one():
    reason = "'x' backend: Device /dev/video7 could not be opened due to missing permissions."

    says = refusal(reason, "/dev/video7", platform="linux")

    assert says == (
        "virtual camera '/dev/video7': Device /dev/video7 could not be opened due to missing"
        " permissions"
    )


def test_the_reasons_of_every_backend_are_told():
    reason = "'obs' backend: not installed.\n'unitycapture' backend: no device."

    says = refusal(reason, None, platform="beos")

    assert says == "virtual camera: not installed; no device"


@pytest.mark.skipif(sys.platform != "linux", reason="v4l2loopback is for Linux")
@pytest.mark.parametrize("device", ["/dev/video98", "nonsense"])
def test_the_real_library_refuses_a_device_that_is_not_there(device):
    with pytest.raises(SinkError, match=f"virtual camera '{device}': .*not exist: sudo modprobe"):
        try_device(CameraOptions(device=device, backend="v4l2loopback"))


def loopbacks():
    """Return the devices of v4l2loopback, which are the only ones that somebody may write to."""
    return [f"/dev/{each.name}" for each in Path("/sys/devices/virtual/video4linux").glob("video*")]


@pytest.mark.skipif(not loopbacks(), reason="there is no v4l2loopback device here")
def test_a_program_sees_what_is_shown():
    (device, *_) = loopbacks()
    camera = VirtualCamera(CameraOptions(device=device), say=lambda line: None)
    try:
        camera.show(picture(320, 240))
        with av.open(device, format="v4l2") as reader:
            packets = reader.demux(video=0)
            for _ in range(3):
                camera.show(picture(320, 240))
            seen = next(packets).decode()[0].reformat(format="yuv420p").to_ndarray()
    finally:
        camera.close()

    assert levels(seen.reshape(-1), (320, 240)) == pytest.approx((90, 110, 150), abs=1)


def test_no_other_file_knows_the_library_that_is_under_the_gpl():
    root = Path(__file__).parents[3]
    packages = ("streamgen", "server", "engines", "benchmarks")
    files = [path for package in packages for path in (root / package).rglob("*.py")]

    knowing = [path.name for path in files if "pyvirtualcam" in path.read_text(encoding="utf-8")]

    assert knowing == ["virtual_camera.py"]
