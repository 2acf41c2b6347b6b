import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from engines.cache import EngineCache
from engines.errors import EngineError
from engines.spec import EngineSpec, TensorSpec
from engines.verify import OutputReport, Report
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.errors import ConfigError, ModelError
from streamgen.frame import Frame, Stamp
from streamgen.models.accuracy import limits_of
from streamgen.models.engines import load_engines
from streamgen.pipeline import Pipeline
from streamgen.rows import NoiseBank

SIZE = 64


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return EngineCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def load(cache):
    def load_one(folder, *, backend="torch", precision="fp32", size=SIZE):
        config = StreamConfig(
            model=str(folder), width=size, height=size, backend=backend, precision=precision
        )
        return load_engines(config, cache)

    return load_one


def draw_frame(seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    stamp = Stamp(index=0, pts=0, time_base=Fraction(1, 25), ingest_ns=0)
    return Frame(pixels=pixels, stamp=stamp)


def redraw(engines, controls):
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream("one", controls_from(controls))
    return pipeline.tick([stream], [draw_frame()], 0)[0].frame.pixels


def distance(a, b):
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def test_one_step_is_the_picture_that_diffusers_draws(edit_folder, load):
    engines = load(edit_folder)
    ours = redraw(engines, {"prompts": "oil", "strength": 1.0, "seed": 3})
    reference = DiffusionPipeline.from_pretrained(edit_folder)
    reference.set_progress_bar_config(disable=True)
    noise = NoiseBank(shape=engines.latent_shape, device=torch.device("cpu"))
    controls = controls_from({"seed": 3})
    clean = engines.scaled(engines.encode(draw_frame().pixels[None]))
    level = engines.schedule.level(0)
    theirs = reference(
        "oil",
        image=Image.fromarray(draw_frame().pixels),
        latents=level.alpha * clean + level.sigma * noise.take(controls, 1)[0],
        num_inference_steps=1,
        guidance_scale=1.0,
        output_type="np",
    ).images[0]
    assert distance(ours, (theirs * 255).round().astype(np.uint8)) <= 1


@pytest.mark.parametrize("folder", ["edit_folder", "plain_folder"])
@pytest.mark.parametrize("guidance", ["none", "full", "self", "initialize"])
def test_openvino_draws_what_torch_draws(request, folder, guidance, load):
    path = request.getfixturevalue(folder)
    asked = {"prompts": "oil", "steps": 2, "guidance": guidance, "guidance_scale": 1.5}
    ours, theirs = (redraw(load(path, backend=name), asked) for name in ("openvino", "torch"))
    assert distance(ours, theirs) <= 1


def test_streams_drawn_together_are_within_a_level_of_streams_drawn_alone(edit_folder, load):
    engines = load(edit_folder)
    pipeline = Pipeline(engines)
    asked = [{"prompts": "oil"}, {"prompts": "a pencil", "steps": 3}, {"strength": 0.3}]
    streams = [pipeline.open_stream(str(k), controls_from(each)) for k, each in enumerate(asked)]
    together = pipeline.tick(streams, [draw_frame()] * 3, 0)
    alone = [redraw(engines, each) for each in asked]
    for one, other in zip(together, alone, strict=True):
        assert distance(one.frame.pixels, other) <= 1


def test_a_batch_in_parts_is_the_batch(edit_folder, load):
    whole, parts = load(edit_folder), load(edit_folder, backend="openvino")
    assert (whole.choice.backend.batch_sizes, parts.choice.backend.batch_sizes[0]) == ((), 1)
    frames = np.stack([draw_frame(seed).pixels for seed in range(7)])
    latents = whole.encode(frames)
    torch.testing.assert_close(parts.encode(frames), latents, atol=1e-4, rtol=1e-4)
    together = parts.decode(whole.scaled(latents))
    assert distance(together, whole.decode(whole.scaled(latents))) <= 1
    assert {batch for _, batch in parts.ports.ready} <= set(parts.choice.backend.batch_sizes)


def test_two_answers_do_not_share_memory(edit_folder, load):
    engines = load(edit_folder)
    first = redraw(engines, {"prompts": "oil"})
    kept = first.copy()
    redraw(engines, {"prompts": "a pencil", "strength": 1.0})
    assert np.array_equal(first, kept)


def test_an_odd_latent_size_works_on_both_backends(edit_folder, cache):
    pictures = []
    for backend in ("torch", "openvino"):
        config = StreamConfig(
            model=str(edit_folder), width=88, height=72, backend=backend, precision="fp32"
        )
        engines = load_engines(config, cache)
        pixels = np.full((72, 88, 3), 90, np.uint8)
        stamp = Stamp(index=0, pts=0, time_base=Fraction(1, 25), ingest_ns=0)
        pipeline = Pipeline(engines)
        stream = pipeline.open_stream("one", controls_from({}))
        [answer] = pipeline.tick([stream], [Frame(pixels=pixels, stamp=stamp)], 0)
        pictures.append(answer.frame.pixels)
    assert pictures[0].shape == (72, 88, 3)
    assert distance(*pictures) <= 1


def test_a_size_the_model_cannot_take_is_refused_before_loading(edit_folder, load):
    with pytest.raises(ConfigError, match="size 60x60"):
        load(edit_folder, size=60)


def test_a_backend_or_precision_that_cannot_be_had_is_an_error(edit_folder, load):
    with pytest.raises(EngineError, match="backend 'tensorflow': choose auto, openvino, tensor"):
        load(edit_folder, backend="tensorflow")
    with pytest.raises(EngineError, match="precision 'fp12': choose"):
        load(edit_folder, precision="fp12")


def test_a_frame_of_another_size_is_refused_with_both_sizes(edit_folder, load):
    engines = load(edit_folder)
    with pytest.raises(ConfigError, match="frame 32x48: these engines draw 64x64"):
        engines.encode(np.zeros((1, 48, 32, 3), np.uint8))


def test_what_openvino_builds_is_verified(edit_folder, load, cache):
    load(edit_folder, backend="openvino", precision="auto")

    entries = cache.entries()
    assert {"vae_encoder", "unet", "vae_decoder"} == {entry.role for entry in entries}
    assert all("verified" in entry.info for entry in entries)


@pytest.mark.parametrize("role", ["vae_encoder", "unet", "vae_decoder"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_network_with_a_tenth_of_noise_is_beyond_every_limit(role, precision):
    tensor = TensorSpec("x", (1,), "float32")
    spec = EngineSpec(role, (tensor,), (TensorSpec("y", (1,), "float32"),), precision)
    output = OutputReport(name="y", max_abs=1.0, snr_db=19.9, is_finite=True)
    with pytest.raises(EngineError, match="19.9 dB from the fp32 reference"):
        Report(role=role, outputs=(output,)).require(limits_of(spec))


def test_rows_for_a_negative_are_compiled_beforehand(edit_folder, load):
    engines = load(edit_folder)
    engines.prepare(denoiser_batch=2)
    assert set(engines.ports.ready) == {
        ("vae_encoder", 1),
        ("unet", 1),
        ("unet", 2),
        ("vae_decoder", 1),
    }


def test_a_cache_that_cannot_be_written_is_an_error_naming_it(edit_folder):
    config = StreamConfig(model=str(edit_folder), width=SIZE, height=SIZE, backend="openvino")
    with pytest.raises(EngineError, match="engine cache '/dev/null' .* set STREAMGEN_CACHE"):
        load_engines(config, EngineCache(Path("/dev/null")))


def test_latents_that_are_not_finite_are_an_error_and_no_picture(edit_folder, load):
    engines = load(edit_folder)
    latents = torch.zeros(1, *engines.latent_shape)
    latents[0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelError, match="drew NaN or infinity"):
        engines.decode(latents)


def test_a_scaling_factor_of_no_use_is_named(edit_folder, tmp_path, load):
    folder = shutil.copytree(edit_folder, tmp_path / "model")
    path = folder / "vae" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "scaling_factor": 0}))
    with pytest.raises(ModelError, match="scaling_factor 0: give a number above 0"):
        load(folder)
