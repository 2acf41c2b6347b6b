from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace

from streamgen.errors import SourceError
from streamgen.frame import Colour, Frame, Pixels
from streamgen.sources import Rect, Size, open_source

MakeClip = Callable[..., Path]


def read(path: Path, **options: object) -> list[Frame]:
    with open_source(path, **options) as source:  # type: ignore[arg-type]
        return list(source.frames())


def flat_error(got: Pixels, expected: Pixels) -> int:
    """Largest error in the middles of the four corners."""
    height, width = expected.shape[:2]
    middles = [(y, x) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return max(int(np.abs(got[at].astype(int) - expected[at]).max()) for at in middles)


def test_every_frame_comes_in_order_with_its_time(make_clip: MakeClip, corners: Pixels) -> None:
    frames = read(make_clip())
    assert [frame.stamp.index for frame in frames] == list(range(8))
    assert [frame.stamp.pts * frame.stamp.time_base for frame in frames] == [
        Fraction(index, 25) for index in range(8)
    ]
    assert flat_error(frames[0].pixels, corners) <= 3


def test_pixels_are_contiguous_bytes(make_clip: MakeClip) -> None:
    pixels = read(make_clip(), size=Size(50, 38))[0].pixels
    assert pixels.flags.c_contiguous
    assert pixels.shape == (38, 50, 3) and pixels.dtype == np.uint8


def test_info_tells_size_rate_count_and_colour(make_clip: MakeClip) -> None:
    with open_source(make_clip(spc=1, full_range=False)) as source:
        info = source.info
    assert (info.width, info.height, info.frame_count) == (64, 48, 8)
    assert info.rate == 25
    assert info.colour == Colour(matrix="bt709", full_range=False)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(
    ("spc", "swscale", "matrix"),
    [
        (1, Colorspace.ITU709, "bt709"),
        (6, Colorspace.ITU601, "bt601"),
        (9, Colorspace.BT2020, "bt2020"),
    ],
)
def test_tagged_colours_are_read_as_tagged(
    make_clip: MakeClip,
    corners: Pixels,
    spc: int,
    swscale: Colorspace,
    matrix: str,
    full_range: bool,
) -> None:
    clip = make_clip(spc=spc, swscale=swscale, full_range=full_range)
    with open_source(clip) as source:
        frame = next(source.frames())
        colour = source.info.colour
    assert (colour.matrix, colour.full_range) == (matrix, full_range)
    assert flat_error(frame.pixels, corners) <= 3


def test_an_untagged_large_video_is_taken_for_bt709(make_clip: MakeClip) -> None:
    pixels = np.zeros((720, 64, 3), np.uint8)
    with open_source(make_clip(pixels=pixels, pts=[0])) as source:
        assert source.info.colour.matrix == "bt709"


@pytest.mark.parametrize(
    "pix_fmt", ["yuv420p10le", "yuv422p", "yuv444p", "yuv422p10le", "yuvj420p"]
)
def test_other_samplings_and_depths_give_the_same_colours(
    make_clip: MakeClip, corners: Pixels, pix_fmt: str
) -> None:
    full_range = pix_fmt.startswith("yuvj")
    frames = read(make_clip(pix_fmt=pix_fmt, full_range=full_range))
    assert flat_error(frames[0].pixels, corners) <= 3


def test_video_in_rgb_needs_no_matrix(make_clip: MakeClip, corners: Pixels) -> None:
    frame = read(make_clip("clip.avi", codec="utvideo", pix_fmt="gbrp", full_range=True))[0]
    assert np.array_equal(frame.pixels, corners)


def test_limited_gray_becomes_full_gray(make_clip: MakeClip, tmp_path: Path) -> None:
    path = tmp_path / "gray.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, width=64, height=48, pix_fmt="gray")
        stream.codec_context.color_range = 1
        picture = VideoFrame.from_ndarray(np.full((48, 64), 235, np.uint8), format="gray")
        output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    pixels = read(path)[0].pixels
    assert np.abs(pixels.astype(int) - 255).max() <= 1


def test_transparent_video_lies_on_black(make_clip: MakeClip, tmp_path: Path) -> None:
    path = tmp_path / "alpha.mov"
    rgba = np.full((48, 64, 4), 200, np.uint8)
    rgba[:, :32, 3] = 0
    rgba[:, 32:, 3] = 255
    with av.open(str(path), "w") as output:
        stream = output.add_stream("png", rate=25, width=64, height=48, pix_fmt="rgba")
        output.mux(stream.encode(VideoFrame.from_ndarray(rgba, format="rgba")))
        output.mux(stream.encode(None))
    pixels = read(path)[0].pixels
    assert pixels[24, 16].tolist() == [0, 0, 0]
    assert pixels[24, 48].tolist() == [200, 200, 200]


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        ((90, False, False), lambda picture: np.rot90(picture)),
        ((-90, False, False), lambda picture: np.rot90(picture, -1)),
        ((180, False, False), lambda picture: np.rot90(picture, 2)),
        ((0, True, False), lambda picture: picture[:, ::-1]),
        ((0, False, True), lambda picture: picture[::-1]),
    ],
)
def test_a_turned_video_stands_upright(
    make_clip: MakeClip,
    corners: Pixels,
    rotation: tuple[int, bool, bool],
    expected: Callable[[Pixels], Pixels],
) -> None:
    frame = read(make_clip(rotation=rotation))[0]
    upright = expected(corners)
    assert frame.pixels.shape == upright.shape
    assert flat_error(frame.pixels, upright) <= 3


