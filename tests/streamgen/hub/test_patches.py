from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from streamgen.controls import Controls
from streamgen.errors import ConfigError

SECOND = 1_000_000_000


def texts(controls):
    return {prompt.text: pytest.approx(prompt.weight) for prompt in controls.prompts}


# Patches


def test_a_hub_begins_with_the_revision_it_was_opened_with(hub_of):
    hub = hub_of(strength=0.4)
    revision = hub.revision(0)
    assert revision.number == 0
    assert revision.controls.strength == 0.4
    assert hub.revision(1) is revision


def test_a_patch_changes_what_it_names_and_nothing_else(hub_of):
    hub = hub_of(strength=0.4, seed=7)
    patched = hub.patch({"strength": 0.6})
    revision = hub.revision(0)
    assert not patched.is_stale
    assert patched.revision == revision.number == 1
    assert patched.controls == revision.controls == Controls(prompts="first", strength=0.6, seed=7)
    assert len(revision.levels) == 1


def test_patches_add_up_before_they_are_ready(hub_of, executor):
    hub = hub_of(executor)
    hub.patch({"strength": 0.6})
    hub.patch({"seed": 3})
    executor.run_all()
    controls = hub.revision(0).controls
    assert (controls.strength, controls.seed) == (0.6, 3)


def test_none_puts_a_control_back_to_what_the_stream_was_opened_with(hub_of):
    hub = hub_of(strength=0.4)
    hub.patch({"strength": 0.6, "seed": 3})
    controls = hub.patch({"strength": None}).controls
    assert (controls.strength, controls.seed) == (0.4, 3)


def test_strength_rules_over_levels_by_number_and_gives_way_to_them(hub_of):
    hub = hub_of(t_index_list=(10, 20))
    assert hub.patch({"strength": 0.5}).controls.indices == (25, 37)
    assert hub.patch({"t_index_list": [30]}).controls.indices == (30,)
    assert hub.patch({"t_index_list": None}).controls.indices == (10, 20)
    assert hub.patch({"strength": 0.5, "t_index_list": None}).controls.indices == (25, 37)


def test_levels_by_number_taken_back_leave_the_strength(hub_of):
    hub = hub_of()
    hub.patch({"strength": 0.5})
    hub.patch({"t_index_list": [30]})
    assert hub.patch({"t_index_list": None}).controls.indices == (25,)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"strength": 2}, "strength 2: give a number from 0 to 1"),
        ({"strenth": 0.5}, "control 'strenth': choose prompts"),
        ({"strenth": None}, "control 'strenth': choose prompts"),
        ({"strength": 1}, "t_index 0: this model predicts noise"),
        ({"strength": 0.5, "t_index_list": [3]}, "t_index_list and strength: give one"),
    ],
)
def test_a_patch_that_is_refused_leaves_everything_as_it_was(hub_of, changes, sentence):
    hub = hub_of(strength=0.4)
    with pytest.raises(ConfigError, match=sentence):
        hub.patch({"seed": 3, **changes}, hand="page", sequence=1)
    assert hub.target() == Controls(prompts="first", strength=0.4)
    assert hub.revision(0).number == 0
    assert hub.patch({"seed": 3}, hand="page", sequence=1).revision == 1


@pytest.mark.parametrize("over_s", [-1, 60.1, float("inf"), float("nan")])
def test_a_transition_has_at_most_a_minute(hub_of, over_s):
    hub = hub_of()
    with pytest.raises(ConfigError, match=f"over_s {over_s}: give 0 to 60 seconds"):
        hub.patch({"seed": 3}, over_s=over_s)
    assert hub.target().seed == 0


@pytest.mark.parametrize("sequence", [4, 5])
def test_an_older_message_of_the_same_hand_is_ignored(hub_of, sequence):
    hub = hub_of()
    hub.patch({"seed": 5}, hand="page", sequence=5)
    patched = hub.patch({"seed": 4}, hand="page", sequence=sequence)
    assert patched.is_stale
    assert patched.revision == 1
    assert patched.controls.seed == hub.revision(0).controls.seed == 5


def test_hands_number_their_messages_each_on_its_own(hub_of):
    hub = hub_of()
    hub.patch({"seed": 5}, hand="page", sequence=5)
    assert not hub.patch({"strength": 0.3}, hand="osc", sequence=1).is_stale
    assert not hub.patch({"steps": 2}).is_stale
    controls = hub.revision(0).controls
    assert (controls.seed, controls.strength, controls.steps) == (5, 0.3, 2)


def test_a_closed_hub_takes_no_patch_and_keeps_drawing(hub_of, executor):
    hub = hub_of(executor)
    hub.patch({"seed": 5})
    hub.close()
    executor.run_all()
    assert hub.revision(0).controls.seed == 0
    with pytest.raises(ConfigError, match="this stream is closed"):
        hub.patch({"seed": 6})


def test_patches_from_many_threads_all_count(hub_of):
    hub = hub_of()
    names = ["seed", "max_skip_frame", "similarity_threshold", "strength"]
    values = {name: [k / 100 for k in range(1, 26)] for name in names}
    values["seed"] = values["max_skip_frame"] = list(range(1, 26))

    def turn(name):
        steps = enumerate(values[name])
        return [hub.patch({name: value}, hand=name, sequence=k).revision for k, value in steps]

    with ThreadPoolExecutor(4) as pool:
        numbers = sorted(sum(pool.map(turn, names), []))
    assert numbers == list(range(1, 101))
    revision = hub.revision(0)
    assert revision.number == 100
    assert [getattr(revision.controls, name) for name in names] == [25, 25, 0.25, 0.25]


def test_patches_from_many_threads_come_into_force_through_an_executor(hub_of):
    with ThreadPoolExecutor(1) as executor, ThreadPoolExecutor(2) as hands:
        hub = hub_of(executor)

        def turn(name):
            for k in range(1, 26):
                hub.patch({name: k}, hand=name, sequence=k)

        turns = [hands.submit(turn, name) for name in ("seed", "max_skip_frame")]
        numbers = [hub.revision(0).number]
        while not all(turn.done() for turn in turns):
            numbers.append(hub.revision(len(numbers)).number)
    revision = hub.revision(len(numbers))
    assert numbers == sorted(numbers)
    assert revision.number == 50
    assert (revision.controls.seed, revision.controls.max_skip_frame) == (25, 25)


# Readiness
