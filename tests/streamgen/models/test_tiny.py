"""What the weights in the package do with a frame of the sample clip."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image

import streamgen
from engines.cache import EngineCache
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.frame import Frame, Stamp
from streamgen.models.engines import load_engines
from streamgen.models.registry import find_model
from streamgen.pipeline import Pipeline
from streamgen.quality import edge_ssim, mean_difference, psnr
from streamgen.rows import NoiseBank
from streamgen.sources import Size, open_source

SIZE = 256
FOLDER = find_model("tiny").location


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    config = StreamConfig(
        model="tiny", width=SIZE, height=SIZE, backend="torch", precision="fp32", device="cpu"
    )
    return load_engines(config, EngineCache(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def picture():
    clip = Path(streamgen.__file__).parent / "samples" / "webcam.mp4"
    with open_source(clip, size=Size(SIZE, SIZE)) as source:
        return next(source.frames()).pixels


@pytest.fixture(scope="module")
def redraw(engines, picture):
    def draw(**controls):
        pipeline = Pipeline(engines)
        stream = pipeline.open_stream("one", controls_from(controls))
        stamp = Stamp(index=0, pts=0, time_base=Fraction(1, 25), ingest_ns=0)
        return pipeline.tick([stream], [Frame(pixels=picture, stamp=stamp)], 0)[0].frame.pixels

    return draw


def test_the_folder_is_at_most_24_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 24e6


def test_one_step_is_the_picture_that_diffusers_draws(engines, picture, redraw):
    ours = redraw(prompts="oil painting", strength=1.0, seed=3)
    reference = DiffusionPipeline.from_pretrained(FOLDER, dtype=torch.float32)
    reference.set_progress_bar_config(disable=True)
    noise = NoiseBank(shape=engines.latent_shape, device=torch.device("cpu"))
    clean = engines.scaled(engines.encode(picture[None]))
    level = engines.schedule.level(0)
    theirs = reference(
        "oil painting",
        image=Image.fromarray(picture),
        latents=level.alpha * clean + level.sigma * noise.take(controls_from({"seed": 3}), 1)[0],
        num_inference_steps=1,
        guidance_scale=1.0,
        output_type="np",
    ).images[0]
    levels = (theirs * 255).round().astype(int)
    assert np.abs(ours.astype(int) - levels).max() <= 1


def test_styles_differ_from_the_picture_and_from_each_other(picture, redraw):
    drawn = [redraw(prompts=style) for style in ("watercolor", "pencil sketch", "cyberpunk")]
    for k, one in enumerate(drawn):
        assert mean_difference(one, picture) > 8
        assert edge_ssim(one, picture) > 0.4
        assert all(mean_difference(one, other) > 8 for other in drawn[k + 1 :])


def test_an_empty_prompt_and_no_strength_leave_the_picture(picture, redraw):
    assert psnr(redraw(prompts=""), picture) > 20
    assert psnr(redraw(prompts="cyberpunk", strength=0.0), picture) > 23


def test_more_strength_moves_further_from_the_picture(picture, redraw):
    strengths = (0.0, 0.25, 0.5, 0.8)
    distances = [
        mean_difference(redraw(prompts="pencil sketch", strength=each), picture)
        for each in strengths
    ]
    assert distances == sorted(distances)


def test_a_negative_prompt_is_really_used(redraw):
    asked = {"prompts": "oil painting", "guidance_scale": 2.0}
    plain, negative = redraw(**asked), redraw(**asked, negative_prompt="vivid")
    assert mean_difference(plain, negative) > 2
