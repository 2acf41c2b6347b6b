"""`--lora`, `--loras`, and `streamgen loras`, with files made for the built-in model."""

from __future__ import annotations

import argparse
import json

import pytest
import torch
from safetensors.torch import save_file

from streamgen.cli.lora_options import GivenLora, check_loras, read_lora_choice, shelf_of
from streamgen.cli.options import (
    add_control_options,
    add_engine_options,
    controls_of,
    given_controls,
    stream_config,
)
from streamgen.controls import LoraScale
from streamgen.errors import ConfigError
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model
from streamgen.sources import Size
from streamgen.training.motion_layers import MotionLayers


@pytest.fixture(scope="module")
def attentions():
    """The shapes of a few weights of the built-in model, by the names of their layers."""
    unet = load_model(find_model("tiny")).unet
    return {
        name.removesuffix(".weight"): tuple(weight.shape)
        for name, weight in unet.named_parameters()
        if name.endswith(("attn2.to_q.weight", "attn2.to_v.weight"))
    }


@pytest.fixture
def folder(tmp_path, attentions):
    """A folder with LoRAs for the built-in model, `rain` and `ink`."""
    place = tmp_path / "loras"
    place.mkdir()
    for rank, name in enumerate(("rain", "ink"), start=2):
        write(place / f"{name}.safetensors", attentions, rank=rank)
    return place


def write(path, shapes, *, rank=2):
    generator = torch.Generator().manual_seed(rank)
    tensors = {}
    for layer, (out, inputs) in shapes.items():
        base = f"lora_unet_{layer.replace('.', '_')}"
        tensors[f"{base}.lora_down.weight"] = torch.randn(rank, inputs, generator=generator)
        tensors[f"{base}.lora_up.weight"] = torch.randn(out, rank, generator=generator)
    save_file(tensors, path)
    return path


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_control_options(parser)
    add_engine_options(parser)
    return parser.parse_args([str(each) for each in arguments])


@pytest.mark.parametrize(
    ("text", "name", "scale"),
    [
        ("rain", "rain", 1),
        ("rain::0.5", "rain", 0.5),
        ("a::b::-2", "a::b", -2),
        ("v1.5", "v1.5", 1),
    ],
)
def test_a_lora_is_named_at_a_scale(text, name, scale):
    assert read_lora_choice(text) == GivenLora(name=name, scale=scale)


@pytest.mark.parametrize("text", ["rain::", "rain::much", "rain::5", "rain::nan", "::1"])
def test_a_scale_that_cannot_be_is_refused(text):
    with pytest.raises(ConfigError, match="a scale from -4 to 4"):
        read_lora_choice(text)


def test_a_path_that_is_no_lora_is_refused():
    with pytest.raises(ConfigError, match=r"lora 'x/rain': .* a file that ends in .safetensors"):
        read_lora_choice("x/rain")


def test_files_and_names_become_the_control_and_the_shelf(folder):
    args = parsed("--lora", f"{folder}/rain.safetensors::0.5", "--lora", "ink", "--loras", folder)

    controls = controls_of(find_model("tiny"), given_controls(args))

    assert controls.loras == (LoraScale(name="rain", scale=0.5), LoraScale(name="ink"))
    assert shelf_of(args).names() == ("ink", "rain")
    check_loras(args)


def test_either_option_has_weights_exchanged_and_neither_does_not(folder):
    for arguments, swaps in (((), False), (("--lora", "x"), True), (("--loras", folder), True)):
        assert stream_config(parsed(*arguments), Size(64, 64)).swaps_weights is swaps


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--lora", "fog"), "LoRA 'fog': there are none to choose from"),
        (("--lora", "fog", "--loras", "{}"), "LoRA 'fog': choose ink, rain"),
        (("--lora", "fog.safetensors"), "LoRA place 'fog.safetensors': there is no such"),
        (("--loras", "nowhere"), "LoRA place 'nowhere': there is no such folder or file"),
        (("--lora", "rain", "--lora", "rain", "--loras", "{}"), "give each of them once"),
        (("--lora", "rain::9"), "write NAME, or NAME::SCALE"),
    ],
)
def test_what_cannot_be_is_one_sentence_before_anything_is_loaded(
    streamgen, folder, tmp_path, arguments, words
):
    given = [each.format(folder) for each in arguments]
    done = streamgen("run", "test:pattern?frames=2", f"{tmp_path}/out/", *given)

    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert words in done.err
    assert not (tmp_path / "out").exists()


def test_a_run_draws_with_a_lora_and_says_nothing_more(streamgen, folder, tmp_path):
    drawn = {}
    for name, given in {
        "without": (),
        "at 0": ("--lora", "rain::0", "--loras", folder),
        "with": ("--lora", folder / "rain.safetensors"),
    }.items():
        options = ("--size", "64", "--backend", "torch", "--precision", "fp32", *given)
        done = streamgen("run", "test:pattern?frames=2", f"{tmp_path}/{name}/", *options)
        assert done.code == 0, done.err
        drawn[name] = [path.read_bytes() for path in sorted((tmp_path / name).iterdir())]

    assert drawn["without"] == drawn["at 0"] != drawn["with"]


def test_files_are_listed_with_what_they_hold(streamgen, folder, attentions):
    found = json.loads(streamgen("loras", folder, "--json").out)

    assert [each["name"] for each in found] == ["ink", "rain"]
    assert [each["ranks"] for each in found] == [[3], [2]]
    assert found[0]["layers"] == {"unet": len(attentions)}
    assert {each["state"] for each in found} == {"sound"}


def test_what_fits_a_model_and_what_does_not_is_told_with_the_reason(streamgen, folder, attentions):
    other = {name: (out, 2 * inputs) for name, (out, inputs) in attentions.items()}
    write(folder / "wide.safetensors", other)
    (folder / "half.safetensors").write_bytes((folder / "rain.safetensors").read_bytes()[:-1])

    done = streamgen("loras", folder, "--model", "tiny")

    assert done.code == 2
    lines = {line.split()[1]: line for line in done.out.splitlines() if line.startswith("│")}
    assert "fits tiny" in lines["rain"] and "UNet" in lines["rain"]
    assert "does not fit tiny" in lines["wide"] and "broken" in lines["half"]
    assert "wide: is for another model: its layer" in done.out
    assert "half: it is cut off" in done.out


def test_a_place_without_any_is_said(streamgen, tmp_path):
    done = streamgen("loras", tmp_path)

    assert done.code == 2
    assert "there is no .safetensors file: name another place" in done.err


def test_a_motion_lora_fits_a_model_with_its_adapter_alone(streamgen, folder, tmp_path):
    adapter = tmp_path / "adapter"
    layers = MotionLayers(load_model(find_model("tiny")).unet, seed=0)
    layers.save(adapter)
    place = layers.places[0]
    layer = f"{place.name}.transformer_blocks.0.attn1.to_q"
    only = tmp_path / "motion"
    only.mkdir()
    write(only / "zoom.safetensors", {layer: (place.channels, place.channels)})

    alone = streamgen("loras", only, "--model", "tiny", "--motion", "none")
    fits = streamgen("loras", only, "--model", "tiny", "--motion", adapter)

    assert alone.code == 2 and "choose a motion adapter first" in alone.out
    assert fits.code == 0, fits.err


def test_an_adapter_without_a_model_is_refused(streamgen, folder):
    done = streamgen("loras", folder, "--motion", "animatelcm")

    assert done.code == 2
    assert "--motion animatelcm: add --model, which the adapter is for" in done.err
