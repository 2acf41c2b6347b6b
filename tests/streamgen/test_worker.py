"""The worker without thread or clock: real pipelines on engines that give the picture back."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamgen.admission import Limits
from streamgen.config import StreamConfig
from streamgen.errors import ConfigError, Full, ModelError
from streamgen.frame import Frame, Stamp
from streamgen.revise import Abilities
from streamgen.schedule import schedule_from
from streamgen.worker import SETTLE_NS, Worker

ONE, OTHER = (StreamConfig(model=name, width=16, height=16) for name in ("one", "other"))
MS = 1_000_000


class EchoEngines:
    """Redraw nothing: the picture that comes out says whose it is and which."""

    def __init__(self, config):
        self.schedule = schedule_from({"prediction_type": "sample"})
        self.latent_shape = (3, 2, 2)
        self.device = torch.device("cpu")
        self.abilities = Abilities(reads_picture=True, works_blind=False)
        self.model = SimpleNamespace(row=SimpleNamespace(controls={}))
        backend = SimpleNamespace(name="echo")
        self.choice = SimpleNamespace(backend=backend, device="cpu", rejected=())
        self.described_precision = "fp32"
        self.batches = []
        self.is_broken = False

    def encode(self, pixels):
        return torch.from_numpy(pixels[:, ::8, ::8].copy()).permute(0, 3, 1, 2).float()

    def unet(self, x, t, text, cond):
        self.batches.append(len(x))
        return cond["source"]

    def decode(self, latents):
        if self.is_broken:
            raise ModelError("model 'one' drew NaN or infinity")
        levels = latents.round().to(torch.uint8).permute(0, 2, 3, 1)
        return levels.repeat_interleave(8, 1).repeat_interleave(8, 2).numpy()

    def text(self, sentence):
        return torch.zeros(1, 1)

    def scaled(self, latent):
        return latent

    def cond_of(self, source):
        return {"source": source}


class Bench:
    """A worker and the engines that it loaded."""

    def __init__(self, **options):
        self.loaded = {}
        self.worker = Worker(self.load, **options)

    def load(self, config):
        if config.model == "missing":
            raise ModelError("model 'missing': no such model")
        self.loaded[config] = EchoEngines(config)
        return self.loaded[config]


@pytest.fixture
def bench():
    return Bench()


def picture(owner, index, ingest_ns=0):
    """A frame whose colour is its owner and its number."""
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[...] = (owner, index % 256, index // 256)
    stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=ingest_ns)
    return Frame(pixels=pixels, stamp=stamp)


def told(frame):
    """Return whose picture this is and which, from its colour."""
    owner, low, high = (int(value) for value in frame.pixels[8, 8])
    return owner, low + 256 * high


def test_the_newest_frame_wins_and_the_older_one_is_counted(bench):
    bench.worker.open("a", ONE, {})
    for index in range(5):
        bench.worker.put("a", picture(7, index))

    assert bench.worker.tick(0)
    assert not bench.worker.tick(1)
    assert told(bench.worker.take("a")) == (7, 4)
    assert bench.worker.take("a") is None
    status = bench.worker.status("a")
    assert (status.accepted, status.shown, status.under_way) == (5, 1, 0)
    assert status.dropped == {"overtaken": 4}


def test_a_picture_that_nobody_took_gives_way_to_a_newer_one(bench):
    bench.worker.open("a", ONE, {})
    for index in range(3):
        bench.worker.put("a", picture(7, index))
        bench.worker.tick(index)

    assert told(bench.worker.take("a")) == (7, 2)
    assert bench.worker.status("a").dropped == {"unseen": 2}


def test_streams_of_one_config_are_one_batch_and_others_take_turns(bench):
    for name, config in (("a", ONE), ("b", ONE), ("c", OTHER)):
        bench.worker.open(name, config, {})
    for turn, name in enumerate("cab"):
        bench.worker.put(name, picture(ord(name), turn, ingest_ns=turn))

    bench.worker.tick(10)
    assert bench.worker.take("a") is None and told(bench.worker.take("c")) == (ord("c"), 0)
    bench.worker.tick(11)
    assert bench.loaded[ONE].batches == [2]
    assert told(bench.worker.take("a")) == (ord("a"), 1)
    assert told(bench.worker.take("b")) == (ord("b"), 2)


def test_what_is_under_way_is_finished_when_no_more_frames_come(bench):
    bench.worker.open("a", ONE, {"steps": 3})
    for index in range(4):
        bench.worker.put("a", picture(1, index))
        bench.worker.tick(index)
        bench.worker.take("a")

    assert not bench.worker.tick(3 + SETTLE_NS - 1)
    assert bench.worker.tick(3 + SETTLE_NS)
    assert told(bench.worker.take("a")) == (1, 3)
    assert bench.worker.status("a").dropped == {"unseen": 1}


def test_a_patch_rules_the_next_frame(bench):
    bench.worker.open("a", ONE, {"prompts": "ink"})
    patched = bench.worker.patch("a", {"prompts": "oil"})
    bench.worker.put("a", picture(1, 0))
    bench.worker.tick(0)

    assert bench.worker.take("a").stamp.revision == patched.revision == 1
    assert bench.worker.status("a").controls["prompts"] == [{"text": "oil", "weight": 1.0}]


def test_a_model_that_cannot_be_loaded_is_told_by_its_streams_alone(bench):
    bench.worker.open("a", ONE, {})
    bench.worker.open("b", StreamConfig(model="missing", width=16, height=16), {})
    bench.worker.put("b", picture(1, 0))

    status = bench.worker.status("b")
    assert (status.state, status.failure) == ("failed", "model 'missing': no such model")
    assert bench.worker.status("a").state == "live"
    assert bench.worker.close("b").dropped == {"failed": 1}


def test_a_batch_that_fails_is_counted_and_the_streams_go_on(bench):
    bench.worker.open("a", ONE, {})
    bench.loaded[ONE].is_broken = True
    bench.worker.put("a", picture(1, 0))
    bench.worker.tick(0)
    bench.loaded[ONE].is_broken = False
    bench.worker.put("a", picture(1, 1))
    bench.worker.tick(1)

    assert told(bench.worker.take("a")) == (1, 1)
    assert bench.worker.status("a").dropped == {"failed": 1}


@pytest.mark.parametrize(
    ("limits", "needed", "sentence"),
    [
        (Limits(max_streams=1), 0, "1 streams are open, as many as are allowed"),
        (Limits(), 2**60, "memory: this stream needs about"),
        (Limits(min_fps=1e9), 0, "speed: with one more stream each would get"),
    ],
)
def test_there_is_room_or_a_sentence_that_says_what_is_short(limits, needed, sentence):
    bench = Bench(limits=limits, needed_bytes=lambda config: needed if config == OTHER else 0)
    bench.worker.open("a", ONE, {})
    bench.worker.put("a", picture(1, 0))
    bench.worker.tick(0)
    with pytest.raises(Full, match=sentence):
        bench.worker.open("b", OTHER if needed else ONE, {})
    assert bench.worker.status("a").state == "live"


def test_names_are_unique_and_must_be_known(bench):
    bench.worker.open("a", ONE, {})
    with pytest.raises(ConfigError, match="stream 'a' is open already"):
        bench.worker.open("a", ONE, {})
    with pytest.raises(ConfigError, match="stream 'b' is not open"):
        bench.worker.put("b", picture(1, 0))


@settings(max_examples=60, deadline=None)
@given(
    model_ms=st.integers(1, 300),
    intervals_ms=st.lists(st.integers(5, 120), min_size=1, max_size=6),
    jitter=st.randoms(use_true_random=False),
)
def test_a_shown_frame_is_never_older_than_one_model_and_one_input_interval(
    model_ms, intervals_ms, jitter
):
    bench = Bench()
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

    def __init__(self):
        super().__init__()
        self.bench = Bench(limits=Limits(max_streams=3))
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
        self.bench.worker.put(name, picture(ord(name), index, self.now))
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
            assert told(frame) == (ord(name), frame.stamp.index)
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
            assert status.under_way <= 2 + 4  # two slots of one frame, and the rows of four steps


Traffic.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_traffic = Traffic.TestCase
