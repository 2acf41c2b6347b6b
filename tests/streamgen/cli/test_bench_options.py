from __future__ import annotations

import argparse

import pytest

from streamgen.cli.bench_options import add_bench_options, several
from streamgen.cli.parser import Parser, whole_number
from streamgen.errors import ConfigError
from streamgen.sources import Size


def read(*arguments: str) -> argparse.Namespace:
    parser = Parser(prog="bench")
    add_bench_options(parser)
    return parser.parse_args(list(arguments))


def test_values_stand_between_commas_and_count_once():
    assert several(whole_number(1))("4,1,4,2") == (4, 1, 2)


def test_what_is_not_given_is_one_size_one_step_and_nothing_else():
    args = read()

    assert (args.size, args.steps) == ((Size(256, 256),), (1,))
    assert (args.streams, args.compare, args.plot) == ((), [], None)


def test_sizes_steps_and_streams_may_be_lists():
    args = read("--size", "256,448x256", "--steps", "1,4", "--streams", "1,2,4,8")

    assert args.size == (Size(256, 256), Size(448, 256))
    assert (args.steps, args.streams) == ((1, 4), (1, 2, 4, 8))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("--streams", "65"), "'65': give a whole number from 1 to 64"),
        (("--steps", "1,,2"), "'': give a whole number from 1 to 8"),
        (("--size", "256,big"), "size 'big': write 256 or 448x256"),
        (("--compare", "others"), "choose from"),
    ],
)
def test_bad_values_are_named(asked, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read(*asked)
