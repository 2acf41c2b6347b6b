from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from streamgen.cli.options import (
    add_control_options,
    add_engine_options,
    check_threads,
    controls_of,
    flag,
    given_controls,
    read_prompt,
    size_rule,
    stream_config,
)
from streamgen.config import StreamConfig
from streamgen.control_schema import schema
from streamgen.controls import Prompt
from streamgen.errors import ConfigError
from streamgen.models.registry import ModelRow
from streamgen.sources import Size


def row(**facts):
    return ModelRow(name="any", location=Path("any"), about="", **facts)


def given(*arguments):
    parser = argparse.ArgumentParser()
    add_control_options(parser)
    return given_controls(parser.parse_args(arguments))


def engine_options(*arguments):
    parser = argparse.ArgumentParser()
    add_engine_options(parser)
    return parser.parse_args(arguments)


def test_engines_are_asked_for_as_the_options_say():
    args = engine_options("--backend", "torch", "--device", "cpu", "--threads", "2")

    assert stream_config(args, Size(64, 96)) == StreamConfig(
        model="tiny", width=64, height=96, backend="torch", device="cpu", threads=2
    )


def test_threads_are_for_a_processor():
    check_threads(engine_options("--threads", "2", "--device", "cpu"))
    check_threads(engine_options("--device", "cuda"))
    with pytest.raises(ConfigError, match="--threads 2 has no effect on cuda: add --device cpu"):
        check_threads(engine_options("--threads", "2", "--device", "cuda"))


def test_every_control_has_its_flag():
    parser = argparse.ArgumentParser()
    add_control_options(parser)

    flags = parser.format_help()

    assert [spec.name for spec in schema() if flag(spec.name) not in flags] == []


def test_only_what_was_given_is_taken():
    assert given() == {}
    assert given("--strength", "0.3", "--t-index-list", "10,30") == {
        "strength": "0.3",
        "t_index_list": ["10", "30"],
    }


def test_prompts_are_repeated_and_weighted():
    controls = controls_of(row(), given("--prompt", "oil: a cat", "--prompt", "fog::0.5"))

    assert controls.prompts == (Prompt(text="oil: a cat"), Prompt(text="fog", weight=0.5))


def test_seeds_are_listed_and_weighted():
    controls = controls_of(row(), given("--seeds", "3,8::0.5"))

    assert [(seed.number, seed.weight) for seed in controls.noises] == [(3, 1.0), (8, 0.5)]


def test_a_prompt_may_hold_the_separator_before_its_weight():
    assert read_prompt("a::b::2") == {"text": "a::b", "weight": 2.0}


def test_a_given_control_replaces_that_of_the_model():
    known = row(controls={"strength": 0.5, "prompts": "oil painting", "guidance": "none"})

    controls = controls_of(known, given("--prompt", "fog", "--seed", "5"))

    assert (controls.strength, controls.guidance, controls.seed) == (0.5, "none", 5)
    assert controls.prompts == (Prompt(text="fog"),)


def test_levels_by_number_replace_the_models_strength_and_steps():
    known = row(controls={"strength": 0.5, "steps": 2})

    assert controls_of(known, given("--t-index-list", "10,30")).indices == (10, 30)


def test_a_strength_replaces_the_models_levels_by_number():
    known = row(controls={"t_index_list": (10, 30)})

    assert controls_of(known, given("--strength", "0.5")).indices == (25, 37)


@pytest.mark.parametrize(
    ("upright", "expected"),
    [
        (Size(640, 360), Size(336, 192)),
        (Size(16, 16), Size(256, 256)),
        (Size(7680, 4320), Size(336, 192)),
        (Size(1, 1000), Size(64, 1024)),
    ],
)
def test_a_source_gets_the_best_size_that_the_model_can_take(upright, expected):
    known = row(area_px=256 * 256, multiple=16, smallest_px=50, largest_px=1030)

    assert size_rule(known)(upright) == expected
