"""The worker under random traffic: arrivals, slow models, opens, closes, failures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from streamgen.admission import Limits
from streamgen.config import StreamConfig
from streamgen.errors import ConfigError, ModelError
from streamgen.worker import SETTLE_NS

ONE, OTHER = (StreamConfig(model=name, width=16, height=16) for name in ("one", "other"))
MS = 1_000_000


@settings(max_examples=60, deadline=None)
@given(
    model_ms=st.integers(1, 300),
    intervals_ms=st.lists(st.integers(5, 120), min_size=1, max_size=6),
    jitter=st.randoms(use_true_random=False),
)
def test_a_shown_frame_is_never_older_than_one_model_and_one_input_interval(
    model_ms, intervals_ms, jitter, picture, told, make_bench
):
    bench = make_bench()
    names = [f"s{k}" for k in range(len(intervals_ms))]
    for name in names:
        bench.worker.open(name, ONE, {})
    arrivals = sorted(
        (int((k + jitter.random()) * interval * MS), owner, k)
        for owner, interval in enumerate(intervals_ms)
        for k in range(40)
    )
    now, shown = 0, 0
    while arrivals:
        now = max(now, arrivals[0][0])
        while arrivals and arrivals[0][0] <= now:
            ingest_ns, owner, index = arrivals.pop(0)
            bench.worker.put(names[owner], picture(owner, index, ingest_ns))
        bench.worker.tick(now)
        now += model_ms * MS
        for owner, name in enumerate(names):
            if (frame := bench.worker.take(name)) is not None:
                shown += 1
                # Arrivals jitter: two frames are up to two intervals apart; after the last one
                # there is none that could take its place.
                if frame.stamp.index < 39:
                    age_ms = (now - frame.stamp.ingest_ns) / MS
                    assert age_ms <= model_ms + 2 * intervals_ms[owner]
                assert told(frame) == (owner, frame.stamp.index)
    assert shown > 0


class Traffic(RuleBasedStateMachine):
    """Streams come and go, frames arrive, the model works or fails, in any order."""

    names = st.sampled_from("abcd")

    def __init__(self, bench, picture, told):
        super().__init__()
        self.bench, self.picture, self.told = bench, picture, told
        self.now = 0
        self.put_in, self.seen, self.last = {}, {}, {}

    @rule(name=names, config=st.sampled_from([ONE, OTHER]), steps=st.integers(1, 3))
    def open(self, name, config, steps):
        if name in self.put_in or len(self.put_in) == 3:
            with pytest.raises(ConfigError):
                self.bench.worker.open(name, config, {})
            return
        self.bench.worker.open(name, config, {"steps": steps})
        self.put_in[name], self.seen[name], self.last[name] = 0, 0, -1

    @precondition(lambda self: self.put_in)
    @rule(data=st.data())
    def put(self, data):
        name = data.draw(st.sampled_from(sorted(self.put_in)))
        self.now += MS
        index = self.put_in[name]
        self.bench.worker.put(name, self.picture(ord(name), index, self.now))
        self.put_in[name] += 1

    @rule(later=st.integers(0, 2 * SETTLE_NS), breaks=st.booleans())
    def tick(self, later, breaks):
        self.now += later
        for engines in self.bench.loaded.values():
            engines.is_broken = breaks and later % 3 == 0
        try:
            self.bench.worker.tick(self.now)
        except ModelError:
            pytest.fail("what the model raises is its streams' to tell")

    @precondition(lambda self: self.put_in)
    @rule(data=st.data())
    def take(self, data):
        name = data.draw(st.sampled_from(sorted(self.put_in)))
        frame = self.bench.worker.take(name)
        if frame is not None:
            assert self.told(frame) == (ord(name), frame.stamp.index)
            assert frame.stamp.index > self.last[name]
            self.last[name] = frame.stamp.index
            self.seen[name] += 1

    @precondition(lambda self: self.put_in)
    @rule(data=st.data(), steps=st.integers(1, 4))
    def patch(self, data, steps):
        name = data.draw(st.sampled_from(sorted(self.put_in)))
        self.bench.worker.patch(name, {"steps": steps})

    @precondition(lambda self: self.put_in)
    @rule(data=st.data())
    def close(self, data):
        name = data.draw(st.sampled_from(sorted(self.put_in)))
        status = self.bench.worker.close(name)
        assert status.under_way == 0
        assert (
            status.accepted == self.put_in[name] == self.seen[name] + sum(status.dropped.values())
        )
        del self.put_in[name], self.seen[name], self.last[name]

    @invariant()
    def every_frame_is_somewhere(self):
        for name, count in self.put_in.items():
            status = self.bench.worker.status(name)
            assert status.accepted == count
            assert status.shown == self.seen[name]
            assert status.accepted == status.shown + sum(status.dropped.values()) + status.under_way
            # The inbox, the rows of four steps, and what such rows were when they ended at once.
            assert status.under_way <= 1 + 4 + 4


def test_in_any_order_every_frame_is_shown_or_counted_and_none_crosses(make_bench, picture, told):
    run_state_machine_as_test(
        lambda: Traffic(make_bench(limits=Limits(max_streams=3)), picture, told),
        settings=settings(max_examples=60, stateful_step_count=40, deadline=None),
    )
