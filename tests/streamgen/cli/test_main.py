from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamgen import __version__
from streamgen.cli import COMMANDS, main

ROOT = Path(__file__).parents[3]


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])

    assert capsys.readouterr().out == f"streamgen {__version__}\n"


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])

    text = capsys.readouterr().out
    assert [command.name for command in COMMANDS if command.about not in text] == []


def test_help_and_mistyped_commands_do_not_wait_for_torch():
    program = (
        "import contextlib, sys; from streamgen.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "main(['rnu']); main(['models']); sys.exit('torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)

    assert done.returncode == 0


def test_idle_threads_are_told_not_to_spin(streamgen):
    streamgen("models")

    assert os.environ["OMP_WAIT_POLICY"]


@pytest.mark.parametrize("asked", ["models", "--help"])
def test_a_reader_who_has_seen_enough_is_left_in_peace(asked):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "streamgen", asked]

    # Without a buffer argparse itself swallows the error of --help, and leaves with 0.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, cwd=ROOT, env=buffered, stdout=writing, stderr=subprocess.PIPE)

    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_debug_shows_where_an_error_came_from(streamgen, capsys):
    done = streamgen("models", "tinny", "--debug")

    assert done.code == 2
    assert "Traceback" in done.err and "find_model" in done.err
    assert done.err.splitlines()[-1].startswith("streamgen: model 'tinny'")


def test_what_nobody_foresaw_is_one_sentence_too(capsys):
    code = main([7])

    err = capsys.readouterr().err
    assert code == 1
    assert err.startswith("streamgen: unexpected AttributeError: ") and err.count("\n") == 1
    assert "--debug shows where it came from" in err


def test_a_closed_output_is_no_error():
    command = [sys.executable, "-m", "streamgen", "models"]

    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command], cwd=ROOT, stderr=subprocess.PIPE
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_what_the_terminal_cannot_show_is_spelled_out():
    program = "import sys; from streamgen.cli import main; main(['models']); print('\\xb7')"
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True
    )

    assert done.returncode == 0 and done.stdout.endswith(b"\\xb7\n")
