"""What a camera sees of a picture."""

import numpy as np
import pytest
from PIL import Image

from streamgen.animation.camera import MOVES, STILL, Camera, read_ground, seen_size
from streamgen.errors import SourceError
from streamgen.sources import Size

FRAMES = 9
WIDTH, HEIGHT = 96, 64


def slope(axis):
    """A ground that gets brighter to the right or down."""
    ground = np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.uint8)
    length = ground.shape[1 - axis]
    ground[:] = np.expand_dims(np.linspace(0, 250, length), (axis, 2)).astype(np.uint8)
    return ground


def brightness(ground, name):
    camera = Camera(ground, MOVES[name], FRAMES)
    return [float(camera.seen(index).mean()) for index in range(FRAMES)]


def is_rising(values):
    return all(a < b for a, b in zip(values, values[1:], strict=False))


@pytest.mark.parametrize(
    ("name", "axis", "rises"),
    [("pan-right", 0, True), ("pan-left", 0, False), ("tilt-down", 1, True), ("tilt-up", 1, False)],
)
def test_a_camera_looks_where_it_goes(name, axis, rises):
    seen = brightness(slope(axis), name)

    assert is_rising(seen if rises else seen[::-1])


def disc():
    y, x = np.mgrid[: 2 * HEIGHT, : 2 * WIDTH]
    inside = np.hypot(y - HEIGHT + 0.5, x - WIDTH + 0.5) < 30
    return np.repeat(inside[..., None] * np.uint8(255), 3, axis=2)


def test_what_is_zoomed_in_on_grows_and_shrinks_on_the_way_out():
    assert is_rising(brightness(disc(), "zoom-in"))
    assert brightness(disc(), "zoom-out") == brightness(disc(), "zoom-in")[::-1]


def test_a_roll_turns_about_the_middle():
    camera = Camera(slope(0), MOVES["roll"], FRAMES)

    first, last = camera.seen(0).astype(float), camera.seen(FRAMES - 1).astype(float)

    assert np.allclose(first, last[::-1], atol=2)
    assert abs(first[0].mean() - first[-1].mean()) > 2
    assert np.allclose(camera.seen(FRAMES // 2)[0], camera.seen(FRAMES // 2)[-1], atol=2)


@pytest.mark.parametrize("name", sorted(set(MOVES) - {STILL}))
@pytest.mark.parametrize("frames", [2, 32, 400])
def test_a_camera_never_sees_beyond_the_picture(name, frames):
    ground = np.full((2 * HEIGHT, 2 * WIDTH, 3), 255, np.uint8)
    # What lies outside is a mirror of the edge: this edge is seen as itself and, outside, twice.
    ground[0] = ground[-1] = ground[:, 0] = ground[:, -1] = 0
    camera = Camera(ground, MOVES[name], frames)

    for index in (0, frames // 2, frames - 1):
        assert camera.seen(index)[2:-2, 2:-2].min() == 255


def test_a_still_camera_sees_the_whole_picture_in_every_frame():
    ground = np.random.default_rng(0).integers(0, 256, (2 * HEIGHT, 2 * WIDTH, 3), np.uint8)
    camera = Camera(ground, MOVES[STILL], FRAMES)

    small = ground.reshape(HEIGHT, 2, WIDTH, 2, 3).mean(axis=(1, 3))
    assert np.allclose(camera.seen(0), small, atol=1)
    assert np.array_equal(camera.seen(0), camera.seen(FRAMES - 1))


def test_a_picture_is_cropped_to_the_size_that_is_asked_for(tmp_path):
    Image.fromarray(slope(0)).save(tmp_path / "slope.png")

    ground = read_ground(tmp_path / "slope.png", Size(40, 40))

    assert seen_size(ground) == Size(40, 40)
    assert read_ground(tmp_path / "slope.png", lambda upright: upright).shape == (256, 384, 3)


def test_a_picture_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"no\.png': there is no such file"):
        read_ground(tmp_path / "no.png", Size(64, 64))
