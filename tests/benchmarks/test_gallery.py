from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from benchmarks.excerpts import EXCERPTS, Excerpt, encode_within, write_excerpt
from benchmarks.gallery import main, report, write_attributions, write_overview, write_sheets
from benchmarks.sheet import lay_out
from benchmarks.stills import STILLS, Origin, Still, find_file, read_still
from streamgen.errors import ConfigError
from streamgen.frame import Colour, Frame, Stamp, VideoInfo
from streamgen.pipeline import Pipeline
from streamgen.sources import open_source
from streamgen.training.photos import UNLICENSED
from streamgen.training.styles import STYLES

SHADES = {"dark": 40, "grey": 120, "bright": 200}
ORIGIN = Origin(file="clip.mp4", source="made here", licence="none needed")


def paint(pixels, prompt):
    return np.full_like(pixels, SHADES[prompt])


def picture(level=90, side=16):
    return np.full((side, side, 3), level, np.uint8)


def read(path):
    with Image.open(path) as image:
        return np.array(image).astype(int)


def test_a_style_has_a_sheet_of_every_picture_at_full_size(tmp_path):
    made = write_sheets(tmp_path, ["dark", "grey"], pictures=[picture()] * 8, draw=paint)

    assert [path.name for path in made] == ["original.jpg", "dark.jpg", "grey.jpg"]
    for path, level in zip(made, (90, 40, 120), strict=True):
        sheet = read(path)
        assert sheet.shape == (2 * 16 + 2, 4 * 16 + 6, 3)
        assert abs(sheet[8, 8] - level).max() < 20
        assert abs(sheet[26, 62] - level).max() < 20


def test_pictures_are_laid_out_row_by_row():
    sheet = np.array(lay_out([picture(level) for level in (10, 20, 30)], columns=2))

    assert [sheet[5, 5, 0], sheet[5, 25, 0], sheet[25, 5, 0]] == [10, 20, 30]
    assert sheet[25, 25, 0] == sheet[5, 17, 0] == 255


def test_the_key_tells_the_order_of_the_overview(tmp_path):
    sheet, key = write_overview(tmp_path, SHADES, picture=picture(), draw=paint, seed=3)

    [row, seed] = key.read_text().splitlines()
    order = row.removeprefix("row 1: ").split(", ")
    assert (sorted(order), seed) == (sorted(SHADES), "seed 3")
    pixels = read(sheet)
    for number, style in enumerate(order):
        assert abs(pixels[8, 8 + 18 * number] - SHADES[style]).max() < 20


def test_seeds_give_different_orders(tmp_path):
    orders = set()
    for seed in range(8):
        _, key = write_overview(tmp_path, SHADES, picture=picture(), draw=paint, seed=seed)
        orders.add(key.read_text().splitlines()[0])

    assert len(orders) > 1


def test_every_file_that_is_shown_is_attributed(tmp_path):
    text = write_attributions(tmp_path).read_text()

    for origin in (*(still.origin for still in STILLS), *(each.origin for each in EXCERPTS)):
        assert f"| {origin.file} | {origin.source} | {origin.licence} |" in text


def test_what_is_shown_has_a_licence_and_excerpts_name_different_styles():
    shown = [still.origin.file for still in STILLS] + [each.origin.file for each in EXCERPTS]

    assert not set(shown) & set(UNLICENSED)
    assert len(STILLS) == 8
    assert len({each.style for each in EXCERPTS}) == len(EXCERPTS) == 3
    assert {each.style for each in EXCERPTS} <= {style.name for style in STYLES}


def test_a_still_is_the_frame_from_its_second_on(clip):
    still = Still(origin=ORIGIN, shows="a square", at_s=0.15)

    pixels = read_still(clip.parent, still, side_px=64)

    with open_source(clip) as source:
        frames = [frame.pixels for frame in source.frames()]
    assert pixels.shape == (64, 64, 3)
    np.testing.assert_array_equal(pixels, frames[4][:, 16:80])


def test_a_still_after_the_end_is_refused(clip):
    with pytest.raises(ConfigError, match="ends before 9 s"):
        read_still(clip.parent, Still(origin=ORIGIN, shows="", at_s=9), side_px=64)


def test_files_are_found_at_any_depth_or_missed_by_name(clip):
    deep = clip.parent / "video" / "deep.mp4"
    deep.parent.mkdir()
    clip.rename(deep)

    assert find_file(clip.parent, "deep.mp4") == deep
    with pytest.raises(ConfigError, match="has no other.mp4"):
        find_file(clip.parent, "other.mp4")


def test_an_excerpt_has_the_input_on_the_left_and_ends_in_time(clip, engines, tmp_path):
    excerpt = Excerpt(origin=ORIGIN, style="pencil sketch", seconds=0.16)

    write_excerpt(tmp_path / "pencil.mp4", excerpt, data=clip.parent, pipeline=Pipeline(engines))

    with open_source(clip) as source:
        first = next(source.frames()).pixels[:, 16:80].astype(int)
    with open_source(tmp_path / "pencil.mp4") as source:
        drawn = [frame.pixels.astype(int) for frame in source.frames()]
    assert [pixels.shape for pixels in drawn] == [(64, 128, 3)] * 4
    assert abs(drawn[0][:, :64] - first).mean() < 6
    assert abs(drawn[0][:, 64:] - first).mean() > 6


def noisy_frames(count=4):
    random = np.random.default_rng(0)
    base = Fraction(1, 25)
    for index in range(count):
        pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        stamp = Stamp(index=index, pts=index, time_base=base, ingest_ns=0)
        yield Frame(pixels=pixels, stamp=stamp)


INFO = VideoInfo(
    width=64,
    height=64,
    rate=Fraction(25),
    time_base=Fraction(1, 25),
    frame_count=4,
    colour=Colour(matrix="bt709"),
)


def test_a_clip_is_encoded_as_finely_as_its_bytes_allow(tmp_path):
    frames, sizes = list(noisy_frames()), []
    for limit in (10**6, 8_000):
        encode_within(tmp_path / "clip.mp4", frames, info=INFO, limit_bytes=limit)
        sizes.append((tmp_path / "clip.mp4").stat().st_size)

    assert sizes[1] <= 8_000 < sizes[0]


def test_a_clip_that_never_fits_leaves_no_file(tmp_path):
    with pytest.raises(ConfigError, match="does not fit into 100 bytes"):
        encode_within(tmp_path / "clip.mp4", list(noisy_frames()), info=INFO, limit_bytes=100)

    assert list(tmp_path.iterdir()) == []


def test_files_that_are_too_large_together_fail(tmp_path, capsys):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"1")
    large.write_bytes(bytes(6_000_001))

    assert (report([small]), report([small, large])) == (0, 1)
    assert "6000 kB allowed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "has no astronaut.jpg"),
        (["--styles", "comic,mosaik"], "--styles 'mosaik': choose watercolor"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_drawn(tmp_path, capsys, options, complaint):
    code = main([str(tmp_path), "--out", str(tmp_path / "out"), *options])

    assert code == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
