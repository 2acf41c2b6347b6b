from __future__ import annotations

import pytest

from streamgen.errors import ModelError

SECOND = 1_000_000_000


def texts(controls):
    return {prompt.text: pytest.approx(prompt.weight) for prompt in controls.prompts}


# Patches


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


def test_work_that_an_executor_drops_changes_nothing(hub_of, executor):
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
