"""The stages from end to end on a handful of pictures: that they run, resume and fit together."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from streamgen.errors import ConfigError
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model
from streamgen.motion.adapter import read_adapter
from streamgen.motion.ring import Ring
from streamgen.motion.ring_file import ring_of
from streamgen.training import stages
from streamgen.training.latents import trained_vae
from streamgen.training.motion_layers import MotionLayers
from streamgen.training.package import add_adapter
from streamgen.training.photos import UNLICENSED, load_files


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("one.jpg", "two.png", "coffee.jpg", UNLICENSED[0]):
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((160, 120)).save(folder / name)
    return folder


def plan(data, out, **changes):
    asked = {"minutes": 0.001, "size_px": 64, "batch": 2, "pairs": 4, "scenes": 8, **changes}
    return stages.Plan(data=data, out=out, **asked)


def steps_of(log):
    return [json.loads(line)["step"] for line in log.read_text().splitlines()]


@pytest.fixture(scope="module")
def training(data, tmp_path_factory):
    """A run of both stages, and the states of torch's own generator before and after it."""
    out = tmp_path_factory.mktemp("run")
    before = torch.get_rng_state()
    stages.train_vae(plan(data, out))
    stages.train_unet(plan(data, out))
    return out, before, torch.get_rng_state()


@pytest.fixture(scope="module")
def run(training):
    return training[0]


def test_each_stage_leaves_checkpoint_log_and_contact_sheet(run):
    for stage in ("vae", "unet"):
        names = {path.name for path in (run / stage).iterdir()}
        assert {"checkpoint.safetensors", "log.jsonl", "log.png", "sheet.png"} <= names


def test_a_resumed_stage_goes_on_from_its_step(data, run, tmp_path):
    shutil.copytree(run / "vae", tmp_path / "vae")
    log = tmp_path / "vae" / "log.jsonl"
    before = steps_of(log)[-1]
    stages.train_vae(plan(data, tmp_path, resume=True))
    assert steps_of(log)[-1] > before


def test_the_packaged_run_is_a_model_for_us_and_for_diffusers(data, run):
    folder = stages.package(run)
    model = load_model(find_model(str(folder)))
    assert (model.kind, model.latent_channels) == ("instruct_pix2pix", 16)
    loaded = DiffusionPipeline.from_pretrained(folder)
    assert type(loaded).__name__ == "StableDiffusionInstructPix2PixPipeline"
    trained = {k: v.half() for k, v in trained_vae(run).state_dict().items()}
    for name, tensor in model.vae.state_dict().items():
        assert torch.equal(tensor.half(), trained[name])


def test_the_packaged_run_has_its_motion_adapter_beside_the_model(run, tmp_path):
    out = shutil.copytree(run, tmp_path / "run")
    assert not (stages.package(out) / "motion").exists()
    layers = MotionLayers(load_model(find_model(str(out / "tiny"))).unet, seed=0)
    layers.save(out / "motion" / "adapter")
    motion = stages.package(out) / "motion"
    assert ring_of(motion, window=None, sinks=None, length=16) == Ring(sinks=2, rolling=6)
    assert read_adapter(motion).layout == layers.layout
    shutil.rmtree(out / "motion")
    assert not (stages.package(out) / "motion").exists()


def test_an_adapter_that_was_saved_without_its_ring_is_packaged_with_it(tmp_path):
    layers = MotionLayers(load_model(find_model("tiny")).unet, seed=0)
    layers.save(tmp_path / "adapter")
    (tmp_path / "adapter" / "ring.json").unlink()
    add_adapter(tmp_path / "tiny", tmp_path / "adapter")
    assert (tmp_path / "tiny" / "motion" / "ring.json").exists()


def test_a_checkpoint_is_not_replaced_unless_it_is_gone_on_from(data, run):
    before = (run / "vae" / "checkpoint.safetensors").read_bytes()
    for train, stage in ((stages.train_vae, "vae"), (stages.train_unet, "unet")):
        with pytest.raises(ConfigError, match=f"{stage}.*exists: .*--resume, .*--out"):
            train(plan(data, run))
    assert (run / "vae" / "checkpoint.safetensors").read_bytes() == before


def test_nothing_to_go_on_from_is_said_and_leaves_no_folder(data, tmp_path):
    with pytest.raises(ConfigError, match=r"vae/checkpoint.safetensors.*without --resume"):
        stages.train_vae(plan(data, tmp_path, resume=True))
    assert not list(tmp_path.iterdir())


def test_a_folder_without_pictures_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no photos .* or clips"):
        stages.train_vae(plan(tmp_path / "empty", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_training_leaves_the_global_generator_alone(training):
    _, before, after = training
    assert torch.equal(before, after)


def test_a_resumed_stage_sees_other_data_and_the_same_step_the_same(data, tmp_path):
    asked = plan(data, tmp_path, seed=3)
    first, again, later = (torch.rand(8, generator=asked.generator(s)) for s in (0, 0, 50))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


def test_test_photos_and_unlicensed_files_are_not_trained_on(data):
    assert len(load_files(data)) == 2


def test_a_stage_without_the_one_before_says_so(data, tmp_path):
    with pytest.raises(ConfigError, match="train this stage first"):
        stages.train_unet(plan(data, tmp_path))
    with pytest.raises(ConfigError, match="train this stage first"):
        stages.package(tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"minutes": 0}, "minutes 0: give a number above 0"),
        ({"minutes": float("nan")}, "minutes nan: give a number above 0"),
        ({"size_px": 100}, "size 100: give a multiple of 32 from 64"),
        ({"batch": 0}, "batch 0: give 1 or more"),
    ],
)
def test_a_bad_plan_names_the_value(data, tmp_path, changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        plan(data, tmp_path, **changes)


def test_a_missing_data_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="there is no such folder"):
        plan(tmp_path / "none", tmp_path)


def test_the_decoder_stage_changes_the_decoder_and_nothing_else(data, run, tmp_path):
    out = shutil.copytree(run, tmp_path / "run")
    before = {k: v.clone() for k, v in trained_vae(out).state_dict().items()}
    stages.train_decoder(plan(data, out, minutes=0.01))
    after = trained_vae(out).state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder"}
    stages.package(out)
    with pytest.raises(ConfigError, match="remove it first"):
        stages.train_vae(plan(data, out, resume=True))
