"""Patches that come before the model is ready: answered at once, in force from the first frame."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from fractions import Fraction

import numpy as np
import pytest

from streamgen.child import ChildOptions
from streamgen.config import StreamConfig
from streamgen.errors import ConfigError
from streamgen.frame import Frame, Stamp
from streamgen.passthrough import PassthroughEngines, make_passthrough_worker
from streamgen.worker import Worker

CONFIG = StreamConfig(model="passthrough", width=16, height=16)


class Later(Executor):
    """Does what it is given when it is told to, in order."""

    def __init__(self):
        self.work = []

    def submit(self, function, /, *args, **options):
        future = Future()
        self.work.append(lambda: future.set_result(function(*args, **options)))
        return future

    def run(self):
        while self.work:
            self.work.pop(0)()


def picture(index):
    pixels = np.full((16, 16, 3), index, np.uint8)
    stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=index)
    return Frame(pixels=pixels, stamp=stamp)


@pytest.fixture
def later():
    return Later()


@pytest.fixture
def worker(later):
    worker = Worker(
        lambda config: PassthroughEngines(config=config),
        executor=later,
        defaults=lambda config: {"prompts": "watercolor"},
    )
    worker.open("a", CONFIG, {"steps": 2})
    return worker


def first_frame(worker, later):
    later.run()
    worker.put("a", picture(3))
    worker.tick(0)
    return worker.take("a")


def test_an_early_patch_is_in_force_for_the_first_frame(worker, later):
    patched = worker.patch("a", {"prompts": "oil", "strength": 0.3})
    assert patched.controls.prompts[0].text == "oil" and patched.controls.steps == 2
    assert worker.status("a").controls["strength"] == 0.3
    assert worker.status("a").state == "loading"

    frame = first_frame(worker, later)

    assert frame.stamp.revision == patched.revision == 1
    assert worker.status("a").controls["prompts"] == [{"text": "oil", "weight": 1.0}]
    assert (frame.pixels == 3).all()


def test_early_patches_keep_their_order_and_their_numbers(worker, later):
    worker.patch("a", {"strength": 0.3}, hand="live", sequence=5)
    late = worker.patch("a", {"strength": 0.9}, hand="live", sequence=4)
    newest = worker.patch("a", {"steps": 3}, hand="control", sequence=1)
    assert (late.is_stale, newest.is_stale) == (True, False)

    assert first_frame(worker, later).stamp.revision == newest.revision == 2
    controls = worker.status("a").controls
    assert (controls["strength"], controls["steps"]) == (0.3, 3)
    assert worker.patch("a", {"strength": 0.1}, hand="live", sequence=5).is_stale
    assert worker.patch("a", {"strength": 0.1}, hand="live", sequence=6).revision == 3


def test_none_puts_an_early_change_back_to_what_the_stream_was_opened_with(worker, later):
    worker.patch("a", {"steps": 4})
    later.run()
    assert worker.patch("a", {"steps": None}).controls.steps == 2


def test_an_early_patch_that_cannot_be_is_refused_at_once(worker, later):
    with pytest.raises(ConfigError, match="strength 2: give a number from 0 to 1"):
        worker.patch("a", {"strength": 2})
    with pytest.raises(ConfigError, match="strength 2: give a number from 0 to 1"):
        worker.open("b", CONFIG, {"strength": 2})
    assert first_frame(worker, later).stamp.revision == 0


def test_an_early_patch_that_the_model_cannot_do_is_told_and_the_stream_goes_on(worker, later):
    worker.patch("a", {"image_guidance_scale": 2.0})
    worker.patch("a", {"strength": 0.4})

    assert first_frame(worker, later) is not None
    status = worker.status("a")
    assert "image_guidance_scale 2: this model was never trained" in status.control_failure
    assert status.controls["strength"] == 0.4
    worker.patch("a", {"strength": 0.5})
    later.run()
    assert worker.status("a").control_failure is None


def test_a_stream_whose_model_failed_says_so_to_a_patch(later):
    worker = Worker(lambda config: 1 / 0, executor=later)
    worker.open("a", CONFIG, {})
    later.run()
    with pytest.raises(ConfigError, match="this stream failed: division by zero"):
        worker.patch("a", {"steps": 2})


def test_the_passthrough_worker_gives_pictures_back():
    worker = make_passthrough_worker(ChildOptions(threads=1, max_streams=1, min_fps=0))
    pixels = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    worker.open("a", CONFIG, {"steps": 3, "denoising": "sequential"})
    worker.put("a", Frame(pixels=pixels, stamp=picture(0).stamp))
    worker.tick(0)
    assert (worker.take("a").pixels == pixels).all()
    assert worker.groups()[0].backend == "passthrough"
