"""Pictures from words alone, and full guidance, against diffusers' own pipeline."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from diffusers import LCMScheduler, StableDiffusionPipeline

from engines.cache import EngineCache
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.frame import Blank, Stamp
from streamgen.models.engines import load_engines
from streamgen.pipeline import Pipeline

SIZE = 64
BLANK = Blank(stamp=Stamp(index=0, pts=0, time_base=Fraction(1, 25), ingest_ns=0))
# Timesteps of LCMScheduler at 50 original steps, and the same ones by number here.
LADDERS = {1: [0], 2: [0, 25], 4: [0, 12, 25, 37]}


@pytest.fixture(scope="module")
def lcm_folder(plain_folder, tmp_path_factory):
    """The plain model with the scheduler of a latent consistency model."""
    folder = tmp_path_factory.mktemp("lcm")
    pipeline = StableDiffusionPipeline.from_pretrained(plain_folder)
    pipeline.scheduler = LCMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def engines(lcm_folder, tmp_path_factory):
    config = StreamConfig(
        model=str(lcm_folder), width=SIZE, height=SIZE, backend="torch", precision="fp32"
    )
    return load_engines(config, EngineCache(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_words_alone_are_the_pictures_of_diffusers(lcm_folder, engines, steps, scale):
    asked = {"prompts": "oil", "negative_prompt": "a pencil", "guidance_scale": scale}
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream(
        "words", controls_from({**asked, "t_index_list": LADDERS[steps]}), has_picture=False
    )
    noises = stream.noise.take(stream.revision.controls, steps)
    [answer] = pipeline.tick([stream], [BLANK], 0)

    theirs = StableDiffusionPipeline.from_pretrained(lcm_folder)
    theirs.set_progress_bar_config(disable=True)
    following = iter(noises[1:])
    step = theirs.scheduler.step

    def step_with_our_noise(*args, **kwargs):
        state = torch.get_rng_state()
        clean = step(*args, **kwargs)[1]
        torch.set_rng_state(state)
        index = theirs.scheduler.step_index
        if index == steps:
            return clean, clean
        alpha = theirs.scheduler.alphas_cumprod[theirs.scheduler.timesteps[index]]
        return alpha.sqrt() * clean + (1 - alpha).sqrt() * next(following)[None], clean

    theirs.scheduler.step = step_with_our_noise
    expected = theirs(
        "oil",
        negative_prompt="a pencil",
        guidance_scale=scale,
        num_inference_steps=steps,
        timesteps=None,
        latents=noises[0][None].clone(),
        height=SIZE,
        width=SIZE,
        output_type="np",
    ).images[0]

    assert [int(t) for t in theirs.scheduler.timesteps] == [
        level.t for level in stream.revision.levels
    ]
    pixels = (expected * 255).round().astype(int)
    assert np.abs(answer.frame.pixels.astype(int) - pixels).max() <= 1
