"""Windows over a clip: which frames they have, and how they are mixed."""

import pytest

from streamgen.animation.windows import windows_of
from streamgen.errors import ConfigError


def mixed(frames, windows, answers):
    """What becomes of a clip where each window answers a number."""
    clip = [0.0] * frames
    for window, answer in zip(windows, answers, strict=True):
        for frame, weight in zip(range(frames)[window.frames], window.weights, strict=True):
            clip[frame] += weight * answer
    return clip


@pytest.mark.parametrize(
    ("frames", "length", "overlap"),
    [(40, 16, 4), (41, 16, 4), (17, 16, 4), (16, 16, 4), (5, 16, 4), (1, 1, 0), (30, 9, 8)],
)
def test_the_weights_of_every_frame_add_up_to_one(frames, length, overlap):
    windows = windows_of(frames, length=length, overlap=overlap)

    assert mixed(frames, windows, [1.0] * len(windows)) == pytest.approx([1.0] * frames)
    assert all(weight > 0 for window in windows for weight in window.weights)


def test_windows_are_of_one_length_and_share_at_least_what_was_asked():
    windows = windows_of(41, length=16, overlap=4)

    starts = [window.start for window in windows]
    assert [len(window.weights) for window in windows] == [16] * len(windows)
    assert (starts[0], starts[-1]) == (0, 41 - 16)
    assert all(a + 16 - b >= 4 for a, b in zip(starts, starts[1:], strict=False))


def test_no_more_windows_are_drawn_than_it_takes():
    assert len(windows_of(40, length=16, overlap=4)) == 3
    assert len(windows_of(41, length=16, overlap=4)) == 4
    assert len(windows_of(16, length=16, overlap=4)) == 1


def test_one_window_fades_into_the_next_in_equal_steps():
    clip = mixed(28, windows_of(28, length=16, overlap=4), [0.0, 1.0])

    assert clip[:12] == [0.0] * 12 and clip[16:] == [1.0] * 12
    assert clip[11:17] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_without_an_overlap_one_ends_where_the_next_begins():
    assert mixed(8, windows_of(8, length=4, overlap=0), [0.0, 1.0]) == [0.0] * 4 + [1.0] * 4


def test_an_overlap_as_long_as_a_window_is_refused():
    with pytest.raises(ConfigError, match="overlap 4: with windows of 4 frames give 0 to 3"):
        windows_of(9, length=4, overlap=4)
