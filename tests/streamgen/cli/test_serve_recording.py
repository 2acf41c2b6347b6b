"""`streamgen serve --record-dir`: what is recorded, how much, and what is refused."""

from __future__ import annotations

import pytest

from server.recorder_files import RecordingLimits
from streamgen.cli.parser import Parser
from streamgen.cli.serve import add_arguments, announcement, settings_of
from streamgen.errors import ConfigError


def settings(*arguments):
    parser = Parser(prog="streamgen serve")
    add_arguments(parser)
    return settings_of(parser.parse_args(arguments), {})


def test_without_a_folder_nothing_is_recorded():
    assert settings("--record-max-gb", "2").recording is None


def test_a_folder_is_enough(tmp_path):
    made = settings("--record-dir", str(tmp_path))

    assert made.recording.folder == tmp_path
    assert made.recording.limits == RecordingLimits()
    assert f"Who may control a stream can record it to {tmp_path}" in announcement(
        made, 7860, shows_token=False
    )


def test_limits_are_in_minutes_and_gigabytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    made = settings(
        *("--record-dir", "here", "--record-max-minutes", "90"),
        *("--record-max-gb", "0.5", "--record-keep-gb", "1.5"),
    )

    limits = made.recording.limits
    assert made.recording.folder == tmp_path / "here"
    assert (limits.max_s, limits.max_bytes, limits.folder_bytes) == (5400, 5 * 10**8, 15 * 10**8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--record-max-gb", "nan"], "'nan': give a number from 0.001 to 100000"),
        (["--record-keep-gb", "many"], "'many': give a number from 0.001"),
        (["--record-max-minutes", "0"], "'0': give a whole number from 1 to 720"),
        (["--record-keep-gb", "3"], "--record-keep-gb 3: at least the 4 GB"),
    ],
)
def test_what_cannot_be_is_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        settings("--record-dir", "recordings", *arguments)
