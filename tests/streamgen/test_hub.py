from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial

import pytest
import torch

from streamgen.controls import Controls
from streamgen.errors import ConfigError, ModelError
from streamgen.hub import ControlHub
from streamgen.prompts import PromptBook
from streamgen.revise import Abilities, Reviser
from streamgen.schedule import NoiseSchedule

SECOND = 1_000_000_000


class ManualExecutor(Executor):
    """Keeps what is submitted until it is told to run it."""

    def __init__(self):
        self.waiting = []

    def submit(self, work, /, *args, **kwargs):
        future = Future()
        self.waiting.append((future, partial(work, *args, **kwargs)))
        return future

    def run_next(self):
        future, work = self.waiting.pop(0)
        future.set_running_or_notify_cancel()
        try:
            future.set_result(work())
        except (ConfigError, ModelError) as error:
            future.set_exception(error)

    def run_all(self):
        while self.waiting:
            self.run_next()


class Reading:
    """Stands for the text network: notes what it reads; `meanwhile` happens as it does."""

    def __init__(self):
        self.read = []
        self.meanwhile = {}

    def __call__(self, sentence):
        self.read.append(sentence)
        self.meanwhile.pop(sentence, lambda: None)()
        if sentence == "unreadable":
            raise ModelError("the text network is out of memory: free some")
        return torch.zeros(2, 4)


@pytest.fixture
def reading():
    return Reading()


@pytest.fixture
def executor():
    return ManualExecutor()


@pytest.fixture
def hub_of(reading):
    """Open a hub; of these models, one that predicts noise refuses strength 1."""

    def open_hub(executor=None, *, prediction="epsilon", **controls):
        schedule = NoiseSchedule(
            alphas_cumprod=tuple(1 - k / 999 for k in range(1000)),
            prediction=prediction,
            has_boundary=True,
        )
        reviser = Reviser(
            schedule=schedule,
            prompts=PromptBook(reading),
            abilities=Abilities(reads_picture=False, works_blind=False),
        )
        first = reviser.revise(Controls(**{"prompts": "first", **controls}))
        return ControlHub(first, revise=reviser.revise, check=reviser.check, executor=executor)

    return open_hub


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
    assert hub.patch({"strength": 0.5}).controls.indices == (25,)
    assert hub.patch({"t_index_list": [30]}).controls.indices == (30,)
    assert hub.patch({"t_index_list": None}).controls.indices == (10, 20)
    assert hub.patch({"strength": 0.5, "t_index_list": None}).controls.indices == (25,)


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


def test_the_old_revision_stays_in_force_until_the_new_one_is_ready(hub_of, executor, reading):
    hub = hub_of(executor)
    old = hub.revision(0)
    assert texts(hub.patch({"prompts": "second"}).controls) == {"second": 1}
    assert hub.revision(1) is old
    assert reading.read == ["first"]
    executor.run_next()
    assert hub.revision(2).number == 1
    assert reading.read == ["first", "second"]


def test_a_revision_that_is_ready_after_a_newer_one_is_discarded(hub_of, executor, reading):
    hub = hub_of(executor)

    def overtake():
        hub.patch({"prompts": "quick"})
        executor.run_next()
        assert texts(hub.revision(0).controls) == {"quick": 1}

    reading.meanwhile["slow"] = overtake
    hub.patch({"prompts": "slow"})
    executor.run_next()
    revision = hub.revision(1)
    assert revision.number == 2
    assert texts(revision.controls) == texts(hub.target()) == {"quick": 1}


def test_an_older_revision_comes_into_force_while_a_newer_one_waits(hub_of, executor, reading):
    hub = hub_of(executor)
    reading.meanwhile["slow"] = lambda: hub.patch({"prompts": "newer"})
    hub.patch({"prompts": "slow"})
    executor.run_next()
    assert texts(hub.revision(0).controls) == {"slow": 1}
    executor.run_next()
    assert texts(hub.revision(1).controls) == {"newer": 1}


def test_what_is_superseded_before_its_turn_is_never_read(hub_of, executor, reading):
    hub = hub_of(executor)
    for sentence in ("c", "ca", "cat"):
        hub.patch({"prompts": sentence})
    executor.run_all()
    assert hub.revision(0).number == 3
    assert reading.read == ["first", "cat"]


def test_a_preparation_that_fails_leaves_the_old_revision_in_force(hub_of, executor, caplog):
    hub = hub_of(executor)
    old = hub.revision(0)
    hub.patch({"prompts": "unreadable"})
    assert hub.failure() is None
    executor.run_next()
    assert hub.failure() == "the text network is out of memory: free some"
    assert "controls 1 failed, 0 stay: the text network" in caplog.text
    assert hub.revision(1) is old
    assert hub.target() == old.controls
    hub.patch({"seed": 3})
    executor.run_next()
    revision = hub.revision(2)
    assert hub.failure() is None
    assert (revision.number, revision.controls.seed) == (2, 3)
    assert texts(revision.controls) == {"first": 1}


def test_without_an_executor_a_preparation_that_fails_is_the_callers(hub_of):
    hub = hub_of()
    with pytest.raises(ModelError, match="out of memory"):
        hub.patch({"prompts": "unreadable"}, hand="page", sequence=1)
    assert texts(hub.target()) == {"first": 1}
    assert hub.patch({"seed": 3}, hand="page", sequence=1).revision == 1


