"""Log lines as JSON: what they hold, and what they never hold."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from server.logs import formatter, scrubbed


def record(message, *args, exc_info=None):
    return logging.LogRecord("server.x", logging.WARNING, "x.py", 1, message, args, exc_info)


def test_a_line_is_one_json_object():
    line = formatter().format(record("%d sessions\nare open", 3))

    said = json.loads(line)
    assert "\n" not in line
    assert said["event"] == "3 sessions\nare open"
    assert (said["level"], said["logger"]) == ("warning", "server.x")
    assert said["timestamp"].endswith("Z")


def test_what_was_bound_to_the_work_under_way_is_in_its_lines():
    with structlog.contextvars.bound_contextvars(session="abc123"):
        line = formatter().format(record("something"))

    assert json.loads(line)["session"] == "abc123"


def test_a_traceback_is_in_the_line_and_clean():
    try:
        raise ConnectionError("no route to 192.0.2.7")
    except ConnectionError as error:
        line = formatter().format(record("lost", exc_info=(type(error), error, None)))

    assert "ConnectionError: no route to [address]" in json.loads(line)["exception"]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("peer 192.0.2.7:5000 is gone", "peer [address]:5000 is gone"),
        ("peer 2001:db8::7 is gone", "peer [address] is gone"),
        ("at ::1", "at [address]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [secret]"),
        ("open /#token=abcdef now", "open /#token=[secret] now"),
        ("got v=0\r\no=- 1 2\r\n", "got [sdp]"),
        ("aiortc 1.16.0 at 25.5 fps", "aiortc 1.16.0 at 25.5 fps"),
        ("model tiny: its unet, 4:3", "model tiny: its unet, 4:3"),
    ],
)
def test_addresses_and_secrets_are_taken_out(text, clean):
    assert scrubbed(text) == clean
