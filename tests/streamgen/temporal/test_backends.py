"""Memory with the model that comes with us, on two backends: rows share calls and nothing else."""

import numpy as np
import pytest

from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.models.engines import load_engines
from streamgen.pipeline import Pipeline
from streamgen.quality import psnr

CACHE = {"temporal_strength": 0.6, "prompts": "watercolor"}
ALL = {
    **CACHE,
    "colour_anchor": 0.5,
    "bank_strength": 0.7,
    "bank_fusion": 0.5,
    "noise": "moving",
    "reuse": "on",
}
KINDS = {"the cache": CACHE, "every memory": ALL}
#: After so many pictures nothing may be left of another scene or style, to so many dB.
SOON, ALIKE_DB = 4, 35.0


@pytest.fixture(scope="module", params=["torch", "openvino"])
def engines(request):
    asked = StreamConfig(model="tiny", width=64, height=64, precision="fp32", backend=request.param)
    loaded = load_engines(asked)
    yield loaded
    loaded.close()


@pytest.fixture(params=KINDS)
def asked(request):
    return {**KINDS[request.param], "similarity_filter": "off"}


def drawn(engines, controls, videos, *, then=None, at=0):
    """Return the pictures of each video, drawn beside the others; then: controls from `at` on."""
    pipeline = Pipeline(engines)
    streams = [pipeline.open_stream(f"{k}", controls) for k in range(len(videos))]
    answers = []
    for tick, frames in enumerate(zip(*videos, strict=True)):
        if then is not None and tick == at:
            for stream in streams:
                stream.revision = pipeline.reviser().revise(then, 2)
        answers += pipeline.tick(streams, frames, 0)
    answers += pipeline.flush(streams)
    return [[a.frame.pixels for a in answers if a.stream is stream] for stream in streams]


def apart(ours, others):
    return np.abs(np.stack(ours).astype(int) - np.stack(others)).max()


def test_sequential_equals_stream_batch_and_together_equals_alone(engines, panned, asked):
    asked = {**asked, "t_index_list": (10, 30)}
    videos = [[panned(k, seed=seed, side=64, speed=2.0) for k in range(5)] for seed in (1, 2)]

    together = drawn(engines, controls_from(asked), videos)
    one_by_one = drawn(engines, controls_from({**asked, "denoising": "sequential"}), videos[:1])
    alone = drawn(engines, controls_from(asked), videos[:1])
    without = drawn(engines, controls_from({**asked, "temporal_strength": 0.0}), videos[:1])

    assert apart(together[0], one_by_one[0]) <= 1
    assert apart(together[0], alone[0]) <= 1
    assert apart(alone[0], without[0]) > 4


def test_after_a_hard_cut_the_stream_is_soon_one_that_began_there(engines, panned, asked):
    first, second = ([panned(k, seed=s, side=64, speed=2.0) for k in range(8)] for s in (1, 2))

    (through,) = drawn(engines, controls_from(asked), [first[:4] + second[4:]])
    (anew,) = drawn(engines, controls_from(asked), [second[4:]])

    assert min(map(psnr, through[4:][SOON - 1 :], anew[SOON - 1 :])) >= ALIKE_DB


def test_after_another_prompt_the_stream_is_soon_one_that_began_with_it(engines, panned, asked):
    frames = [panned(k, seed=3, side=64, speed=2.0) for k in range(10)]
    then = controls_from({**asked, "prompts": "thermal"})

    (through,) = drawn(engines, controls_from(asked), [frames], then=then, at=4)
    (anew,) = drawn(engines, then, [frames[4:]])

    assert min(map(psnr, through[4:][SOON - 1 :], anew[SOON - 1 :])) >= ALIKE_DB
