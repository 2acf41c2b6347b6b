"""What motion memory takes at the shape of SD 1.5, told and on tensors without storage."""

import pytest
import torch

from streamgen.errors import ConfigError
from streamgen.motion.budget import MotionMemory, fitting, row_bytes, slabs_of
from streamgen.motion.layouts import layout_of
from streamgen.motion.module import MotionModule
from streamgen.motion.ring import Ring, RingInputs, write

LATENT = (64, 64)
RING = Ring(sinks=8, rolling=7)  # a window of 16 with the frame that is drawn
MB = 10**6


def places(*, middle=False):
    """The modules of AnimateDiff v1-5-3; with a middle one, those of v1-5-2 and AnimateLCM."""
    return layout_of({"use_motion_mid_block": middle}).places


def everywhere(kind, ring=RING):
    return MotionMemory(rings=(ring,) * 4, kind=kind)


def live2diff_bytes():
    """Keys and values of 16 frames in float16, as its cache has them for one denoising step."""
    tokens = [(64 >> each.level) ** 2 for each in places()]
    widths = [each.channels for each in places()]
    return sum(2 * 2 * 16 * 2 * n * c for n, c in zip(tokens, widths, strict=True))


@pytest.mark.parametrize("middle", [False, True])
def test_at_sd15_512_a_row_in_int8_takes_less_than_a_third_of_live2diffs(middle):
    assert round(live2diff_bytes() / MB) == 1520
    taken = row_bytes(places(middle=middle), everywhere("int8"), latent=LATENT)
    assert round(taken / MB) == (360 if middle else 358)
    assert taken < live2diff_bytes() / 3


def test_in_float16_the_whole_window_takes_less_than_half_of_it():
    taken = row_bytes(places(), everywhere("float16"), latent=LATENT)
    assert round(taken / MB) == 713


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_bytes_are_those_of_the_slabs(kind):
    half = Ring(sinks=4, rolling=3)
    memory = MotionMemory(rings=(None, half, RING, RING), kind=kind)
    found = [
        slabs_of(each, memory, latent=(63, 40), rows=3, device=torch.device("meta"))
        for each in places(middle=True)
    ]
    assert [each is None for each in found] == [p.level == 0 for p in places(middle=True)]
    kept = [slab for each in found if each is not None for part in each for slab in part]
    taken = sum(each.numel() * each.element_size() for each in kept)
    assert taken == 3 * row_bytes(places(middle=True), memory, latent=(63, 40))


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_a_step_makes_what_the_budget_counts_without_a_look_at_any_value(kind):
    # Tensors on meta have no values: whoever asked for one would get an error.
    made, device = 0, torch.device("meta")
    for place in places(middle=True):
        slabs = slabs_of(place, everywhere(kind), latent=LATENT, rows=2, device=device)
        assert slabs is not None
        with device:
            module = MotionModule(place.channels, layers=place.depth).half()
            x = torch.empty(1, place.channels, *(64 >> place.level,) * 2, dtype=torch.float16)
            view = RING.view(torch.zeros(2, dtype=torch.long))
            slot, strength = torch.zeros(1, dtype=torch.long), torch.zeros(1)
        context = RingInputs(slot, strength, view.mask, view.positions, *slabs)
        out, new = module.step(x, context)
        write((*slabs.slabs, *slabs.scales), new, slot=slot, at=view.at[slot])
        assert out.shape == x.shape
        for slab, each in zip((*slabs.slabs, *slabs.scales), new, strict=True):
            assert (each.shape[1:], each.dtype) == (slab.shape[2:], slab.dtype)
            made += RING.slots * each.numel() * each.element_size()
    assert made == row_bytes(places(middle=True), everywhere(kind), latent=LATENT)


@pytest.mark.parametrize(
    ("budget", "kind", "slots"),
    [
        (800 * MB, "float16", (15, 15, 15, 15)),
        (1520 * MB // 3, "int8", (15, 15, 15, 15)),
        (300 * MB, "int8", (7, 15, 15, 15)),
        (200 * MB, "int8", (None, 15, 15, 15)),
        (6 * MB, "int8", (None, None, None, 7)),
    ],
)
def test_a_budget_takes_first_of_the_type_then_of_the_finest_level(budget, kind, slots):
    memory = fitting(places(), RING, latent=LATENT, budget=budget)
    assert memory.kind == kind
    assert tuple(None if each is None else each.slots for each in memory.rings) == slots
    assert row_bytes(places(), memory, latent=LATENT) <= budget


def test_of_other_types_the_first_is_taken_that_fits():
    told = {"latent": LATENT, "kinds": ("float32", "int8")}
    assert fitting(places(), RING, budget=1500 * MB, **told).kind == "float32"
    assert fitting(places(), RING, budget=800 * MB, **told).kind == "int8"
    assert fitting(places(), RING, budget=300 * MB, **told).rings[0].slots == 7


def test_a_budget_that_nothing_fits_is_refused_with_the_least():
    with pytest.raises(ConfigError, match="of 1000 bytes a row: give at least 5"):
        fitting(places(), RING, latent=LATENT, budget=1000)
