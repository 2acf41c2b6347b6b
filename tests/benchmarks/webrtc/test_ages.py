"""Ages of pictures as figures."""

from __future__ import annotations

import pytest

from benchmarks.webrtc.ages import Turn, figures, jitter_ms, trend, turn_of

DRAWN = [(number, 100.0 * number) for number in range(10)]


def turn(*ages: float) -> Turn:
    first = tuple((number, age, 1000.0 * number) for number, age in enumerate(ages))
    return Turn(drawn=len(ages), first=first, looks=len(ages), unread=0, seconds=len(ages))


def test_a_picture_is_as_old_as_when_it_is_first_seen():
    shown = [(2, 230.0), (2, 300.0), (4, 460.0)]

    seen = turn_of(DRAWN, shown, begin_ms=0, end_ms=1000)

    assert seen.first == ((2, 30.0, 230.0), (4, 60.0, 460.0))
    assert (seen.drawn, seen.looks, seen.unread) == (10, 3, 0)


def test_only_what_was_drawn_in_time_counts_also_when_it_is_seen_later():
    shown = [(1, 150.0), (4, 430.0), (5, 700.0), (None, 420.0), (8, 810.0)]

    seen = turn_of(DRAWN, shown, begin_ms=200, end_ms=600)

    assert [number for number, _, _ in seen.first] == [4, 5]
    assert (seen.drawn, seen.looks, seen.unread) == (4, 2, 1)


def test_a_number_that_was_never_drawn_is_not_counted():
    assert turn_of(DRAWN, [(77, 150.0)], begin_ms=0, end_ms=1000).first == ()


def test_figures_are_of_all_turns_together():
    told = figures([turn(10.0, 20.0, 30.0), turn(40.0, 50.0)])

    assert (told["p50_ms"], told["max_age_ms"]) == (30.0, 50.0)
    assert (told["drawn"], told["presented"], told["drops"]) == (5, 5, 0)
    assert told["turns"] == [20.0, 45.0]
    assert told["fps"] == 1.0


def test_pictures_that_never_came_are_drops():
    seen = turn_of(DRAWN, [(2, 230.0)], begin_ms=0, end_ms=1000)

    assert figures([seen])["drops"] == 9


def test_the_trend_is_the_slope_of_the_age_and_the_steepest_turn_counts():
    assert trend(turn(10.0, 12.0, 14.0, 16.0)) == pytest.approx(2.0)
    assert trend(turn(7.0)) == 0.0
    assert figures([turn(10.0, 11.0), turn(15.0, 10.0)])["trend_ms_per_s"] == -5.0


def test_jitter_is_the_mean_step_from_picture_to_picture():
    assert jitter_ms(turn(10.0, 14.0, 12.0)) == 3.0
    assert jitter_ms(turn(10.0)) == 0.0
