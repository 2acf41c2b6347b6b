"""SDXL-type models: two text encoders, pooled embedding and sizes, against diffusers' own."""

import json
import shutil
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, StableDiffusionXLPipeline

from engines.cache import EngineCache
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.errors import ModelError
from streamgen.frame import Blank, Frame, Stamp
from streamgen.models.engines import Engines, load_engines
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model
from streamgen.pipeline import Pipeline

WIDTH, HEIGHT = 96, 64
STAMP = Stamp(index=0, pts=0, time_base=Fraction(1, 25), ingest_ns=0)


def rewrite(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture(scope="module")
def engines(xl_folder, tmp_path_factory):
    config = StreamConfig(
        model=str(xl_folder), width=WIDTH, height=HEIGHT, backend="torch", precision="fp32"
    )
    return load_engines(config, EngineCache(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def theirs(xl_folder):
    pipeline = StableDiffusionXLPipeline.from_pretrained(xl_folder, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def frame(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Frame(pixels=pixels, stamp=STAMP)


def redraw(engines, count=1, **controls):
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream("one", controls_from({"prompts": "oil", **controls}))
    answers = [each for k in range(count) for each in pipeline.tick([stream], [frame(k)], 0)]
    return [answer.frame.pixels.astype(int) for answer in answers]


def test_the_embeddings_are_those_of_diffusers(engines, theirs):
    stream = Pipeline(engines).open_stream("one", controls_from({"prompts": "a pencil sketch"}))
    told = stream.revision

    text, _, pooled, _ = theirs.encode_prompt(
        "a pencil sketch", device="cpu", do_classifier_free_guidance=False
    )

    assert told.text.shape == (32, 28) and told.cond["text_embeds"].shape == (10,)
    assert torch.allclose(told.text, text[0], atol=1e-6)
    assert torch.allclose(told.cond["text_embeds"], pooled[0], atol=1e-6)
    assert told.cond["time_ids"].tolist() == [HEIGHT, WIDTH, 0, 0, HEIGHT, WIDTH]


@pytest.mark.parametrize("negative", ["", "a pencil"])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_words_alone_are_the_picture_of_diffusers(engines, theirs, scale, negative):
    asked = {"prompts": "oil", "negative_prompt": negative, "guidance_scale": scale}
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream(
        "words", controls_from({**asked, "t_index_list": [0]}), has_picture=False
    )
    noise = stream.noise.take(stream.revision.controls, 1)[0]
    [answer] = pipeline.tick([stream], [Blank(stamp=STAMP)], 0)

    expected = theirs(
        "oil",
        negative_prompt=negative or None,
        guidance_scale=scale,
        num_inference_steps=1,
        latents=noise[None].clone(),
        height=HEIGHT,
        width=WIDTH,
        output_type="np",
    ).images[0]

    pixels = (expected * 255).round().astype(int)
    assert np.abs(answer.frame.pixels.astype(int) - pixels).max() <= 1


def test_the_negative_pass_is_told_of_the_negative_prompt_alone(engines):
    controls = {"guidance_scale": 3.0, "negative_prompt": "a pencil"}
    stream = Pipeline(engines).open_stream("one", controls_from({"prompts": "oil", **controls}))
    told, alone = stream.revision, engines.text("a pencil")

    assert torch.equal(told.negative_text, alone[:-1])
    assert torch.equal(told.negative_cond["text_embeds"], alone[-1, :10])
    assert not torch.equal(told.cond["text_embeds"], told.negative_cond["text_embeds"])
    assert torch.equal(told.cond["time_ids"], told.negative_cond["time_ids"])


@pytest.mark.parametrize("guidance", ["self", "initialize"])
def test_residual_guidance_changes_a_picture_of_several_steps(engines, guidance):
    controls = {"steps": 2, "strength": 0.8, "guidance": guidance, "negative_prompt": "a pencil"}
    plain = redraw(engines, 3, **controls)
    guided = redraw(engines, 3, **controls, guidance_scale=2.0)

    assert len(plain) == len(guided) == 2  # the newest frame has a step to go
    assert all(np.abs(a - b).max() > 1 for a, b in zip(plain, guided, strict=True))


def test_openvino_draws_what_torch_draws(xl_folder, engines, tmp_path):
    config = replace(engines.config, backend="openvino")
    compiled = load_engines(config, EngineCache(tmp_path))
    controls = {"guidance": "full", "guidance_scale": 2.0}
    [ours], [theirs] = redraw(compiled, **controls), redraw(engines, **controls)
    assert np.abs(ours - theirs).max() <= 1


def test_a_pooled_embedding_is_blended_like_the_text(engines):
    prompts = [{"text": "oil", "weight": 1.0}, {"text": "a pencil", "weight": 3.0}]
    stream = Pipeline(engines).open_stream("one", controls_from({"prompts": prompts}))
    oil, pencil = (engines.text(words)[-1, :10] for words in ("oil", "a pencil"))

    assert torch.allclose(stream.revision.cond["text_embeds"], 0.25 * oil + 0.75 * pencil)


def test_two_streams_in_one_call_are_as_they_are_alone(engines):
    pipeline = Pipeline(engines)
    controls = [controls_from({"prompts": words}) for words in ("oil", "a pencil")]
    streams = [pipeline.open_stream(str(k), each) for k, each in enumerate(controls)]
    together = pipeline.tick(streams, [frame(0), frame(1)], 0)

    for k, each in enumerate(controls):
        alone = pipeline.open_stream("alone", each)
        [answer] = pipeline.tick([alone], [frame(k)], 0)
        distance = together[k].frame.pixels.astype(int) - answer.frame.pixels
        assert np.abs(distance).max() <= 1


def test_the_small_autoencoder_of_sdxl_takes_the_place_of_its_own(xl_folder, tmp_path, engines):
    widths = (8,) * 4
    AutoencoderTiny(
        encoder_block_out_channels=widths, decoder_block_out_channels=widths
    ).save_pretrained(tmp_path / "small")
    row = replace(find_model(str(xl_folder)), tiny_vae=tmp_path / "small")
    cache = EngineCache(tmp_path / "cache")
    small = Engines(load_model(row), engines.config, choice=engines.choice, cache=cache)

    assert small.latent_shape == (4, HEIGHT // 8, WIDTH // 8)
    [picture] = redraw(small, strength=0.5)
    assert picture.shape == (HEIGHT, WIDTH, 3)


def test_sdxl_turbo_is_known_by_name_with_its_small_autoencoder():
    row = find_model("sdxl-turbo")
    assert (row.location, row.tiny_vae) == ("stabilityai/sdxl-turbo", "madebyollin/taesdxl")
    assert row.area_px == 512 * 512


@pytest.mark.parametrize("part", ["text_encoder_2", "tokenizer_2"])
def test_a_missing_second_part_is_named(xl_folder, tmp_path, part):
    folder = shutil.copytree(xl_folder, tmp_path / "model")
    shutil.rmtree(folder / part)
    with pytest.raises(ModelError, match=f"its {part} cannot be loaded: there is no folder"):
        load_model(find_model(str(folder)))


def test_a_unet_without_the_second_encoders_embedding_is_refused(xl_folder, plain_folder, tmp_path):
    folder = shutil.copytree(xl_folder, tmp_path / "model")
    shutil.rmtree(folder / "unet")
    shutil.copytree(plain_folder / "unet", folder / "unet")
    with pytest.raises(ModelError, match="with a second text encoder, and its UNet does not take"):
        load_model(find_model(str(folder)))


def test_a_unet_that_is_told_other_numbers_is_refused(xl_folder, tmp_path):
    folder = shutil.copytree(xl_folder, tmp_path / "model")
    config = folder / "unet" / "config.json"
    rewrite(config, addition_embed_type="image")
    with pytest.raises(ModelError, match="its UNet cannot be|its unet cannot be|takes 'image'"):
        load_model(find_model(str(folder)))
    rewrite(config, addition_embed_type="text_time", addition_time_embed_dim=6)
    with pytest.raises(ModelError, match="takes 58 numbers beside the text: supported are 6 sizes"):
        load_model(find_model(str(folder)))
