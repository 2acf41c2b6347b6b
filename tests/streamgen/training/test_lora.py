"""A few steps of training on `tiny`: that it runs, repeats, resumes, and leaves a sound file."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from streamgen.errors import ConfigError, ModelError
from streamgen.lora.fit import fitted
from streamgen.lora.read import read_lora
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model
from streamgen.schedule import schedule_from
from streamgen.training.lora import check_kind, train_lora
from streamgen.training.lora_plan import LoraPlan

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two pairs: noise, and its negative."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name in ("photos", "drawn"):
        (folder / name).mkdir()
    for name in ("one.png", "two.png"):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((64, 64))
        coarse.save(folder / "photos" / name)
        Image.fromarray(255 - np.array(coarse)).save(folder / "drawn" / name)
    return folder


@pytest.fixture(scope="module")
def plan(pictures):
    """Returns a plan of two steps, with changes."""

    def make(out, **changes):
        base = LoraPlan(
            photos=pictures / "photos",
            drawn=pictures / "drawn",
            out=out,
            prompt="in negative",
            rank=2,
            steps=2,
            size_px=64,
            batch=2,
        )
        return replace(base, **changes)

    return make


@pytest.fixture(scope="module")
def run(plan, tmp_path_factory):
    """A run, and the states of torch's own generator before and after it."""
    before = torch.get_rng_state()
    out = train_lora(plan(tmp_path_factory.mktemp("run") / "negative.safetensors"))
    return out, before, torch.get_rng_state()


def test_the_file_is_a_lora_of_every_layer_of_the_unet(run):
    lora, model = read_lora(run[0]), load_model(find_model("tiny"))

    found = fitted(lora, {"unet": model.unet})

    layers = (torch.nn.Linear, torch.nn.Conv2d)
    wanted = {name for name, part in model.unet.named_modules() if isinstance(part, layers)}
    assert {name for _, name in found.factors} == {f"{name}.weight" for name in wanted}
    assert {(each.rank, each.strength) for each in found.factors.values()} == {(2, 1.0)}
    assert all(bool(each.up.any()) for each in found.factors.values())


def test_the_file_tells_what_it_was_trained_with(run):
    with safe_open(run[0], framework="pt") as file:
        told = json.loads(file.metadata()["training"])

    assert told == {"model": "tiny", "prompt": "in negative", "steps": 2}


def test_a_run_leaves_checkpoint_log_and_contact_sheet(run):
    folder = run[0].with_suffix(".training")

    assert {path.name for path in folder.iterdir()} == {
        *("checkpoint.safetensors", "log.jsonl", "log.png", "sheet.png", "settings.json"),
    }
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.size == (2 * 256, 4 * 256)
    last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    assert last.keys() == {"step", "mean_db", "without"}


def test_the_same_seed_gives_the_same_file(run, plan, tmp_path):
    again = train_lora(plan(tmp_path / "again.safetensors"))

    assert again.read_bytes() == run[0].read_bytes()


def test_a_run_goes_on_from_its_step(run, plan, tmp_path):
    out = shutil.copy(run[0], tmp_path / "more.safetensors")
    shutil.copytree(run[0].with_suffix(".training"), tmp_path / "more.training")

    train_lora(plan(out, steps=3, resume=True))

    with safe_open(out, framework="pt") as file:
        assert json.loads(file.metadata()["training"])["steps"] == 3
    assert out.read_bytes() != run[0].read_bytes()


def test_training_leaves_the_global_generator_alone(run):
    _, before, after = run
    assert torch.equal(before, after)


def test_what_is_refused_leaves_no_file(plan, tmp_path):
    out = tmp_path / "style.safetensors"

    with pytest.raises(ConfigError, match="photos '.*none': there is no such folder"):
        train_lora(plan(out, photos=tmp_path / "none"))
    with pytest.raises(ModelError, match="model 'no such': choose tiny, "):
        train_lora(plan(out, model="no such"))

    assert not list(tmp_path.iterdir())


def test_a_model_of_another_kind_is_refused_by_name():
    model = load_model(find_model("tiny"))
    noise = schedule_from({"prediction_type": "epsilon", "_class_name": "LCMScheduler"})

    with pytest.raises(ModelError, match="'tiny' is of the kind instruct_pix2pix epsilon"):
        check_kind(replace(model, schedule=noise))
