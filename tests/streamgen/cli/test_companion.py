"""A companion: real small programs that end, fail, go on, and are told to go."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from queue import Queue

import pytest

from streamgen.cli.companion import Companion

#: Says that it is there, and goes when its stdin ends.
FAITHFUL = "import sys; print('here', flush=True); sys.stdin.read(); print('gone', flush=True)"
#: Does not care.
STUBBORN = "import time; print('here', flush=True); time.sleep(600)"
PATIENCE_S = 60


@pytest.fixture
def told():
    return Queue()


@pytest.fixture
def companion(told):
    def make(code, *, leave_s=PATIENCE_S, **environ):
        return Companion(
            "friend",
            [sys.executable, "-c", code],
            {**os.environ, **environ},
            pauses_s=(0.0, 0.0),
            leave_s=leave_s,
            log=lambda level, line: told.put((level, line)),
        )

    return make


def first(told, level, count):
    """Return the first so many words of a level."""
    words = []
    while len(words) < count:
        at, line = told.get(timeout=PATIENCE_S)
        words += [line] if at == level else []
    return words


def test_it_lives_as_long_as_its_context(companion, told):
    with companion(FAITHFUL):
        assert told.get(timeout=PATIENCE_S) == (logging.INFO, "here")
    assert told.get(timeout=PATIENCE_S) == (logging.INFO, "gone")
    assert told.empty()


def test_where_it_ends_it_is_started_again_and_its_words_are_told_once(companion, told):
    says = "print(os.getpid(), flush=True); print('streamgen: no device', file=sys.stderr)"
    with companion(f"import os, sys; {says}; sys.exit(2)"):
        said = [told.get(timeout=PATIENCE_S) for _ in range(4)]
    # Three processes; the first two were heard to their ends before the third began.
    assert len({line for level, line in said if level == logging.INFO}) == 3
    assert [line for level, line in said if level == logging.WARNING] == ["no device"]


def test_a_crash_is_told_with_its_code(companion, told):
    with companion("import os; print(os.getpid(), flush=True); os._exit(7)"):
        assert first(told, logging.WARNING, 1) == ["it ended with 7 and is started again"]
        first(told, logging.INFO, 1)


def test_who_does_not_leave_is_made_to(companion, told):
    with companion(STUBBORN, leave_s=0.1):
        assert told.get(timeout=PATIENCE_S) == (logging.INFO, "here")
    assert told.empty()


def test_it_ends_even_where_it_had_no_time_to_begin(companion):
    with companion(FAITHFUL):
        pass


def test_secrets_go_by_the_environment(companion, told):
    code = "import os, sys; print(os.environ['SECRET'], len(sys.argv), flush=True)"
    with companion(f"{code}; sys.stdin.read()", SECRET="letters"):
        assert told.get(timeout=PATIENCE_S) == (logging.INFO, "letters 1")


def test_words_go_to_the_log_with_its_name(told):
    code = "import sys; print('a word', file=sys.stderr, flush=True); sys.stdin.read()"
    handler = logging.handlers.QueueHandler(told)
    logging.getLogger("streamgen.cli.companion").addHandler(handler)
    try:
        with Companion("friend", [sys.executable, "-c", code], os.environ):
            assert told.get(timeout=PATIENCE_S).getMessage() == "friend: a word"
    finally:
        logging.getLogger("streamgen.cli.companion").removeHandler(handler)
