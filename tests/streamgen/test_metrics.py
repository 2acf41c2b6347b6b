import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamgen.metrics import Histogram, LiveClock, StageClock, percentiles


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


@given(st.lists(st.floats(0.001, 100_000), min_size=1, max_size=300))
def test_a_histogram_tells_percentiles_at_most_a_tenth_too_high(samples):
    histogram = Histogram()
    for sample in samples:
        histogram.record(sample)
    told, exact = histogram.percentiles(), percentiles(samples)
    for share in ("p50", "p95", "p99"):
        wanted = max(getattr(exact, share), Histogram.LOWEST_MS)
        assert wanted * 0.999 <= getattr(told, share) <= wanted * 1.101
    assert histogram.count == len(samples)
    assert histogram.total_ms == pytest.approx(sum(samples))


def test_a_histogram_takes_what_is_beyond_its_bounds():
    histogram = Histogram()
    histogram.record(1e12)
    histogram.record(0.0)
    assert (histogram.counts[0], histogram.counts[-1]) == (1, 1)
    assert Histogram().percentiles() is None


def test_a_live_clock_keeps_no_laps_and_tells_the_same():
    times = iter(range(0, 10**12, 10**6))
    clock = LiveClock(lambda: next(times))
    for _ in range(10_000):
        clock.start()
        clock.lap("encode")
        clock.lap("decode")
    assert not clock.laps_ms
    assert clock.summary().keys() == {"encode", "decode"}
    assert clock.summary()["encode"].p50 == pytest.approx(1.0, rel=0.1)
