"""The caches and the anchor alone, on motion that is given."""

import numpy as np
import pytest
import torch

from streamgen.control_schema import controls_from
from streamgen.temporal.anchor import ColourAnchor
from streamgen.temporal.latent_cache import LatentCache
from streamgen.temporal.moment import Moment
from streamgen.temporal.motion import Motion
from streamgen.temporal.picture_cache import PictureCache

KEEP = {"temporal_strength": 0.5}


def motion(*, dx=0.0, change=0.0, is_cut=False, h=4):
    """Cells of 8 pixels, of which the small picture has all."""
    flow, fine = torch.zeros(2, h, h), torch.zeros(8 * h, 8 * h, 2)
    flow[0], fine[..., 0] = dx, 8 * dx
    changed = torch.full((h, h), change)
    return Motion(flow=flow, fine=fine, change=changed, change_in_place=changed, is_cut=is_cut)


def moment(number, asked, **moved):
    return Moment(number=number, controls=controls_from(asked), motion=motion(**moved))


def level_of(cache, value, at, **further):
    asked = {"position": 0, "is_last": False, **further}
    return float(cache.blended(torch.full((3, 4, 4), value), at, **asked).mean())


def test_a_level_keeps_its_own_last_latent_where_nothing_changed():
    cache = LatentCache()
    assert level_of(cache, 1.0, moment(1, KEEP)) == 1.0
    assert level_of(cache, 9.0, moment(1, KEEP), position=1) == 9.0

    assert level_of(cache, 0.0, moment(2, KEEP)) == 0.5
    assert level_of(cache, 0.0, moment(3, KEEP, change=1.0)) == 0.0


def test_what_moves_and_the_last_level_are_left_to_the_picture_unless_it_is_to_keep_still():
    for asked, kept in ((KEEP, 0.0), ({**KEEP, "temporal_motion": "still"}, 0.5)):
        cache, last = LatentCache(), LatentCache()
        level_of(cache, 1.0, moment(1, asked))
        level_of(last, 1.0, moment(1, asked), is_last=True)

        assert level_of(cache, 0.0, moment(2, asked, dx=1.0)) == kept
        assert level_of(last, 0.0, moment(2, asked), is_last=True) == kept


@pytest.mark.parametrize(
    "after",
    [
        moment(2, KEEP, is_cut=True),
        moment(3, KEEP),
        moment(2, {**KEEP, "prompts": "ink"}),
        Moment(number=2, controls=controls_from(KEEP), motion=None),
    ],
    ids=["cut", "not the next row", "another prompt", "nothing known"],
)
def test_nothing_is_kept_of_another_picture(after):
    cache, pictures = LatentCache(), PictureCache()
    level_of(cache, 1.0, moment(1, KEEP))
    pictures.blended(np.full((32, 32, 3), 200, np.uint8), moment(1, KEEP))

    assert level_of(cache, 0.0, after) == 0.0
    assert not pictures.blended(np.zeros((32, 32, 3), np.uint8), after).any()


def test_latents_of_another_size_are_not_kept():
    cache = LatentCache()
    level_of(cache, 1.0, moment(1, KEEP))
    other = cache.blended(torch.zeros(3, 5, 5), moment(2, KEEP, h=5), position=0, is_last=False)

    assert not other.any()


def test_a_picture_moves_along_and_stays_sharp():
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
    cache = PictureCache()
    cache.blended(wide[:, :32], moment(1, KEEP))

    # The camera went 8 pixels to the right: each cell was one cell further on.
    shown = cache.blended(wide[:, 8:], moment(2, KEEP, dx=1.0))

    np.testing.assert_array_equal(shown[:, :24], wide[:, 8:32])


def test_a_whole_strength_still_lets_slow_change_through():
    cache, asked = PictureCache(), {"temporal_strength": 1.0}
    cache.blended(np.zeros((32, 32, 3), np.uint8), moment(0, asked))
    for number in range(1, 120):
        shown = cache.blended(np.full((32, 32, 3), 100, np.uint8), moment(number, asked))

    assert shown.min() >= 99


def test_the_anchor_holds_the_colours_of_a_scene_and_lets_go_at_a_cut():
    anchor, asked = ColourAnchor(), {"colour_anchor": 1.0}
    plain = torch.linspace(-1, 1, 48).reshape(3, 4, 4)
    anchor.held(plain, moment(1, asked))

    tinted = anchor.held(plain * 1.5 + 0.3, moment(2, asked))
    after = anchor.held(plain * 1.5 + 0.3, moment(3, asked, is_cut=True))

    assert float((tinted - plain).abs().max()) < 0.03
    torch.testing.assert_close(after, plain * 1.5 + 0.3)


def test_ten_thousand_pictures_neither_drift_nor_fill_the_memory():
    generator = torch.Generator().manual_seed(0)
    asked = {"temporal_strength": 0.9, "colour_anchor": 0.5, "temporal_motion": "still"}
    controls = controls_from(asked)
    seen, anchor, cache = motion(change=0.1), ColourAnchor(), LatentCache()
    plain = torch.linspace(-1, 1, 48).reshape(3, 4, 4)
    furthest = 0.0
    for number in range(10_000):
        at = Moment(number=number, controls=controls, motion=seen)
        noisy = plain + 0.1 * torch.randn(plain.shape, generator=generator)
        clean = cache.blended(anchor.held(noisy, at), at, position=0, is_last=True)
        furthest = max(furthest, float((clean.mean((1, 2)) - plain.mean((1, 2))).abs().max()))

    # The mean of 16 values with a noise of 0.1 is off by 0.025; blending makes that less, not more.
    assert furthest < 0.1
    assert len(cache.levels) == 1 and cache.levels[0].moment.motion is None
    assert anchor.reference is not None and anchor.reference.moment.motion is None
