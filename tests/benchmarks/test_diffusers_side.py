from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import LCMScheduler, PNDMScheduler
from PIL import Image

from benchmarks.diffusers_side import (
    CLASSES,
    PLAIN,
    Form,
    best_form,
    diffusers_rival,
    drawing,
    fitting_scheduler,
    load_pipeline,
    unet_timesteps,
)
from benchmarks.machine import has_bf16
from streamgen.errors import ConfigError, ModelError

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))


def test_the_built_in_model_is_drawn_by_the_pipeline_that_its_folder_names(engines, revise):
    rival = diffusers_rival(engines, revise(engines, prompts="watercolor", steps=2))

    assert rival.facts["pipeline"] == "StableDiffusionInstructPix2PixPipeline"
    assert rival.facts["scheduler"] == "LCMScheduler"
    assert (rival.facts["form"], len(rival.facts["unet_timesteps"])) == ("fp32", 2)
    for draw in (rival.plain, rival.best):
        drawn = draw(PICTURE)
        assert (drawn.size, drawn.mode) == ((64, 64), "RGB")
        assert drawn.tobytes() != PICTURE.tobytes()


def test_an_img2img_model_visits_our_timesteps(img2img, revise):
    revision = revise(img2img, prompts="oil", strength=0.6, steps=3)

    rival = diffusers_rival(img2img, revision)

    assert rival.facts["pipeline"] == "StableDiffusionImg2ImgPipeline"
    assert rival.facts["scheduler"] == "EulerDiscreteScheduler"
    assert rival.facts["unet_timesteps"] == [level.t for level in revision.levels]
    assert rival.plain(PICTURE).size == (64, 64)


def test_both_sides_have_the_same_weights_and_embedding(engines, revise):
    revision = revise(engines, prompts="watercolor")
    pipeline = load_pipeline(engines, CLASSES["instruct_pix2pix"], form=PLAIN)

    for ours, theirs in (
        (engines.model.unet, pipeline.unet),
        (engines.model.vae, pipeline.vae),
    ):
        pairs = zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True)
        assert all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in pairs)
    tokens = pipeline.tokenizer(
        "watercolor",
        padding="max_length",
        max_length=engines.model.text_tokens,
        return_tensors="pt",
    )
    with torch.no_grad():
        theirs = pipeline.text_encoder(tokens.input_ids).last_hidden_state[0]
    torch.testing.assert_close(revision.text, theirs)


def test_a_scheduler_that_makes_more_calls_gives_way(img2img, engines, revise):
    for side, kind in ((img2img, "img2img"), (engines, "instruct_pix2pix")):
        revision = revise(side, prompts="oil", steps=2)
        pipeline = load_pipeline(side, CLASSES[kind], form=PLAIN)
        pipeline.scheduler = PNDMScheduler(skip_prk_steps=True)

        pipeline.scheduler = fitting_scheduler(pipeline, revision)

        assert type(pipeline.scheduler) is LCMScheduler
        draw = drawing(pipeline, revision)
        assert len(unet_timesteps(pipeline, draw, revision=revision, engines=side)) == 2


def test_more_work_than_ours_is_refused(engines, revise):
    pipeline = load_pipeline(engines, CLASSES["instruct_pix2pix"], form=PLAIN)
    more = drawing(pipeline, revise(engines, steps=3))

    with pytest.raises(ConfigError, match="on 3 rows a frame where ours works on 2"):
        unet_timesteps(pipeline, more, revision=revise(engines, steps=2), engines=engines)


def test_guidance_and_strength_zero_are_refused(engines, revise):
    with pytest.raises(ConfigError, match="guidance off"):
        diffusers_rival(engines, revise(engines, guidance_scale=2.0))
    with pytest.raises(ConfigError, match="strength 0"):
        diffusers_rival(engines, revise(engines, strength=0.0))


def test_the_best_form_is_bf16_where_the_device_has_it():
    form = best_form("cpu")

    assert form.is_channels_last
    assert form.dtype == (torch.bfloat16 if has_bf16("cpu") else torch.float32)
    assert str(Form(dtype=torch.bfloat16, is_channels_last=True)) == "channels_last, bf16"


def test_what_diffusers_cannot_load_is_a_sentence_that_names_the_model(engines):
    with pytest.raises(ModelError, match="'tiny': diffusers cannot load it"):
        load_pipeline(engines, "StableDiffusion3Pipeline", form=PLAIN)
