"""Engines that come and go while streams are drawn: no frame is missing, nothing stays behind."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

import pytest

from streamgen.admission import Limits
from streamgen.config import StreamConfig
from streamgen.models.upcoming import UpcomingStatus

ONE, OTHER = (StreamConfig(model=name, width=16, height=16) for name in ("one", "other"))


class Coming:
    """Better engines, there when the test says so."""

    def __init__(self, engines):
        self.engines, self.is_there, self.is_cancelled, self.wake = engines, False, False, None

    def begin(self, wake):
        self.wake = wake

    def take(self, weights=()):
        engines, self.engines = (self.engines, None) if self.is_there else (None, self.engines)
        return engines

    def cancel(self):
        self.is_cancelled = True

    def status(self):
        return UpcomingStatus(
            backend="better", precision="bf16", stage="building", message="unet", failure=None
        )


@pytest.fixture
def coming(make_bench):
    """A worker whose model has better engines on their way."""
    better = make_bench().load(ONE)
    better.choice = SimpleNamespace(
        backend=SimpleNamespace(name="better"), device="cpu", rejected=()
    )

    class Bench(make_bench):
        def load(self, config):
            self.better, self.coming = better, Coming(better)
            engines = super().load(config)
            engines.upcoming = self.coming
            return engines

    return Bench()


def test_better_engines_take_over_between_two_ticks_and_rows_go_on(coming, picture, told):
    worker = coming.worker
    worker.open("a", ONE, {"steps": 3})
    seen = []
    for index in range(8):
        coming.coming.is_there = index >= 4
        worker.put("a", picture(7, index))
        worker.tick(index)
        [group] = worker.groups()
        assert (group.backend, group.upcoming is None) == (
            ("better", True) if index >= 4 else ("echo", False)
        )
        while (frame := worker.take("a")) is not None:
            seen.append(told(frame))
    assert seen == [(7, index) for index in range(6)]
    assert worker.status("a").dropped == {}
    assert coming.loaded[ONE].is_closed and not coming.better.is_closed
    # The rows under way were brought on by the new ones: two of the old, then one more a tick.
    assert coming.better.batches[0] == 3


def test_what_is_to_come_is_told_until_it_is_there(coming):
    coming.worker.open("a", ONE, {})
    [group] = coming.worker.groups()
    assert group.upcoming == coming.coming.status()
    assert coming.coming.wake is not None


def test_a_sentence_that_is_asked_for_later_is_read_by_the_engines_that_draw(coming, picture):
    worker = coming.worker
    read = []
    worker.open("a", ONE, {"prompts": "ink"})
    coming.better.text = lambda sentence: read.append(sentence) or coming.loaded[ONE].text(sentence)
    coming.coming.is_there = True
    worker.tick(0)
    worker.patch("a", {"prompts": "oil"})
    worker.put("a", picture(7, 0))
    worker.tick(1)
    assert read == ["oil"] and worker.take("a").stamp.revision == 1


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_stream_that_is_finishing_gives_every_picture_in_order_before_any_other(
    bench, picture, told, steps
):
    worker = bench.worker
    worker.open("old", ONE, {"steps": steps})
    worker.open("new", OTHER, {"steps": steps})
    seen = []

    def take():
        for name in ("old", "new"):
            while (frame := worker.take(name)) is not None:
                seen.append(told(frame))

    for index in range(6):
        worker.put("old", picture(1, index, index))
        worker.tick(index)
        take()
    worker.put("old", picture(1, 6, 6))
    worker.put("new", picture(2, 0, 0))
    worker.finish("old")
    for now in range(10, 14):
        worker.tick(now)
        take()
    worker.put("old", picture(1, 7, 20))
    worker.tick(20)
    take()
    assert seen == [(1, index) for index in range(7)] + [(2, 0), (1, 7)]
    assert worker.status("old").dropped == {}
    worker.finish("old", is_on=False)
    worker.put("old", picture(1, 8, 21))
    worker.tick(21)
    worker.put("old", picture(1, 9, 22))
    worker.tick(22)
    assert worker.status("old").under_way == (2 if steps > 1 else 1)


def test_fewer_steps_and_more_lose_no_picture(bench, picture, told):
    worker, seen = bench.worker, []
    worker.open("a", ONE, {"steps": 1})
    for index in range(40):
        if index % 5 == 0:
            worker.patch("a", {"steps": (1, 2, 4, 1, 3)[index // 5 % 5]})
        worker.put("a", picture(3, index))
        worker.tick(index)
        while (frame := worker.take("a")) is not None:
            seen.append(told(frame))
    worker.finish("a")
    worker.tick(40)
    while (frame := worker.take("a")) is not None:
        seen.append(told(frame))
    assert seen == [(3, index) for index in range(40)]
    assert worker.status("a").dropped == {}


def test_engines_that_nobody_uses_are_closed_but_for_the_last_ones(make_bench, picture):
    bench = make_bench(limits=Limits(idle_models=2))
    worker, configs = bench.worker, []
    known = []
    for number in range(10):
        config = StreamConfig(model="one", width=16 + 8 * number, height=16)
        configs.append(config)
        worker.open(f"s{number}", config, {})
        known.append(weakref.ref(bench.loaded[config]))
        if number:
            worker.close(f"s{number - 1}")
        worker.tick(number)
        closed = [engines.is_closed for engines in bench.loaded.values()]
        assert closed == [True] * max(number - 2, 0) + [False] * min(number + 1, 3)
    assert {group.config for group in worker.groups()} == set(configs[-3:])
    bench.loaded.clear()
    gc.collect()
    assert [reference() is None for reference in known] == [True] * 7 + [False] * 3


def test_a_model_that_is_used_again_in_time_is_not_loaded_again(make_bench):
    bench = make_bench(limits=Limits(idle_models=1))
    worker = bench.worker
    worker.open("a", ONE, {})
    first = bench.loaded[ONE]
    worker.open("b", OTHER, {})
    worker.close("a")
    worker.tick(0)
    worker.open("a", ONE, {})
    worker.close("b")
    worker.tick(1)
    assert bench.loaded[ONE] is first and not first.is_closed
    assert worker.status("a").state == "live"


def test_what_is_still_built_for_a_model_that_nobody_uses_is_built_no_more(coming):
    worker = coming.worker
    worker.limits = Limits(idle_models=0)
    worker.open("a", ONE, {})
    worker.close("a")
    worker.tick(0)
    assert coming.coming.is_cancelled and worker.groups() == []
