"""Memory with the model that comes with us, on two backends: rows share calls and nothing else."""

import numpy as np
import pytest

from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.models.engines import load_engines
from streamgen.pipeline import Pipeline

KEEP = {"temporal_strength": 0.6, "t_index_list": (10, 30), "prompts": "watercolor"}


@pytest.fixture(scope="module", params=["torch", "openvino"])
def engines(request):
    asked = StreamConfig(model="tiny", width=64, height=64, precision="fp32", backend=request.param)
    loaded = load_engines(asked)
    yield loaded
    loaded.close()


def drawn(engines, controls, videos):
    """Return the pictures of each video, drawn beside the others."""
    pipeline = Pipeline(engines)
    streams = [pipeline.open_stream(f"{k}", controls) for k in range(len(videos))]
    answers = [a for frames in zip(*videos, strict=True) for a in pipeline.tick(streams, frames, 0)]
    answers += pipeline.flush(streams)
    return [[a.frame.pixels for a in answers if a.stream is stream] for stream in streams]


def test_sequential_equals_stream_batch_and_together_equals_alone(engines, panned):
    videos = [[panned(k, seed=seed, side=64, speed=2.0) for k in range(5)] for seed in (1, 2)]

    together = drawn(engines, controls_from(KEEP), videos)
    one_by_one = drawn(engines, controls_from({**KEEP, "denoising": "sequential"}), videos[:1])
    alone = drawn(engines, controls_from(KEEP), videos[:1])
    without = drawn(engines, controls_from({**KEEP, "temporal_strength": 0.0}), videos[:1])

    for others in (one_by_one, alone):
        apart = np.stack(together[0]).astype(int) - np.stack(others[0])
        assert np.abs(apart).max() <= 1
    assert np.abs(np.stack(alone[0]).astype(int) - np.stack(without[0])).max() > 4
