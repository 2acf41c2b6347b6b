"""Which options go with which suite."""

from __future__ import annotations

import argparse

import pytest

from streamgen.cli.bench_options import add_bench_options
from streamgen.cli.bench_webrtc import check_suite_options
from streamgen.cli.parser import Parser
from streamgen.errors import ConfigError


def read(*arguments: str) -> argparse.Namespace:
    parser = Parser(prog="bench")
    add_bench_options(parser)
    return parser.parse_args(list(arguments))


def test_the_served_way_takes_seconds_json_and_plot():
    args = read("--suite", "webrtc", "--seconds", "5", "--json", "a.json", "--plot", "a.png")

    check_suite_options(args, read())
    assert (args.suite, args.seconds) == ("webrtc", 5)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("--suite", "webrtc", "--steps", "2"), "--steps means nothing to --suite webrtc"),
        (("--suite", "webrtc", "--backend", "torch"), "--backend means nothing to --suite webrtc"),
        (("--seconds", "5"), "--seconds means nothing to --suite frame-path"),
    ],
)
def test_an_option_of_the_other_suite_is_refused(asked: tuple[str, ...], sentence: str):
    with pytest.raises(ConfigError, match=sentence):
        check_suite_options(read(*asked), read())


def test_what_is_not_asked_for_is_the_frame_path():
    check_suite_options(read(), read())

    assert read().suite == "frame-path"


def test_an_unknown_suite_is_named():
    with pytest.raises(ConfigError, match="webrtcc"):
        read("--suite", "webrtcc")
