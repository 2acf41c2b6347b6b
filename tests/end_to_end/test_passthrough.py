"""What goes through a server whose model changes nothing: nothing is lost, mixed up or stained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from benchmarks.webrtc.browser import Measurement, Sending, measuring
from streamgen.sources import Size

pytestmark = pytest.mark.slow

SIZE = Size(256, 256)
#: Far enough apart that no page ever draws a number of the other's.
FIRSTS = (0, 500_000)
BARS = [
    (191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0),
    (191, 0, 191), (191, 0, 0), (0, 0, 191), (64, 128, 32),
]  # fmt: skip
#: Mean colours of the middle of eight bands of a video.
READ_BANDS = """video => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 256;
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0, 256, 256);
  return Array.from({ length: 8 }, (_, band) => {
    const { data } = pen.getImageData(32, 32 * band + 8, 192, 16);
    return [0, 1, 2].map((part) => {
      let sum = 0;
      for (let at = part; at < data.length; at += 4) sum += data[at];
      return sum / (data.length / 4);
    });
  });
}"""


def numbers_of(measurement: Measurement) -> tuple[list[int], list[int], int]:
    """Return the numbers that were drawn, those that were seen, and how many could not be read."""
    drawn, shown = measurement.marks()
    seen = [number for number, _ in shown if number is not None]
    return [number for number, _ in drawn], seen, len(shown) - len(seen)


def test_two_visitors_never_see_each_other(launch: Any, passthrough: Any, amount: Any) -> None:
    """5,000 pictures in total with STREAMGEN_SOAK=1, else 500."""
    pages = [
        (launch(), Sending(size=SIZE, first=first)) for first in FIRSTS
    ]  # a browser each, not only a page
    (one, sends), (other, sends_other) = pages
    with (
        measuring(one, passthrough.url, sends) as first,
        measuring(other, passthrough.url, sends_other) as second,
    ):
        for measurement in (first, second):
            measurement.wait_for_numbers()
        batched = [first.status(), second.status()]
        while sum(len(numbers_of(each)[1]) for each in (first, second)) < amount.pictures:
            first.page.wait_for_timeout(500)
            batched = [first.status(), second.status()]
        for start, measurement in zip(FIRSTS, (first, second), strict=True):
            drawn, seen, unread = numbers_of(measurement)
            assert set(seen) <= set(drawn)
            assert min(seen) >= start
            assert seen == sorted(seen)
            assert unread <= len(seen) // 50
        assert [status["streams"] for status in batched] == [2, 2]


@pytest.fixture(scope="module")
def bands_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return colour bars, lying, as a camera gives them: mirroring and cropping change nothing."""
    rows = np.array(BARS, np.uint8).repeat(480 // len(BARS), axis=0)
    pixels = np.broadcast_to(rows[:, None], (480, 640, 3)).copy()
    picture = VideoReformatter().reformat(
        VideoFrame.from_ndarray(pixels, format="rgb24"),
        format="yuv420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
    )
    path = tmp_path_factory.mktemp("camera") / "bands.y4m"
    frame = b"FRAME\n" + picture.to_ndarray().tobytes()
    path.write_bytes(b"YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C420mpeg2\n" + 30 * frame)
    return path


def test_colour_bars_come_back_as_they_went(
    launch: Any, bands_film: Path, passthrough: Any
) -> None:
    """From a camera: what Chromium captures of a canvas has other levels, from a bare echo too."""
    browser = launch(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={bands_film}",
    )
    page = browser.new_page()
    page.goto(passthrough.url)
    page.click("text=Start camera")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_timeout(3000)
    sent = np.array(page.locator(".input video").evaluate(READ_BANDS))
    seen = np.array(page.locator(".output video:nth-of-type(2)").evaluate(READ_BANDS))

    assert np.abs(seen - sent).max() <= 2
    assert np.abs(seen - np.array(BARS)).max() <= 2


@pytest.mark.parametrize(
    "size", [Size(321, 241), Size(176, 144), Size(481, 641), Size(1280, 720)], ids=str
)
def test_any_shape_of_camera_comes_back_in_the_models(
    launch: Any, passthrough: Any, size: Size
) -> None:
    with measuring(launch(), passthrough.url, Sending(size=size)) as measurement:
        measurement.wait_for_numbers(20)
        drawn, seen, _ = numbers_of(measurement)
        shape = measurement.page.evaluate(
            "[measurement.video.videoWidth, measurement.video.videoHeight]"
        )

    assert set(seen) <= set(drawn)
    assert shape == [256, 256]
