"""How many frames are seen: asked for, told by the adapter's folder, or neither."""

import json

import pytest

from streamgen.errors import ConfigError, ModelError
from streamgen.motion.ring import Ring
from streamgen.motion.ring_file import RING, ring_of


@pytest.fixture
def silent(tmp_path):
    """Returns the folder of an adapter that says nothing of rings."""
    folder = tmp_path / "swing"
    folder.mkdir()
    return folder


@pytest.fixture
def telling(silent):
    """Returns the folder of an adapter that was trained with 2 sinks and 6 rolling slots."""
    (silent / RING).write_text(json.dumps({"sinks": 2, "rolling": 6}))
    return silent


def ring(folder, window=None, sinks=None, length=32):
    return ring_of(folder, window=window, sinks=sinks, length=length)


def test_without_a_word_half_of_sixteen_frames_are_sinks(silent):
    assert ring(silent) == Ring(sinks=8, rolling=7)


@pytest.mark.parametrize(("length", "sinks", "rolling"), [(12, 6, 5), (3, 1, 1), (2, 0, 1)])
def test_a_short_adapter_has_a_shorter_window(silent, length, sinks, rolling):
    assert ring(silent, length=length) == Ring(sinks=sinks, rolling=rolling)


def test_an_adapter_says_what_it_was_trained_with(telling):
    assert ring(telling) == Ring(sinks=2, rolling=6)


def test_what_is_asked_for_rules(telling):
    assert ring(telling, window=16, sinks=0) == Ring(sinks=0, rolling=15)
    assert ring(telling, sinks=7) == Ring(sinks=7, rolling=1)


def test_sinks_stay_as_trained_in_another_window_as_long_as_they_have_room(telling):
    assert ring(telling, window=16) == Ring(sinks=2, rolling=13)
    assert ring(telling, window=3) == Ring(sinks=1, rolling=1)


@pytest.mark.parametrize("window", [1, 33])
def test_a_window_that_the_adapter_has_no_positions_for_is_refused(telling, window):
    with pytest.raises(
        ConfigError, match=f"--motion-window {window}: the motion adapter .*: give 2 to 32"
    ):
        ring(telling, window=window)


@pytest.mark.parametrize(("window", "sinks", "most"), [(None, 8, 7), (4, 3, 2), (4, -1, 2)])
def test_sinks_that_leave_no_room_are_refused(telling, window, sinks, most):
    with pytest.raises(ConfigError, match=f"--motion-sinks {sinks}: .* give 0 to {most}"):
        ring(telling, window=window, sinks=sinks)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[2, 6]", 'not {"sinks": 2, "rolling": 6}'),
        ('{"sinks": 2}', "not {"),
        ('{"sinks": 2, "rolling": 6, "more": 1}', "not {"),
        ('{"sinks": 2, "rolling": "6"}', "both are whole numbers"),
        ('{"sinks": true, "rolling": 6}', "both are whole numbers"),
        ('{"sinks": 2, "rolling": 0}', "give at least 0 and at least 1"),
        ('{"sinks": 20, "rolling": 20}', "positions for 32"),
    ],
)
def test_a_file_that_makes_no_sense_is_named(silent, told, words):
    (silent / RING).write_text(told)

    with pytest.raises(ModelError) as caught:
        ring(silent)

    assert words in str(caught.value) and f"swing/{RING}" in str(caught.value)
