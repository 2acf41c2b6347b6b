import json

import numpy as np
import pytest
from PIL import Image

from streamgen.errors import ConfigError
from streamgen.models.evaluation.photos import read_pictures, square
from streamgen.models.evaluation.report import LIMITS, Limit
from streamgen.models.evaluation.scores import (
    SENTENCES,
    References,
    blockiness,
    colour_shift,
    plain_psnr,
    reference_of,
    score_style,
    sentence_score,
    strength_curve,
)
from streamgen.training.captions import Captions
from streamgen.training.styles import STYLES


@pytest.fixture(scope="module")
def references():
    rng = np.random.default_rng(4)
    coarse = [rng.integers(0, 256, (6, 6, 3), dtype=np.uint8) for _ in range(2)]
    pictures = [np.array(Image.fromarray(one).resize((96, 96), Image.BICUBIC)) for one in coarse]
    return References(pictures)


def by_the_filters(picture, prompt, **controls):
    """A model that is perfect: it draws the reference of the style it finds in the sentence."""
    words = {word: style.name for style in STYLES for word in style.words}
    found = [word for word in words if word in prompt.lower()]
    if not found or controls.get("strength") == 0:
        return picture
    full = reference_of(words[max(found, key=len)], picture)
    share = controls.get("strength", 1.0)
    return np.round(picture + (full.astype(float) - picture) * share).astype(np.uint8)


def test_the_filters_themselves_score_full(references):
    score = score_style("watercolor", references, by_the_filters)
    assert (score.hits, score.edge_ratio, score.sharpness_ratio) == (1.0, 1.0, 1.0)
    assert sentence_score(references, by_the_filters)[0] > 0.9
    assert plain_psnr(references.pictures, by_the_filters, ("",)) == float("inf")
    curve = strength_curve(references, by_the_filters)
    assert all(np.diff(curve) < 0)


def test_a_model_that_does_nothing_hits_no_style_and_misses_every_sentence(references):
    def idle(picture, prompt, **controls):
        return picture

    hits = [score_style(style.name, references, idle).hits for style in STYLES]
    assert np.mean(hits) < 0.2
    score, missed = sentence_score(references, idle)
    assert score < 0.2 and len(missed) > 40


def test_the_sentences_are_fifty_name_every_style_and_are_none_that_training_says():
    rows = json.loads(SENTENCES.read_text())
    assert len({row["sentence"] for row in rows}) == 50
    assert {row["style"] for row in rows} == {style.name for style in STYLES}
    import torch

    captions = Captions(torch.Generator().manual_seed(0))
    said = {captions.describe(captions.draw_wish()) for _ in range(3000)}
    assert not said & {row["sentence"] for row in rows}


def test_blocks_and_colour_shifts_are_found():
    picture = np.random.default_rng(0).integers(90, 160, (64, 64, 3), dtype=np.uint8)
    blocky = picture.copy()
    blocky[(np.arange(64) // 8) % 2 == 1] += 30
    assert blockiness(picture, picture) == 1
    assert blockiness(blocky, picture) > 1.1
    red = picture.copy()
    red[..., 0] += 7
    assert colour_shift(red, picture) == pytest.approx(7)


def test_without_a_folder_the_packaged_clip_is_scored_on():
    pictures = read_pictures(None)
    assert len(pictures) == 4
    assert square(pictures[0], 64).shape == (64, 64, 3)


def test_test_photos_stand_for_their_folder_else_all_photos(tmp_path):
    for name in ("a.jpg", "b.png"):
        Image.new("RGB", (40, 30)).save(tmp_path / name)
    assert len(read_pictures(tmp_path)) == 2
    Image.new("RGB", (40, 30)).save(tmp_path / "coffee.jpg")
    assert len(read_pictures(tmp_path)) == 1


def test_bad_photos_are_named(tmp_path):
    with pytest.raises(ConfigError, match="there is no such folder"):
        read_pictures(tmp_path / "none")
    with pytest.raises(ConfigError, match="has no picture"):
        read_pictures(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"broken\.jpg"):
        read_pictures(tmp_path)


def test_limits_say_what_they_ask():
    assert Limit(at_least=2).holds(2) and not Limit(at_least=2).holds(1.9)
    assert Limit(at_most=2).holds(2) and not Limit(at_most=2).holds(2.1)
    assert not Limit(at_least=0).holds(float("nan"))
    assert str(LIMITS["steps_gain"]) == "<= 0.9"
