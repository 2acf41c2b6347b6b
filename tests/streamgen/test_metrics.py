import pytest

from streamgen.metrics import StageClock, percentiles


def test_percentiles_are_by_nearest_rank():
    found = percentiles([float(n) for n in range(100)])
    assert (found.p50, found.p95, found.p99) == (49.0, 94.0, 98.0)


def test_percentiles_of_nothing_are_an_error():
    with pytest.raises(ValueError, match="measure at least one frame"):
        percentiles([])


def test_laps_are_the_time_between_calls():
    times = iter([1_000_000, 3_000_000, 8_000_000])
    clock = StageClock(lambda: next(times))
    clock.start()
    clock.lap("encode")
    clock.lap("denoise")
    assert {name: laps.p50 for name, laps in clock.summary().items()} == {
        "encode": 2.0,
        "denoise": 5.0,
    }
