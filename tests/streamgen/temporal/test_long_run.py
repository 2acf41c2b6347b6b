"""A stream that goes on for long, with the model that comes with us: it grows in no way.

With STREAMGEN_SOAK=1 there are 10,080 frames of 256 x 256, else 480 of 64 x 64.
"""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.models.engines import load_engines
from streamgen.models.registry import find_model
from streamgen.pipeline import Pipeline

IS_SOAK = bool(os.environ.get("STREAMGEN_SOAK"))
FRAMES, SIDE = (10_080, 256) if IS_SOAK else (480, 64)
#: A window of so many frames counts as one: whole ways of the camera there and back, 48 each.
WINDOW = FRAMES // 10
#: CIE76 units that the mean colour of a window may be from what the model draws by itself.
DRIFT = 1.0
#: And what the process may grow by in the second half: the first is the allocator's to warm up.
GROWTH_BYTES = (16 if IS_SOAK else 64) * 2**20


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def mean_colour(pixels):
    return cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).mean(axis=(0, 1))


def run(strength, panned, *, count=FRAMES):
    """Return the mean colour of each window, and the memory at the end of each."""
    engines = load_engines(StreamConfig(model="tiny", width=SIDE, height=SIDE, backend="openvino"))
    asked = {"similarity_filter": "off", "temporal_strength": strength}
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream(
        "long", controls_from(asked, defaults=find_model("tiny").controls)
    )
    # There and back again, for ever: a camera that never stands still.
    path = [panned(index, side=SIDE, speed=SIDE / 64) for index in range(25)]
    path += path[-2:0:-1]
    colours, sizes = [], []
    for index in range(count):
        (answer,) = pipeline.tick([stream], [path[index % len(path)]], index)
        colours.append(mean_colour(answer.frame.pixels))
        if (index + 1) % WINDOW == 0:
            sizes.append(resident_bytes())
    engines.close()
    return np.array(colours).reshape(-1, WINDOW, 3).mean(axis=1), sizes


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="tells memory on Linux only")
def test_neither_colours_drift_nor_memory_grows(panned, record_property):
    with_memory, sizes = run(find_model("tiny").controls["temporal_strength"], panned)
    # What it is shown comes again and again, and so does what it makes of it by itself.
    without, _ = run(0.0, panned, count=WINDOW)

    apart = np.linalg.norm(with_memory - without, axis=1)
    record_property("apart", apart.round(3).tolist())
    record_property("bytes", sizes)
    assert apart.max() <= DRIFT
    half = len(sizes) // 2
    assert max(sizes[half:]) - sizes[half - 1] <= GROWTH_BYTES
