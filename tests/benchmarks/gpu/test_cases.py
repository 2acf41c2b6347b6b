from __future__ import annotations

import pytest

from benchmarks.gpu.cases import AMOUNTS, MODES, SCALES, all_cases, chosen_cases
from benchmarks.gpu.networks import SHAPES
from streamgen.errors import ConfigError

FACTS = {"device": "a GPU", "precision": "bf16", "torch": "2.13.0"}


@pytest.mark.parametrize("scale", SCALES)
def test_every_case_has_a_name_of_its_own_and_what_it_names_is_there(scale):
    cases = all_cases(scale)

    assert len({case.name for case in cases}) == len(cases)
    assert {case.mode for case in cases} == set(MODES)
    assert {case.shape for case in cases} == set(SHAPES)
    assert all(case.estimate_s > 0 for case in cases)


def test_the_first_four_compare_eager_and_compiled_with_one_and_eight_streams():
    assert [case.name for case in all_cases("full")[:4]] == [
        "sd-turbo-512-1step-1stream-eager",
        "sd-turbo-512-1step-1stream-inductor",
        "sd-turbo-512-1step-8streams-eager",
        "sd-turbo-512-1step-8streams-inductor",
    ]


def test_sizes_steps_and_streams_that_are_asked_for_are_all_there():
    cases = {(c.shape, str(c.size), c.steps, c.streams) for c in all_cases("full")}

    assert {("sd-1.5", "512x512", steps, 1) for steps in (1, 2, 4)} <= cases
    assert {("sd-turbo", "512x512", 1, streams) for streams in (1, 2, 4, 8)} <= cases
    assert ("sd-turbo", "768x512", 1, 1) in cases
    assert ("sdxl-turbo", "512x512", 1, 1) in cases


def test_stability_is_watched_for_ten_thousand_frames():
    [stable] = [case for case in all_cases("full") if case.kind == "stability"]

    assert (stable.frames, stable.runs) == (10_000, 1)
    assert stable.name.endswith("-stability")


def test_the_tiny_scale_has_small_pictures_that_latents_fit():
    for case in all_cases("tiny"):
        assert case.size.width % 32 == 0 and case.size.height % 32 == 0
        assert case.size.width <= 96
        assert case.frames <= AMOUNTS["tiny"].stable_frames


def test_a_hash_stands_for_all_that_makes_a_measurement_another_one():
    first, second, *_ = all_cases("full")

    hashes = {
        first.hash(FACTS),
        second.hash(FACTS),
        first.hash({**FACTS, "device": "another GPU"}),
        first.hash({**FACTS, "torch": "2.14.0"}),
        all_cases("tiny")[0].hash(FACTS),
    }

    assert len(hashes) == 5
    assert all_cases("full")[0].hash(dict(reversed(FACTS.items()))) == first.hash(FACTS)


def test_cases_are_chosen_by_name_or_pattern_and_stay_in_order():
    cases = all_cases("full")

    chosen = chosen_cases(cases, ["sdxl-*", "sd-turbo-512-1step-1stream-eager"])

    assert chosen[0].name == "sd-turbo-512-1step-1stream-eager"
    assert {case.shape for case in chosen[1:]} == {"sdxl-turbo"}
    assert chosen_cases(cases, []) == cases


def test_a_name_that_no_case_has_is_told_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"--only 'sd-3\*': choose among sd-turbo-512-1step"):
        chosen_cases(all_cases("full"), ["sd-turbo-*", "sd-3*"])
