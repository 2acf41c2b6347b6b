from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamgen.errors import SourceError
from streamgen.sources import Size, open_source

RED = (200, 30, 30)


def save(path: Path, *, size: tuple[int, int] = (64, 48), colour: tuple[int, ...] = RED) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def test_images_come_as_people_count(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        save(tmp_path / f"image{number}.png", colour=(number, 0, 0))
    with open_source(tmp_path) as source:
        assert [int(frame.pixels[0, 0, 0]) for frame in source.frames()] == [1, 9, 10]
        assert source.info.rate == 25 and source.info.frame_count == 3


def test_images_of_any_size_and_format_fit_the_first(tmp_path: Path) -> None:
    save(tmp_path / "1.png")
    save(tmp_path / "2.jpg", size=(33, 99))
    save(tmp_path / "3.webp", size=(200, 20))
    save(tmp_path / "4.bmp", size=(16, 16))
    save(tmp_path / "5.tiff", size=(63, 47))
    with open_source(tmp_path) as source:
        frames = list(source.frames())
    assert {frame.pixels.shape for frame in frames} == {(48, 64, 3)}
    assert all(np.abs(frame.pixels.astype(int) - RED).max() <= 4 for frame in frames)


def test_the_rate_of_a_folder_can_be_told(tmp_path: Path) -> None:
    save(tmp_path / "1.png")
    save(tmp_path / "2.png")
    with open_source(tmp_path, rate=Fraction(10)) as source:
        assert [frame.stamp.seconds for frame in source.frames()] == [0.0, 0.1]


def test_an_image_alone_is_a_video_of_one_frame(tmp_path: Path) -> None:
    with open_source(save(tmp_path / "photo.jpg"), size=Size(32, 32)) as source:
        frames = list(source.frames())
    assert len(frames) == 1
    assert frames[0].pixels.shape == (32, 32, 3)


def test_the_exif_turn_is_honoured(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (64, 48), RED).save(tmp_path / "turned.jpg", exif=exif)
    with open_source(tmp_path) as source:
        assert (source.info.width, source.info.height) == (48, 64)


def test_transparent_parts_are_black(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 48), (200, 200, 200, 0)).save(tmp_path / "clear.png")
    with open_source(tmp_path) as source:
        assert next(source.frames()).pixels.max() == 0


def test_sixteen_bit_gray_keeps_its_brightness(tmp_path: Path) -> None:
    Image.fromarray(np.full((48, 64), 128 * 256, np.uint16)).save(tmp_path / "deep.png")
    with open_source(tmp_path) as source:
        assert next(source.frames()).pixels[0, 0].tolist() == [128, 128, 128]


def test_a_folder_without_images_says_what_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(SourceError, match=r"holds no images; allowed are \.png"):
        open_source(tmp_path)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(save(tmp_path / "1.png").read_bytes()[:60])
    with open_source(tmp_path) as source, pytest.raises(SourceError, match="2.png"):
        list(source.frames())


def test_an_empty_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    with pytest.raises(SourceError, match="1.png' is empty"):
        open_source(tmp_path)


def test_a_large_photograph_is_read_without_a_word(tmp_path: Path) -> None:
    # Of this size on Pillow warns, and a warning fails a test here.
    Image.new("1", (9_500, 9_500)).save(tmp_path / "large.png")
    with open_source(tmp_path / "large.png", size=Size(64, 64)) as source:
        assert next(source.frames()).pixels.max() == 0


@pytest.mark.parametrize("name", ["moving.png", "moving.webp", "moving.tiff"])
def test_an_animation_is_refused_with_its_number_of_frames(tmp_path: Path, name: str) -> None:
    first, second = (Image.new("RGB", (64, 48), (n, 0, 0)) for n in (0, 200))
    first.save(tmp_path / name, save_all=True, append_images=[second])
    with pytest.raises(SourceError, match=r"holds 2 frames.*convert it to \.mp4 or \.gif"):
        open_source(tmp_path / name)


def test_an_image_that_goes_away_is_told_in_a_sentence(tmp_path: Path) -> None:
    save(tmp_path / "1.png")
    last = save(tmp_path / "2.png")
    with open_source(tmp_path) as source:
        last.unlink()
        with pytest.raises(SourceError, match="2.png' cannot be read"):
            list(source.frames())
