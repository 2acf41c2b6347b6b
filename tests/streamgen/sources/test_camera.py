"""libav's own test picture plays the camera: the code path is that of v4l2 but for the driver."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from itertools import count, islice
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from streamgen.errors import SourceError
from streamgen.sources import Size, SourceOptions, open_source
from streamgen.sources.camera import CameraSource, open_camera
from streamgen.sources.cameras import DRIVERS, Camera, Driver

PATIENCE_S = 30
# The filter "realtime" makes it come in its own time, as a camera does.
PICTURE = "testsrc2=size=320x240:rate=100,realtime"


def lavfi(*addresses: str, attempts: Sequence[dict[str, str]] = ({},)) -> Driver:
    cameras = [
        Camera(number=number, name=f"Testcam {number}", address=address)
        for number, address in enumerate(addresses)
    ]
    return Driver(
        format="lavfi",
        listed=lambda: cameras,
        address=lambda text: text,
        attempts=attempts,
        absent="connect one",
        refused="allow it",
    )


def options(**odd: object) -> SourceOptions:
    asked = {"size": None, "fit": "crop", "rate": None, "clock": count(step=10**6).__next__}
    return SourceOptions(**{**asked, **odd})  # type: ignore[arg-type]  # of a test's keywords


def open_lavfi(address: str = PICTURE, query: str = "", **odd: object) -> CameraSource:
    return open_camera(f"camera:{query}", options(**odd), driver=lavfi(address))


def test_pictures_come_at_the_size_asked_for_with_stamps_that_rise() -> None:
    with open_lavfi(size=Size(64, 48)) as source:
        frames = list(islice(source.frames(), 4))

    assert (source.info.width, source.info.height, source.info.rate) == (64, 48, Fraction(100))
    assert [frame.pixels.shape for frame in frames] == [(48, 64, 3)] * 4
    assert [frame.stamp.index for frame in frames] == [0, 1, 2, 3]
    assert frames[0].stamp.pts == 0
    assert all(a.stamp.pts < b.stamp.pts for a, b in zip(frames, frames[1:], strict=False))
    assert {frame.stamp.time_base for frame in frames} == {source.info.time_base}
    assert not np.array_equal(frames[0].pixels, frames[3].pixels)


def test_who_comes_late_gets_the_newest_picture() -> None:
    number, is_open, all_have_come = count(), Event(), Event()

    def clock() -> int:
        now = next(number)
        if now == 1:
            assert is_open.wait(PATIENCE_S)
        if now == 99:
            all_have_come.set()
        return now

    with open_lavfi("testsrc2=size=64x48:duration=5:rate=20", clock=clock) as source:
        is_open.set()
        assert all_have_come.wait(PATIENCE_S)
        (*_, newest) = source.frames()

    assert newest.stamp.index <= 1
    assert newest.stamp.ingest_ns == 99


def test_a_damaged_picture_is_passed_over_and_many_in_a_row_are_an_error(tmp_path: Path) -> None:
    whole = BytesIO()
    Image.new("RGB", (64, 48), "red").save(whole, "jpeg")
    damaged = whole.getvalue()[:20] + b"\xff\xd9"
    (tmp_path / "some").write_bytes(whole.getvalue() + 5 * damaged + whole.getvalue())
    (tmp_path / "many").write_bytes(whole.getvalue() + 99 * damaged)

    with open_jpegs(tmp_path / "some") as source:
        assert len(list(source.frames())) <= 1  # both may have come before the first is taken
    with (
        pytest.raises(SourceError, match="'Testcam 0' stopped .Invalid data.*: is it connected"),
        open_jpegs(tmp_path / "many") as source,
    ):
        list(source.frames())


def open_jpegs(path: Path) -> CameraSource:
    driver = replace(lavfi(f"file:{path}"), format="mjpeg")
    return open_camera("camera:", options(), driver=driver)


def test_a_clock_that_agrees_with_ours_tells_when_a_picture_was_taken() -> None:
    with open_lavfi(clock=lambda: 500_000_000) as source:
        near = next(source.frames()).stamp
    with open_lavfi(clock=lambda: 10**15) as source:
        far = next(source.frames()).stamp

    assert near.capture_ns is not None and 0 <= near.capture_ns < near.ingest_ns
    assert far.capture_ns is None


def test_frames_end_when_interrupted() -> None:
    with open_lavfi() as source:
        frames = source.frames()
        next(frames)
        source.interrupt()

        assert len(list(frames)) <= 1


def test_the_second_attempt_counts_where_the_first_is_refused() -> None:
    driver = lavfi(PICTURE, attempts=({"graph": "no such filter"}, {}))

    with open_camera("camera:", options(), driver=driver) as source:
        assert next(source.frames()).pixels.shape == (240, 320, 3)


def test_a_size_that_the_camera_does_not_give_is_refused() -> None:
    with pytest.raises(SourceError, match="cannot do 1920x1080, it gives 320x240"):
        open_lavfi(query="?size=1920x1080")


def test_another_rate_than_asked_for_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), open_lavfi(query="?rate=30"):
        pass

    assert "gives 100 fps, not 30" in caplog.text


def test_a_camera_that_ends_ends_the_frames() -> None:
    with open_lavfi("testsrc2=size=64x48:duration=0.05") as source:
        assert len(list(source.frames())) <= 2


def test_what_will_not_open_says_what_helps() -> None:
    with pytest.raises(SourceError, match="'Testcam 0' cannot be opened: Filter not found: allow"):
        open_lavfi("nosuchfilter")


def test_a_file_that_is_no_camera_is_refused_by_v4l2() -> None:
    with pytest.raises(SourceError, match="cannot be opened"):
        open_camera("camera:/dev/null", options(), driver=DRIVERS["linux"])


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("camera:?mirror=1", "option 'mirror': allowed are size, rate"),
        ("camera:?size=big", "size 'big'"),
        ("camera:?rate=0", "allowed is from 1/100"),
        ("camera:Logitech", "no camera has that name; there are camera:0 .Testcam 0."),
    ],
)
def test_a_wrong_option_is_named(location: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_camera(location, options(), driver=lavfi(PICTURE))


def test_the_rate_of_a_folder_is_not_that_of_a_camera() -> None:
    with pytest.raises(SourceError, match=r"camera:\?rate=25"):
        open_lavfi(rate=Fraction(25))


def test_the_table_of_sources_knows_cameras() -> None:
    with pytest.raises(SourceError, match="camera"):
        open_source("camera:a camera that nobody has")
