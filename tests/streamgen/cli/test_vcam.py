"""`streamgen vcam`: its options, its clock, and that the real program leaves when it is told."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from av.video.frame import VideoFrame

from streamgen.cli.parser import Parser
from streamgen.cli.vcam import HOLD_S, add_arguments, place_of, project
from streamgen.errors import ConfigError
from streamgen.slot import Slot

WHEP = "http://127.0.0.1:7860/whep/show"


def parsed(*arguments):
    parser = Parser(prog="streamgen vcam")
    add_arguments(parser)
    return parser.parse_args(arguments)


def test_by_default_it_takes_the_first_camera_at_30_pictures_a_second():
    args = parsed("--whep", WHEP)

    assert (args.fps, args.device, args.backend, args.until_stdin_ends) == (30, None, None, False)


def test_the_address_is_that_of_the_stream():
    _, find = place_of(parsed("--whep", WHEP), {})

    assert asyncio.run(find()) == WHEP


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "one of the arguments --whep --server is required"),
        (("--whep", "nonsense"), "--whep 'nonsense': write http://HOST:PORT"),
        (("--server", "x:1"), "--server 'x:1': write http://HOST:PORT"),
        (("--whep", WHEP, "--server", WHEP), "--server: not allowed with argument --whep"),
        (("--whep", WHEP, "--fps", "0"), "--fps: '0': give a whole number from 1 to 120"),
        (("--whep", WHEP, "--token", "a b"), "--token: give letters, digits and signs"),
        (("--whep", WHEP, "--certificate", "none.pem"), "'none.pem' cannot be read: No such file"),
        (("--whep", WHEP, "--backend", "nonsense"), "backend 'nonsense': choose "),
        (("--whep", WHEP, "--width", "5"), "unknown option '--width'"),
    ],
)
def test_what_cannot_be_is_one_sentence(streamgen, arguments, words):
    done = streamgen("vcam", *arguments)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("streamgen: ") and done.err.count("\n") == 1
    assert words in done.err


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (("--token", "a b"), {}),
        ((), {"STREAMGEN_TOKEN": "a b"}),
        (("--token", "a b"), {"STREAMGEN_TOKEN": "letters"}),
    ],
)
def test_the_token_is_given_or_in_the_environment(arguments, environ):
    with pytest.raises(ConfigError, match="--token"):
        place_of(parsed("--whep", WHEP, *arguments), environ)


def test_a_device_that_is_not_there_is_one_sentence_at_once(streamgen):
    done = streamgen("vcam", "--whep", WHEP, "--device", "/dev/video98")

    assert (done.code, done.out) == (2, "")
    assert "virtual camera '/dev/video98': " in done.err


class Watched:
    """Time that passes only while somebody waits, and a camera that notes when it is shown what."""

    def __init__(self, plan, *, until_s):
        """plan: what happens before each wait that begins at that time or later."""
        self.now_s, self.until_s = 0.0, until_s
        self.plan = sorted(plan.items())
        self.shown = []
        self.is_open = True
        self.cost_s = 0.0

    def clock(self):
        return self.now_s

    def wait(self, seconds):
        while self.plan and self.plan[0][0] <= self.now_s + seconds:
            self.plan.pop(0)[1]()
        self.now_s += seconds
        return self.now_s >= self.until_s

    def show(self, picture):
        self.shown.append((round(self.now_s, 6), picture.pts))
        self.now_s += self.cost_s

    def show_black(self):
        self.shown.append((round(self.now_s, 6), "black"))

    def close(self):
        self.is_open = False


def numbered(number):
    picture = VideoFrame(16, 16, "yuv420p")
    picture.pts = number
    return picture


def projected(plan, *, until_s, fps=10, cost_s=0.0):
    slot = Slot()
    watched = Watched(
        {time: lambda number=number: slot.put(numbered(number)) for time, number in plan.items()},
        until_s=until_s,
    )
    watched.cost_s = cost_s
    project(slot, watched, fps=fps, wait=watched.wait, clock=watched.clock)
    assert not watched.is_open
    return watched.shown


def test_the_camera_is_steady_however_the_pictures_come():
    shown = projected({0.05: 1, 0.11: 2, 0.12: 3, 0.31: 4}, until_s=0.55)

    assert shown == [(0, "black"), (0.1, 1), (0.2, 3), (0.3, 3), (0.4, 4), (0.5, 4)]


def test_a_tick_that_was_missed_is_left_out():
    shown = projected({0.0: 1}, until_s=1.0, cost_s=0.25)

    assert [time for time, _ in shown] == [0, 0.25, 0.5, 0.75]


def test_the_last_picture_is_held_for_a_while_and_not_for_ever():
    shown = projected({0.0: 1, 10.0: 2}, until_s=10.3, fps=1)

    assert shown == [
        *((time, 1) for time in range(int(HOLD_S) + 1)),
        *((time, "black") for time in range(int(HOLD_S) + 1, 10)),
        (10, 2),
    ]


def test_the_real_program_ends_with_its_stdin_or_says_what_is_missing(tmp_path):
    """Where there is a device it waits for a stream; where there is none it says how to get one."""
    command = [sys.executable, "-m", "streamgen", "vcam", "--whep", WHEP, "--until-stdin-ends"]
    environ = {**os.environ, "STREAMGEN_CACHE": str(tmp_path)}
    done = subprocess.run(
        command, input="", capture_output=True, text=True, timeout=60, check=False, env=environ
    )

    if done.returncode == 0:
        assert done.stdout.startswith("Waits for the stream.")
    else:
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("streamgen: virtual camera: ")
        assert done.stderr.count("\n") == 1