def test_work_that_an_executor_drops_changes_nothing(hub_of):
    executor = ManualExecutor()
    hub = hub_of(executor)
    hub.patch({"seed": 3})
    executor.waiting[0][0].cancel()
    assert hub.revision(0).controls.seed == hub.target().seed == 0
    assert hub.failure() is None


# Transitions


def test_a_transition_begins_with_the_first_frame_after_it_is_ready(hub_of, executor, reading):
    hub = hub_of(executor, strength=0.2)
    hub.patch({"strength": 0.6, "prompts": "second"}, over_s=4)
    assert hub.revision(10 * SECOND).controls.strength == 0.2
    executor.run_next()
    ways = {second: hub.revision((20 + second) * SECOND) for second in (0, 1, 3, 4, 9)}
    assert {second: way.controls.strength for second, way in ways.items()} == {
        0: 0.2,
        1: pytest.approx(0.3),
        3: pytest.approx(0.5),
        4: 0.6,
        9: 0.6,
    }
    assert texts(ways[1].controls) == {"first": 0.75, "second": 0.25}
    assert texts(ways[4].controls) == {"second": 1}
    assert {way.number for way in ways.values()} == {1}
    assert [level.t for level in ways[1].levels] == [299]
    assert ways[9] is ways[4]
    assert reading.read == ["first", "second"]


def test_a_patch_on_the_way_starts_from_where_the_way_has_come(hub_of):
    hub = hub_of(strength=0.2)
    hub.patch({"strength": 0.6, "prompts": "second"}, over_s=4)
    hub.revision(0)
    hub.revision(1 * SECOND)
    hub.patch({"strength": 0.0, "prompts": "third"}, over_s=2)
    start = hub.revision(2 * SECOND).controls
    assert start.strength == pytest.approx(0.4)
    assert texts(start) == {"first": 0.5, "second": 0.5}
    middle = hub.revision(3 * SECOND).controls
    assert middle.strength == pytest.approx(0.2)
    assert texts(middle) == {"first": 0.25, "second": 0.25, "third": 0.5}
    assert hub.revision(4 * SECOND).controls.strength == 0.0


def test_a_patch_without_time_cuts_the_way_of_what_it_names_only(hub_of):
    hub = hub_of(strength=0.2)
    hub.patch({"strength": 0.6, "prompts": "second"}, over_s=4)
    hub.revision(0)
    hub.patch({"strength": 0.5})
    way = hub.revision(1 * SECOND)
    assert (way.number, way.controls.strength) == (2, 0.5)
    assert texts(way.controls) == {"first": 0.75, "second": 0.25}
    end = hub.revision(4 * SECOND)
    assert texts(end.controls) == {"second": 1}
    assert hub.revision(5 * SECOND) is end


def test_a_way_is_kept_by_a_later_patch_that_is_ready_with_it(hub_of, executor):
    hub = hub_of(executor)
    hub.patch({"prompts": "second"}, over_s=4)
    hub.patch({"strength": 0.5})
    executor.run_all()
    hub.revision(0)
    way = hub.revision(1 * SECOND)
    assert (way.number, way.controls.strength) == (2, 0.5)
    assert texts(way.controls) == {"first": 0.75, "second": 0.25}


def test_a_seed_fades_and_is_plain_again_at_the_end(hub_of):
    hub = hub_of(seed=1)
    hub.patch({"seed": 2}, over_s=2)
    hub.revision(0)
    noises = hub.revision(1 * SECOND).controls.noises
    assert [(noise.number, noise.weight) for noise in noises] == [(1, 0.5), (2, 0.5)]
    end = hub.revision(2 * SECOND).controls
    assert (end.seed, end.seeds) == (2, None)


def test_a_way_without_anything_that_moves_is_one_revision(hub_of):
    hub = hub_of()
    hub.patch({"steps": 2}, over_s=10)
    hub.revision(0)
    first = hub.revision(1 * SECOND)
    assert first.controls.steps == 2
    assert hub.revision(2 * SECOND) is first
    assert hub.revision(20 * SECOND) is first


def test_the_same_moment_is_the_same_revision(hub_of):
    hub = hub_of(strength=0.2)
    hub.patch({"strength": 0.6}, over_s=4)
    hub.revision(0)
    assert hub.revision(SECOND) is hub.revision(SECOND)


def test_a_guidance_that_fades_out_has_its_negative_read_beforehand(hub_of, executor, reading):
    hub = hub_of(executor, guidance_scale=3)
    hub.patch({"guidance_scale": 1, "negative_prompt": "blurred"}, over_s=2)
    executor.run_next()
    known = list(reading.read)
    hub.revision(0)
    assert hub.revision(1 * SECOND).negative_text is not None
    assert hub.revision(2 * SECOND).negative_text is None
    assert reading.read == known


def test_a_way_through_what_the_model_refuses_jumps_to_its_end(hub_of, caplog):
    asked = {"strength": 1, "guidance_scale": 2, "delta": 0.5}
    hub = hub_of(prediction="v_prediction", guidance="full", **asked)
    hub.patch({"guidance": "self", "delta": 1}, over_s=4)
    assert hub.revision(0).controls.guidance == "full"
    end = hub.revision(1 * SECOND)
    assert (end.controls.guidance, end.controls.delta) == ("self", 1)
    assert hub.revision(2 * SECOND) is end
    assert "controls 1 jump to their end: delta 0.625: this model has none" in caplog.text
