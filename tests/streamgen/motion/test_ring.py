"""The ring's arithmetic against a list that is told the same story."""

import pytest
import torch

from streamgen.errors import ConfigError
from streamgen.motion.ring import Ring, write

RINGS = [Ring(sinks=s, rolling=r) for s, r in ((0, 1), (0, 4), (1, 1), (3, 5), (8, 7))]


@pytest.mark.parametrize("ring", RINGS, ids=str)
def test_slots_hold_the_first_and_the_newest_frames_at_their_ranks(ring):
    held = [None] * ring.slots
    for frame in range(50):
        view = ring.view(torch.tensor([frame]))
        filled = [number for number in held if number is not None]
        assert view.mask[0].tolist() == [number is not None for number in held]
        assert [*sorted(filled), frame] == ring.seen_by(frame)
        for slot, number in enumerate(held):
            if number is not None:
                assert view.positions[0, slot] == sorted(filled).index(number)
        assert view.positions[0, -1] == len(filled)
        held[view.at[0]] = frame


@pytest.mark.parametrize("ring", RINGS, ids=str)
def test_a_clip_sees_what_the_ring_would_hold(ring):
    sight = ring.sight(40)
    for frame in range(40):
        seen = ring.seen_by(frame)
        assert sight.mask[frame].nonzero()[:, 0].tolist() == seen
        assert sight.positions[frame][sight.mask[frame]].tolist() == list(range(len(seen)))


def test_rows_have_rings_of_their_own_age():
    ring = Ring(sinks=1, rolling=3)
    together = ring.view(torch.tensor([0, 2, 9]))
    for row, seen in enumerate((0, 2, 9)):
        alone = ring.view(torch.tensor([seen]))
        for ours, theirs in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[row], theirs[0])


def test_positions_stay_below_the_number_of_slots_for_ever():
    ring = Ring(sinks=2, rolling=4)
    view = ring.view(torch.tensor([10**12 + 3]))
    assert sorted(view.positions[0].tolist()) == list(range(7))


def test_new_states_go_to_the_slot_of_their_row_alone():
    slab, scale = torch.zeros(3, 4, 2, 5), torch.zeros(3, 4, 2)
    new = (torch.ones(2, 2, 5), torch.full((2, 2), 2.0))
    write((slab, scale), new, slot=torch.tensor([2, 0]), at=torch.tensor([1, 3]))
    assert slab[2, 1].eq(1).all() and slab[0, 3].eq(1).all() and slab.sum() == 20
    assert scale[2, 1].eq(2).all() and scale[0, 3].eq(2).all() and scale.sum() == 8


def test_a_ring_that_does_not_fit_is_refused_with_its_numbers():
    with pytest.raises(ConfigError, match="-1 sinks and 3 rolling"):
        Ring(sinks=-1, rolling=3)
    with pytest.raises(ConfigError, match="2 sinks and 0 rolling"):
        Ring(sinks=2, rolling=0)
    Ring(sinks=8, rolling=15).fit(24)
    with pytest.raises(ConfigError, match="24 slots.* at most 23"):
        Ring(sinks=8, rolling=16).fit(24)
