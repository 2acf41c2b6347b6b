"""Latent consistency models that were taught to guide themselves, against diffusers' own."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from diffusers import LatentConsistencyModelPipeline

from engines.cache import EngineCache
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.errors import ConfigError
from streamgen.frame import Blank, Stamp
from streamgen.guidance import guidance_embedding
from streamgen.models.engines import load_engines
from streamgen.models.registry import find_model
from streamgen.pipeline import Pipeline

SIZE = 64
BLANK = Blank(stamp=Stamp(index=0, pts=0, time_base=Fraction(1, 25), ingest_ns=0))


@pytest.fixture(scope="module")
def engines(guided_folder, tmp_path_factory):
    config = StreamConfig(
        model=str(guided_folder), width=SIZE, height=SIZE, backend="torch", precision="fp32"
    )
    return load_engines(config, EngineCache(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def theirs(guided_folder):
    pipeline = LatentConsistencyModelPipeline.from_pretrained(guided_folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def words_alone(engines, **controls):
    pipeline = Pipeline(engines)
    asked = {"prompts": "oil", "guidance": "none", "t_index_list": [0], **controls}
    stream = pipeline.open_stream("one", controls_from(asked), has_picture=False)
    noise = stream.noise.take(stream.revision.controls, 1)[0]
    [answer] = pipeline.tick([stream], [BLANK], 0)
    return answer.frame.pixels.astype(int), noise


@pytest.mark.parametrize("scale", [1.0, 8.0, 20.0])
def test_the_scale_is_told_as_diffusers_tells_it(theirs, scale):
    expected = theirs.get_guidance_scale_embedding(torch.tensor([scale - 1]), embedding_dim=256)
    assert torch.allclose(guidance_embedding(scale, 256), expected[0], atol=2e-3)


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_a_picture_is_that_of_diffusers(engines, theirs, scale):
    ours, noise = words_alone(engines, guidance_scale=scale)
    expected = theirs(
        "oil",
        guidance_scale=scale,
        num_inference_steps=1,
        latents=noise[None].clone(),
        height=SIZE,
        width=SIZE,
        output_type="np",
    ).images[0]

    assert np.abs(ours - (expected * 255).round().astype(int)).max() <= 1


def test_the_scale_changes_the_picture_without_a_further_pass(engines):
    revisions = [
        Pipeline(engines)
        .open_stream("one", controls_from({"guidance": "none", "guidance_scale": scale}))
        .revision
        for scale in (1.0, 8.0)
    ]
    assert [each.negative_text for each in revisions] == [None, None]
    assert not torch.equal(*(each.cond["guidance"] for each in revisions))
    a, b = (words_alone(engines, guidance_scale=scale)[0] for scale in (1.0, 8.0))
    assert np.abs(a - b).max() > 0


@pytest.mark.parametrize("guidance", ["full", "self", "initialize"])
def test_guidance_from_outside_is_refused(engines, guidance):
    controls = controls_from({"guidance": guidance, "guidance_scale": 2.0})
    with pytest.raises(ConfigError, match=f"guidance {guidance}: this model guides itself by the"):
        Pipeline(engines).open_stream("one", controls)


def test_the_latent_consistency_model_is_known_by_name():
    row = find_model("sd15-lcm")
    assert row.location == "SimianLuo/LCM_Dreamshaper_v7"
    assert controls_from(dict(row.controls)).guidance == "none"