def test_wide_pixels_are_made_square(make_clip: MakeClip, corners: Pixels) -> None:
    frame = read(make_clip(sample_aspect=Fraction(2, 1)))[0]
    assert frame.pixels.shape == (48, 128, 3)
    assert flat_error(frame.pixels, corners.repeat(2, axis=1)) <= 3


def test_a_turned_video_with_wide_pixels_is_cropped_upright(make_clip: MakeClip) -> None:
    clip = make_clip(sample_aspect=Fraction(2, 1), rotation=(90, False, False))
    with open_source(clip, size=Size(48, 48), fit="letterbox") as source:
        assert source.content == Rect(15, 0, 18, 48)
        pixels = next(source.frames()).pixels
    assert pixels[:, :14].max() == 0 and pixels[:, 34:].max() == 0
    assert pixels[:, 18:30].mean() > 60


def test_odd_sizes_are_delivered_as_they_are(make_clip: MakeClip) -> None:
    pixels = np.full((47, 63, 3), 120, np.uint8)
    frame = read(make_clip(pixels=pixels, pix_fmt="yuv444p"))[0]
    assert frame.pixels.shape == (47, 63, 3)
    assert np.abs(frame.pixels.astype(int) - 120).max() <= 3


@pytest.mark.parametrize("size", [(16, 16), (7680, 4320)])
def test_tiny_and_huge_frames_fit_the_size_asked_for(
    make_clip: MakeClip, size: tuple[int, int]
) -> None:
    pixels = np.full((size[1], size[0], 3), 120, np.uint8)
    clip = make_clip("clip.avi", pixels=pixels, pts=[0], codec="mjpeg", pix_fmt="yuvj420p")
    frame = read(clip, size=Size(64, 64))[0]
    assert frame.pixels.shape == (64, 64, 3)
    assert np.abs(frame.pixels.astype(int) - 120).max() <= 4


