from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamgen.controls import Controls, Prompt, Seed
from streamgen.transitions import Move, between, on_the_way


def weights_of(controls):
    return {prompt.text: pytest.approx(prompt.weight) for prompt in controls.prompts}


def seeds_of(controls):
    return {seed.number: pytest.approx(seed.weight) for seed in controls.seeds}


def test_the_ends_are_exact():
    start = Controls(prompts="a", strength=0.1, seed=1)
    end = Controls(prompts="b", strength=0.7, seed=2, guidance="self")
    assert between(start, end, 0) is start
    assert between(start, end, 1) is end


def test_numbers_are_interpolated():
    start = Controls(strength=0.2, guidance_scale=1, delta=0, image_guidance_scale=1)
    end = Controls(strength=0.6, guidance_scale=5, delta=2, image_guidance_scale=3)
    way = between(start, end, 0.25)
    assert way.strength == pytest.approx(0.3)
    assert way.guidance_scale == pytest.approx(2)
    assert way.delta == pytest.approx(0.5)
    assert way.image_guidance_scale == pytest.approx(1.5)


def test_what_cannot_be_interpolated_is_at_its_end_from_the_start():
    start = Controls(steps=1, guidance="full", negative_prompt="x", similarity_threshold=0.5)
    end = Controls(steps=4, guidance="self", negative_prompt="y", similarity_threshold=0.9)
    assert between(start, end, 1e-6) == end


@pytest.mark.parametrize("is_back", [False, True])
def test_strength_does_not_move_where_one_side_names_its_levels(is_back):
    ends = [Controls(strength=0.2), Controls(strength=0.6, t_index_list=(10, 30))]
    start, end = reversed(ends) if is_back else ends
    way = between(start, end, 0.5)
    assert way.strength == end.strength
    assert way.t_index_list == end.t_index_list


def test_prompts_fade_over():
    start = Controls(prompts=[Prompt(text="a", weight=6), Prompt(text="b", weight=2)])
    end = Controls(prompts=[Prompt(text="b", weight=0.5), Prompt(text="c", weight=0.5)])
    assert weights_of(between(start, end, 0.2)) == {"a": 0.6, "b": 0.3, "c": 0.1}


def test_prompts_that_do_not_change_stay_as_they_are():
    same = [Prompt(text="a", weight=3), Prompt(text="b", weight=1)]
    way = between(Controls(prompts=same, seed=1), Controls(prompts=same, seed=2), 0.5)
    assert way.prompts == tuple(same)


def test_prompts_without_weight_are_dropped():
    start = Controls(prompts=[Prompt(text="a"), Prompt(text="b", weight=0)])
    way = between(start, Controls(prompts="c"), 0.5)
    assert weights_of(way) == {"a": 0.5, "c": 0.5}


def test_retargeting_for_ever_does_not_pile_up_prompts():
    now = Controls(prompts="first")
    for number in range(300):
        now = between(now, Controls(prompts=f"sentence {number}"), 0.2)
    assert len(now.prompts) < 50


def test_noises_fade_over():
    way = between(Controls(seed=3), Controls(seed=8), 0.25)
    assert seeds_of(way) == {3: 0.75, 8: 0.25}
    assert way.seed == 8


def test_noises_of_several_seeds_fade_over():
    start = Controls(seeds=[Seed(number=1, weight=2), Seed(number=2, weight=2)])
    assert seeds_of(between(start, Controls(seed=2), 0.5)) == {1: 0.25, 2: 0.75}


def test_the_same_noise_by_another_name_does_not_fade():
    assert between(Controls(seed=3), Controls(seeds=[3]), 0.5).seeds == (Seed(number=3),)


@settings(max_examples=200, deadline=None)
@given(
    share=st.floats(0, 1),
    numbers=st.lists(st.floats(0, 1), min_size=2, max_size=2),
    weights=st.lists(st.floats(1e-6, 10), min_size=4, max_size=4),
)
def test_every_point_of_a_way_is_within_its_ends(share, numbers, weights):
    first, second, third, fourth = weights
    start = Controls(
        strength=numbers[0],
        guidance_scale=20,
        prompts=[Prompt(text="a", weight=first), Prompt(text="b", weight=second)],
    )
    end = Controls(
        strength=numbers[1],
        guidance_scale=20,
        prompts=[Prompt(text="b", weight=third), Prompt(text="c", weight=fourth)],
    )
    way = between(start, end, share)
    assert min(numbers) <= way.strength <= max(numbers)
    assert way.guidance_scale == 20
    if 0 < share < 1:
        assert sum(prompt.weight for prompt in way.prompts) == pytest.approx(1, abs=1e-3)


def test_two_moves_each_have_their_own_time():
    start = Controls(strength=0, guidance_scale=1)
    end = Controls(strength=1, guidance_scale=11)
    moves = [
        Move(names=frozenset({"strength"}), start=start, from_ns=0, over_ns=100),
        Move(names=frozenset({"guidance_scale"}), start=start, from_ns=50, over_ns=10),
    ]
    way = on_the_way(moves, end, 55)
    assert way.strength == pytest.approx(0.55)
    assert way.guidance_scale == pytest.approx(6)


def test_before_its_time_a_move_is_at_its_start():
    move = Move(names=frozenset({"strength"}), start=Controls(), from_ns=100, over_ns=10)
    assert move.share(50) == 0
    assert move.share(500) == 1
