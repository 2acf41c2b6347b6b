"""Real engines under a stream that runs: the better ones take over, others are changed to."""

from __future__ import annotations

import gc
import weakref
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from engines.cache import EngineCache
from engines.errors import BuildError
from engines.progress import BuildEvent
from streamgen.config import StreamConfig
from streamgen.frame import Frame, Stamp
from streamgen.models.engines import load_engines
from streamgen.worker import SETTLE_NS, Worker

STEP_NS = SETTLE_NS


class Later:
    """An executor that works when it is told to."""

    def __init__(self):
        self.asked = []

    def submit(self, work, *args):
        self.asked.append((work, args))

    def work(self):
        while self.asked:
            work, args = self.asked.pop(0)
            work(*args)


def config_of(side, backend="openvino", precision="fp32"):
    return StreamConfig(model="tiny", width=side, height=side, backend=backend, precision=precision)


class Viewer:
    """Feeds a stream frame by frame, and looks at every picture."""

    def __init__(self, worker):
        self.worker, self.now, self.count, self.sizes = worker, 0, 0, []

    def see(self, name, side, frames=1):
        """Put frames, each after the picture of the one before came."""
        for _ in range(frames):
            pixels = np.random.default_rng(self.count).integers(0, 256, (side, side, 3), np.uint8)
            stamp = Stamp(
                index=self.count, pts=self.count, time_base=Fraction(1, 25), ingest_ns=self.now
            )
            self.worker.put(name, Frame(pixels=pixels, stamp=stamp))
            shown = None
            for _ in range(3):  # a frame of more than one step settles when none comes after it
                self.now += STEP_NS
                self.worker.tick(self.now)
                shown = shown or self.worker.take(name)
            assert shown is not None and shown.stamp.index == self.count
            assert (shown.width, shown.height) == (side, side)
            self.count += 1


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return EngineCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def later():
    return Later()


@pytest.fixture
def worker(cache, later):
    known = weakref.WeakSet()

    def load(config):
        engines = load_engines(config, cache, executor=later, start="at_once")
        known.add(engines)
        return engines

    made = Worker(load)
    made.known = known
    return made


def group_of(worker, config):
    return next(group for group in worker.groups() if group.config == config)


def test_torch_draws_at_once_and_openvino_takes_over_when_it_is_built(worker, later):
    config, viewer = config_of(64), Viewer(worker)
    worker.open("a", config, {"steps": 2})
    group = group_of(worker, config)
    assert (group.backend, group.upcoming.backend) == ("torch", "openvino")
    assert (group.upcoming.stage, group.upcoming.failure) == ("waiting", None)
    viewer.see("a", 64, 2)
    later.work()
    viewer.see("a", 64, 3)
    group = group_of(worker, config)
    assert (group.backend, group.precision, group.upcoming) == ("openvino", "fp32", None)
    assert worker.status("a").dropped == {}
    gc.collect()
    assert not worker.known  # the stand-in is gone


def test_what_is_in_the_cache_draws_from_the_first_frame_on(worker, cache):
    load_engines(config_of(64), cache)
    worker.open("a", config_of(64), {})
    group = group_of(worker, config_of(64))
    assert (group.backend, group.upcoming) == ("openvino", None)


def test_a_build_that_fails_leaves_the_stand_in_and_says_why(cache, later, caplog):
    def broken(config, wanted, *, cache, tell, cancel):
        assert wanted == [("vae_encoder", 1), ("unet", 1), ("vae_decoder", 1)]
        tell(BuildEvent(role="unet", stage="failed"))
        raise BuildError("unet: no memory")

    load = partial(load_engines, cache=cache, executor=later, prebuild=broken, start="at_once")
    worker = Worker(load)
    config, viewer = config_of(72), Viewer(worker)
    worker.open("a", config, {})
    later.work()
    viewer.see("a", 72, 2)
    group = group_of(worker, config)
    assert group.backend == "torch"
    assert (group.upcoming.stage, group.upcoming.failure) == ("failed", "unet: no memory")
    assert "openvino will not draw here: unet: no memory" in caplog.text


def test_int8_is_stood_in_for_by_the_float_beside_it(worker, later):
    pytest.importorskip("nncf", reason="nncf is not installed: pip install 'streamgen[int8]'")
    config = config_of(64, precision="int8")
    worker.open("a", config, {})
    group = group_of(worker, config)
    assert group.backend == "torch" and group.precision in ("bf16", "fp32")
    assert group.upcoming.precision.startswith("int8 autoencoder")


def test_backend_size_precision_streams_and_steps_change_and_every_frame_gets_its_picture(
    worker, later
):
    viewer = Viewer(worker)
    way = [
        (256, "torch", "fp32"),
        (256, "openvino", "fp32"),
        (384, "openvino", "fp32"),
        (256, "openvino", "fp32"),
        (256, "openvino", "bf16" if "bf16" in openvino_precisions() else "auto"),
    ]
    worker.open("part 0", config_of(*way[0]), {"prompts": "ink"})
    viewer.see("part 0", way[0][0], 2)
    for number, (side, *rest) in enumerate(way[1:], start=1):
        worker.open(f"part {number}", config_of(side, *rest), {"prompts": "ink"})
        viewer.see(f"part {number - 1}", way[number - 1][0], 2)  # while the next one is built
        later.work()
        worker.finish(f"part {number - 1}")
        worker.tick(viewer.now)
        viewer.see(f"part {number}", side, 2)
        last = worker.close(f"part {number - 1}")
        assert (last.accepted, last.dropped) == (last.shown, {})
    name, side = f"part {len(way) - 1}", way[-1][0]
    worker.open("another", config_of(*way[-1]), {"prompts": "oil"})
    for steps in (1, 2, 1):
        worker.patch(name, {"steps": steps})
        viewer.see(name, side, 2)
        viewer.see("another", side, 2)
        later.work()  # batch sizes that turned out to be needed
    worker.close("another")
    viewer.see(name, side, 2)
    last = worker.close(name)
    assert (last.accepted, last.dropped) == (last.shown, {})


def test_two_streams_drawn_together_miss_nothing_while_their_batch_is_compiled(worker, later):
    config = config_of(64)
    for name in ("a", "b"):
        worker.open(name, config, {})
    later.work()
    for index in range(6):
        if index == 3:
            assert later.asked
            later.work()
        pixels = np.full((64, 64, 3), 30 * index, np.uint8)
        stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=index)
        for name in ("a", "b"):
            worker.put(name, Frame(pixels=pixels, stamp=stamp))
        worker.tick(index)
        assert [worker.take(name).stamp.index for name in ("a", "b")] == [index] * 2


def test_ten_changes_leave_no_more_engines_than_two(worker, later):
    viewer = Viewer(worker)
    for number in range(10):
        side = (64, 72, 80)[number % 3]
        config = config_of(side, backend="torch")
        worker.open(f"part {number}", config, {})
        viewer.see(f"part {number}", side)
        if number:
            worker.close(f"part {number - 1}")
        worker.tick(viewer.now)
        gc.collect()
        assert len(worker.known) <= 3


def openvino_precisions():
    from engines.registry import backend

    return backend("openvino").precisions("cpu")
