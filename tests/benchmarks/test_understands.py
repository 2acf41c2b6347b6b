from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.understands import (
    FILE,
    THUMBNAIL_BYTES,
    THUMBNAIL_PX,
    as_thumbnail,
    describe,
    main,
    thumbnail_frame,
    write_thumbnails,
)
from streamgen.config import StreamConfig
from streamgen.control_schema import schema
from streamgen.models.evaluation.painter import Painter
from streamgen.models.registry import PACKAGED, find_model
from streamgen.quality import psnr
from streamgen.training.scenes import pink_noise
from streamgen.training.styles import ACCENTS, STYLES

TINY = PACKAGED / "tiny"
BEYOND = {style.name for style in describe().styles if style.beyond_colour_table}
TABLE_SIDE = 33


def colour_table_psnr(source, target):
    """PSNR of the best exchange of colours, a table of 33³ fitted to this very picture.

    source, target: float [3, H, W] in [0, 1].
    """
    cells = (source * (TABLE_SIDE - 1)).round().long().flatten(1)
    keys = (cells[0] * TABLE_SIDE + cells[1]) * TABLE_SIDE + cells[2]
    counts = torch.bincount(keys, minlength=TABLE_SIDE**3).clamp_min(1)
    flat = target.flatten(1).double()
    table = torch.stack([torch.bincount(keys, row, minlength=TABLE_SIDE**3) for row in flat])
    error = ((table / counts)[:, keys] - flat).square().mean()
    return float(-10 * error.log10())


@pytest.fixture(scope="module")
def noise():
    """A colourful picture with the spectrum of photographs."""
    generator = torch.Generator().manual_seed(0)
    light = pink_noise(1, 256, 1.0, generator)
    hue = pink_noise(3, 256, 1.0, generator).view(1, 3, 256, 256)
    return (0.5 + 0.18 * (light + 0.35 * hue)).clamp(0, 1)


def test_the_file_in_the_package_is_what_the_styles_tell():
    """If this fails: python -m benchmarks.understands."""
    assert (TINY / FILE).read_text(encoding="utf-8") == describe().as_json()


def test_every_style_and_accent_is_there_once_with_all_its_words():
    found = describe()

    words = [*found.styles, *found.palettes, *found.lights]
    told = {(word.name, *word.synonyms) for word in words}
    assert told == {style.words for style in (*STYLES, *ACCENTS)}
    assert len(words) == len(STYLES) + len(ACCENTS)
    assert len({style.thumbnail for style in found.styles}) == len(STYLES)


def test_the_lights_are_those_that_are_no_palettes():
    assert [word.name for word in describe().lights] == ["at night", "bright"]


def test_every_example_names_a_style_a_palette_or_a_light():
    words = [word for style in (*STYLES, *ACCENTS) for word in style.words]

    assert [text for text in describe().examples if not any(w in text for w in words)] == []


def test_useful_ranges_and_sizes_are_within_what_is_allowed():
    found, row = describe(), find_model("tiny")

    specs = {spec.name: spec for spec in schema()}
    for name, useful in found.useful.items():
        assert specs[name].minimum <= useful.low < useful.high <= specs[name].maximum
    for side in (int(found.sizes.low), int(found.sizes.high)):
        row.check_size(side, side)


@pytest.mark.parametrize("style", [each for each in STYLES if each.name in BEYOND])
def test_a_style_said_to_be_beyond_a_colour_table_is(style, noise):
    assert colour_table_psnr(noise[0], style.draw(noise)[0]) < 24


def test_at_least_eight_styles_are_beyond_a_colour_table():
    assert len(BEYOND) >= 8


def test_the_judge_of_colour_tables_knows_an_exchange_of_colours(noise):
    assert colour_table_psnr(noise[0], noise[0].flip(0).square()) > 32


def test_thumbnails_of_every_style_are_small_and_old_ones_go(tmp_path):
    (tmp_path / "thumbnails").mkdir()
    (tmp_path / "thumbnails" / "mosaic.webp").write_bytes(b"old")

    made = write_thumbnails(tmp_path, lambda pixels, prompt: 255 - pixels)

    assert set((tmp_path / "thumbnails").iterdir()) == set(made)
    assert len(made) == len(STYLES) + 1
    for path in made:
        assert path.stat().st_size <= THUMBNAIL_BYTES
        with Image.open(path) as image:
            assert (image.format, image.size) == ("WEBP", (THUMBNAIL_PX, THUMBNAIL_PX))


def test_even_a_noisy_thumbnail_fits_its_bytes():
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)

    assert len(as_thumbnail(noise)) <= THUMBNAIL_BYTES


def test_the_words_alone_are_written_into_a_folder(tmp_path, capsys):
    assert main(["--words-only", "--out", str(tmp_path)]) == 0

    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert FILE in capsys.readouterr().out


def test_a_folder_that_is_not_there_is_refused(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "no")]) == 2

    assert "there is no such folder" in capsys.readouterr().err


def test_the_thumbnails_in_the_package_are_what_the_model_draws():
    """If this fails: python -m benchmarks.understands."""
    vocabulary, frame = describe(), thumbnail_frame()
    names = {vocabulary.original, *(style.thumbnail for style in vocabulary.styles)}
    found = {f"thumbnails/{path.name}" for path in (TINY / "thumbnails").iterdir()}
    config = StreamConfig(
        model="tiny", width=256, height=256, backend="torch", precision="fp32", device="cpu"
    )
    painter = Painter(config)

    assert found == names
    for style in vocabulary.styles:
        data = (TINY / style.thumbnail).read_bytes()
        assert len(data) <= THUMBNAIL_BYTES
        fresh = as_thumbnail(painter.draw(frame, style.name))
        assert psnr(*(np.array(Image.open(io.BytesIO(each))) for each in (data, fresh))) > 30
