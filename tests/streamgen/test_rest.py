"""The gate in the pipeline, in virtual time: what is under way finishes, then the stream rests."""

import pytest

from streamgen.control_schema import controls_from
from streamgen.frame import Frame
from streamgen.pipeline import Pipeline


def stop_and_go(numbered_frame, still_from, go_at, count):
    """Moving frames, a rest, and motion again, each with a stamp of its own."""
    frames = []
    for index in range(count):
        shown = still_from if still_from <= index < go_at else index
        frames.append(Frame(pixels=numbered_frame(shown).pixels, stamp=numbered_frame(index).stamp))
    return frames


@pytest.mark.parametrize("rest", [1, 2, 3, 20])
def test_after_a_rest_the_first_picture_is_of_the_current_frame(
    small_engines, numbered_frame, rest
):
    pipeline = Pipeline(small_engines())
    controls = controls_from(
        {"t_index_list": (10, 25, 40), "similarity_filter": "on", "max_skip_frame": 100}
    )
    stream = pipeline.open_stream("one", controls)
    go_at = 8 + rest
    frames = stop_and_go(numbered_frame, 7, go_at, go_at + 6)
    came = [
        [answer.frame.stamp.index for answer in pipeline.tick([stream], [frame], 1000 * tick)]
        for tick, frame in enumerate(frames)
    ]

    # What is under way when the picture stands still comes to its end, the still frame last.
    assert came[7:9] == [[5], [6]]
    if rest == 1:  # too short to come to rest: the ring goes on
        assert came[go_at:] == [[7], [], [9], [10], [11], [12]]
    else:
        assert came[9] == [7]
        assert came[go_at] == [go_at]
    flat = [index for tick in came for index in tick]
    assert flat == sorted(flat) and not set(range(8, go_at)) & set(flat)
    assert stream.gate.skipped == rest


def test_a_still_picture_that_is_redrawn_with_other_controls_is_drawn_anew(
    small_engines, numbered_frame
):
    pipeline = Pipeline(small_engines())
    given = {"similarity_filter": "on", "prompts": "ink", "max_skip_frame": 100}
    stream = pipeline.open_stream("one", controls_from(given))
    frames = stop_and_go(numbered_frame, 0, 20, 20)
    drawn = []
    for index, frame in enumerate(frames):
        if index == 10:
            stream.revision = pipeline.reviser().revise(controls_from({**given, "seed": 3}), 1)
        drawn += [answer.frame.stamp.index for answer in pipeline.tick([stream], [frame], 0)]

    assert drawn == [0, 10]


def test_a_still_stream_is_refreshed_and_costs_almost_nothing(small_engines, numbered_frame):
    engines = small_engines()
    pipeline = Pipeline(engines)
    controls = controls_from({"t_index_list": (5, 18, 30, 44), "similarity_filter": "on"})
    stream = pipeline.open_stream("one", controls)
    frames = stop_and_go(numbered_frame, 0, 110, 110)
    came = [pipeline.tick([stream], [frame], 0) for frame in frames]

    assert stream.gate.skipped_share >= 0.85
    # One refresh in eleven frames, finished in the tick that it came in.
    assert [tick for tick, answers in enumerate(came) if answers] == list(range(0, 110, 11))
    assert sum(engines.batches) == 4 * 10