def test_a_rule_may_choose_the_size_from_the_upright_one(make_clip: MakeClip) -> None:
    seen: list[Size] = []

    def half(upright: Size) -> Size:
        seen.append(upright)
        return Size(upright.width // 2, upright.height // 2)

    frame = read(make_clip(rotation=(90, False, False)), size=half)[0]
    assert seen == [Size(48, 64)]
    assert (frame.width, frame.height) == (24, 32)


def test_uneven_time_stamps_are_kept(make_clip: MakeClip) -> None:
    ticks = [0, 7, 9, 40, 41, 90]
    frames = read(make_clip(pts=ticks, time_base=Fraction(1, 1000)))
    assert [frame.stamp.pts * frame.stamp.time_base for frame in frames] == [
        Fraction(tick, 1000) for tick in ticks
    ]


def test_missing_time_stamps_are_filled_in(make_clip: MakeClip, tmp_path: Path) -> None:
    raw = tmp_path / "raw.h264"
    raw.write_bytes(make_clip("clip.h264").read_bytes())
    ticks = [frame.stamp.pts for frame in read(raw)]
    assert len(ticks) == 8
    assert ticks == sorted(set(ticks))


def test_a_silent_file_has_no_audio(make_clip: MakeClip) -> None:
    with open_source(make_clip()) as source:
        assert source.audio is None


def test_a_name_with_a_colon_is_a_file(make_clip: MakeClip) -> None:
    assert len(read(make_clip("10:30 clip.mp4"))) == 8


def test_a_missing_file_says_what_is_allowed() -> None:
    with pytest.raises(SourceError, match="'gone.mp4': no such file.*test:pattern"):
        open_source("gone.mp4")


@pytest.mark.parametrize("location", ["rtsp://camera/1", "", "nan"])
def test_what_is_no_input_lists_what_is_one(location: str) -> None:
    with pytest.raises(SourceError, match="allowed are"):
        open_source(location)


def test_garbage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "garbage.mp4"
    path.write_bytes(bytes(range(256)) * 200)
    with pytest.raises(SourceError, match="garbage.mp4'"):
        open_source(path)


def test_a_text_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("a line of text\n" * 1000)
    with pytest.raises(SourceError, match="holds no video"):
        open_source(path)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(SourceError, match="is empty"):
        open_source(path)


def test_a_file_with_only_sound_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=48000)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), "fltp", "stereo")
        silence.sample_rate = 48000
        output.mux(stream.encode(silence))
        output.mux(stream.encode(None))
    with pytest.raises(SourceError, match="only sound"):
        open_source(path)


def test_an_mp4_without_its_index_fails_at_opening(make_clip: MakeClip) -> None:
    path = make_clip()
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(SourceError, match="cannot be read as a video"):
        open_source(path)


@pytest.mark.parametrize("name", ["clip.avi", "clip.mkv"])
def test_a_file_cut_in_the_middle_tells_how_many_frames_came(
    tmp_path: Path, make_clip: MakeClip, name: str
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    path = make_clip(name, pixels=noise, pts=range(100), codec="mjpeg", pix_fmt="yuvj420p")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 40 // 100])
    frames = []
    with open_source(path) as source, pytest.raises(SourceError, match="after .. frames") as error:
        for frame in source.frames():
            frames.append(frame)
    assert 30 <= len(frames) <= 45
    assert f"after {len(frames)} frames" in str(error.value)


def test_an_indexed_mp4_cut_in_the_middle_gives_its_good_frames(
    tmp_path: Path, make_clip: MakeClip
) -> None:
    whole, path = make_clip(pts=range(20)), tmp_path / "fast.mp4"
    with (
        av.open(str(whole)) as given,
        av.open(str(path), "w", container_options={"movflags": "+faststart"}) as output,
    ):
        copy = output.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                output.mux(packet)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 8 // 10])
    with open_source(path) as source, pytest.raises(SourceError, match="breaks off after") as error:
        frames = []
        for frame in source.frames():
            frames.append(frame)
    assert 2 <= len(frames) < 20
    assert f"after {len(frames)} frames" in str(error.value)


def test_a_closed_source_gives_no_more_frames(make_clip: MakeClip) -> None:
    source = open_source(make_clip())
    source.close()
    source.close()
    assert list(source.frames()) == []


def test_the_clock_is_an_argument(make_clip: MakeClip) -> None:
    ticks = iter(range(100, 200))
    frames = read(make_clip(), clock=lambda: next(ticks))
    assert [frame.stamp.ingest_ns for frame in frames] == list(range(100, 108))


def test_a_file_may_lose_its_name_while_it_is_read(make_clip: MakeClip) -> None:
    path = make_clip()
    with open_source(path) as source:
        path.unlink()
        assert len(list(source.frames())) == 8
