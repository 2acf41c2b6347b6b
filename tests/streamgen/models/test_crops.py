"""The built-in model's autoencoder in part, against the whole."""

from __future__ import annotations

from concurrent.futures import Future
from fractions import Fraction

import numpy as np
import pytest
import torch

from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.errors import ConfigError
from streamgen.frame import Frame, Stamp
from streamgen.models.crops import AutoencoderCrops, crops_of
from streamgen.models.engines import load_engines
from streamgen.models.quantised import real_frames
from streamgen.pipeline import Pipeline

SIDE = 128
STAMP = Stamp(index=0, pts=0, time_base=Fraction(1, 25), ingest_ns=0)


@pytest.fixture(scope="module", params=["torch", "openvino"])
def engines(request):
    config = StreamConfig(
        model="tiny", width=SIDE, height=SIDE, backend=request.param, precision="fp32"
    )
    return load_engines(config)


@pytest.fixture(scope="module")
def pictures():
    """A frame of the packaged clip, and another scene: it recoloured and upside down."""
    first, *_ = real_frames(SIDE, SIDE)[0]
    return first, np.ascontiguousarray(255 - first[::-1])


def with_patch(pixels, column):
    """The picture with eight of its lowest pixels at its upper edge as well."""
    changed = pixels.copy()
    changed[:8, column : column + 8] = pixels[-8:, 40:48]
    return changed


def draw(pipeline, stream, *pictures):
    """Return the last picture that came out."""
    frames = [Frame(pixels=pixels, stamp=STAMP) for pixels in pictures]
    answers = [each for frame in frames for each in pipeline.tick([stream], [frame], now=0)]
    return answers[-1].frame.pixels.astype(int)


def begin(pipeline, **controls):
    asked = {"reuse": "on", "prompts": ["watercolor"], **controls}
    return pipeline.open_stream("stream", controls_from(asked))


def test_a_crop_is_as_on_the_whole(engines, pictures):
    crops = crops_of(engines)
    height, width = crops.size_for(8, 8)
    whole = engines.encode(pictures[0][None])[0]
    part = crops.encode(np.ascontiguousarray(pictures[0][: height * 8, : width * 8]))
    # Where a crop ends inside of the picture, a margin of it is of no use.
    rows, columns = height - 4, width - 4
    torch.testing.assert_close(
        part[:, :rows, :columns], whole[:, :rows, :columns], atol=1e-2, rtol=0
    )
    latent = engines.scaled(whole)
    picture = engines.decode(latent[None])[0, : rows * 8, : columns * 8].astype(int)
    drawn = crops.decode(latent[:, :height, :width])[: rows * 8, : columns * 8].astype(int)
    assert np.abs(drawn - picture).max() <= 1


def test_what_is_drawn_in_part_is_a_decoding_of_the_whole(engines, pictures):
    pipeline = Pipeline(engines)
    stream = begin(pipeline)
    for column in (0, 8, 16):
        shown = draw(pipeline, stream, with_patch(pictures[0], column))
    decoded = engines.decode(stream.memory.drawn.latent[None])[0].astype(int)
    assert np.abs(shown - decoded).max() <= 1


def test_a_picture_drawn_in_part_is_near_the_picture_drawn_whole(engines, pictures):
    pipeline = Pipeline(engines)
    part, whole = begin(pipeline), begin(pipeline, reuse="off")
    for column in (0, 8, 16):
        changed = with_patch(pictures[0], column)
        apart = np.abs(draw(pipeline, part, changed) - draw(pipeline, whole, changed))
    # The denoiser answers a little to a change anywhere, which is left out elsewhere.
    assert apart.max() <= 6
    assert apart.mean() < 0.5


def test_the_first_picture_after_a_cut_is_as_one_that_began_there(engines, pictures):
    pipeline = Pipeline(engines)
    after = draw(pipeline, begin(pipeline), *pictures)
    assert np.array_equal(after, draw(pipeline, begin(pipeline), pictures[1]))


def test_nothing_is_left_of_what_was_under_way_at_a_cut(engines, pictures):
    pipeline, scene = Pipeline(engines), [with_patch(pictures[1], 8 * k) for k in range(4)]
    after = draw(pipeline, begin(pipeline, steps=2), pictures[0], *scene)
    begun = draw(pipeline, begin(pipeline, steps=2), *scene)
    assert np.abs(after - begun).max() <= 6


def test_nothing_is_left_of_what_another_prompt_drew(engines, pictures):
    pipeline = Pipeline(engines)
    stream = begin(pipeline, prompts=["neon"])
    draw(pipeline, stream, pictures[0])
    asked = controls_from({"reuse": "on", "prompts": ["watercolor"]})
    stream.revision = pipeline.reviser().revise(asked, 1)
    begun = draw(pipeline, begin(pipeline), pictures[0])
    assert np.abs(draw(pipeline, stream, pictures[0]) - begun).max() <= 6


def test_after_a_reset_a_picture_is_as_the_first(engines, pictures):
    pipeline = Pipeline(engines)
    stream = begin(pipeline)
    first = draw(pipeline, stream, pictures[0])
    draw(pipeline, stream, with_patch(pictures[0], 0))
    stream.reset()
    assert np.array_equal(draw(pipeline, stream, pictures[0]), first)


def test_a_size_that_is_still_being_compiled_is_none():
    class Later:
        def submit(self, work, *args):
            self.work = [*getattr(self, "work", []), (work, args)]
            return Future()

    config = StreamConfig(
        model="tiny", width=SIDE, height=SIDE, backend="openvino", precision="fp32"
    )
    later = Later()
    crops = AutoencoderCrops(load_engines(config), later)
    assert crops.size_for(8, 8) is None
    for work, args in later.work:
        work(*args)
    assert crops.size_for(8, 8) == (8, 8)


def test_a_model_that_sees_the_whole_picture_refuses(plain_folder):
    config = StreamConfig(model=str(plain_folder), width=64, height=64, backend="torch")
    pipeline = Pipeline(load_engines(config))
    with pytest.raises(ConfigError, match="reuse on: needs an AutoencoderTiny on a CPU"):
        begin(pipeline)
