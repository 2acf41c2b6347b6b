"""Pairs of pictures on disk: which belong together, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from streamgen.errors import ConfigError
from streamgen.training.lora_pairs import crops, held_back, read_pairs, squares


@pytest.fixture
def folders(tmp_path):
    for name in ("photos", "drawn"):
        (tmp_path / name).mkdir()
    return tmp_path / "photos", tmp_path / "drawn"


def save(folder, name, size=(96, 80), seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(noise).save(folder / name)


def read(folders):
    return read_pairs(*folders, least_px=64)


def test_pairs_have_equal_names_whatever_their_endings(folders):
    photos, drawn = folders
    for name in ("b.png", "a.png", "never drawn.png"):
        save(photos, name)
    save(drawn, "a.webp")
    save(drawn, "b.PNG")
    (drawn / "notes.txt").write_text("cobalt")

    pairs = read(folders)

    assert [pair.name for pair in pairs] == ["a", "b"]
    assert pairs[0].photo.shape == pairs[0].drawn.shape == (3, 80, 96)


def test_a_large_pair_is_shrunk(folders):
    for folder in folders:
        save(folder, "a.png", size=(1000, 768))

    assert read(folders)[0].drawn.shape == (3, 384, 500)


def test_a_drawing_without_a_photo_is_named(folders):
    photos, drawn = folders
    save(photos, "a.png")
    for name in ("a.png", "b.png"):
        save(drawn, name)

    with pytest.raises(ConfigError, match=r"drawn '.*b.png': '.*photos' has no photo of the name"):
        read(folders)


def test_a_pair_of_two_sizes_is_named(folders):
    photos, drawn = folders
    save(photos, "a.png")
    save(drawn, "a.png", size=(80, 80))

    with pytest.raises(ConfigError, match=r"a.png' is 80x80, its photo 96x80: give both one size"):
        read(folders)


def test_a_small_pair_is_named(folders):
    for folder in folders:
        save(folder, "a.png", size=(96, 48))

    with pytest.raises(ConfigError, match=r"a.png' is 96x48: give 64 pixels a side or more"):
        read(folders)


def test_folders_without_pictures_and_none_at_all_are_named(folders, tmp_path):
    with pytest.raises(ConfigError, match=r"photos '.*photos': has no pictures \(.jpg"):
        read(folders)
    save(folders[0], "a.png")
    with pytest.raises(ConfigError, match="drawn '.*drawn': has no pictures"):
        read(folders)
    with pytest.raises(ConfigError, match="drawn '.*none': there is no such folder"):
        read((folders[0], tmp_path / "none"))


def test_two_pictures_of_one_name_are_refused(folders):
    for folder in folders:
        save(folder, "a.png")
    save(folders[1], "a.jpg")

    with pytest.raises(ConfigError, match=r"a.png' and '.*a.jpg': remove one of the two"):
        read(folders)


def test_what_is_no_picture_is_named(folders):
    save(folders[0], "a.png")
    (folders[1] / "a.png").write_bytes(b"PNG?")

    with pytest.raises(ConfigError, match=r"drawn '.*a.png' cannot be read: remove the file"):
        read(folders)


def test_photo_and_drawing_are_cut_at_the_same_place(folders):
    for folder in folders:
        for number in range(3):
            save(folder, f"{number}.png", seed=number)

    photo, drawn = crops(read(folders), 8, size_px=64, generator=torch.Generator().manual_seed(1))

    assert photo.shape == (8, 3, 64, 64)
    assert torch.equal(photo, drawn)
    assert not torch.equal(photo[0], photo[1])
    assert 0 <= float(photo.min()) < 0.2 < 0.8 < float(photo.max()) <= 1


def test_of_many_pairs_some_are_shown_and_not_learned_from(folders):
    for folder in folders:
        for number in range(40):
            save(folder, f"{number:02}.png", size=(64, 64))
    pairs = read(folders)

    learned, shown = held_back(pairs)

    assert [pair.name for pair in shown] == ["00", "10", "20", "30"]
    assert len(learned) == 36 and not set(map(id, learned)) & set(map(id, shown))
    assert squares(shown)[0].shape == (4, 3, 256, 256)


def test_of_few_pairs_all_are_learned_from(folders):
    for folder in folders:
        for number in range(5):
            save(folder, f"{number}.png")
    pairs = read(folders)

    learned, shown = held_back(pairs)

    assert learned == pairs
    assert shown == pairs[:4]
