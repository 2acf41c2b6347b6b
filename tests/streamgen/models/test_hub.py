import os
import subprocess
import sys
from dataclasses import replace

import pytest
from huggingface_hub.utils import filter_repo_objects

from streamgen.cli.models import is_here
from streamgen.models.hub import (
    TINY_VAE,
    WEIGHTED,
    has_weights,
    model_folder,
    tiny_vae_folder,
    unwanted_files,
    variant_of,
    wanted_files,
)
from streamgen.models.registry import find_model

CONFIGS = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
]
WEIGHTS = ["text_encoder/model.safetensors", "unet/diffusion_pytorch_model.safetensors"]
VAE = ["vae/config.json", "vae/diffusion_pytorch_model.safetensors"]
HALVES = ["text_encoder/model.fp16.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"]
SD_TURBO = [
    ".gitattributes",
    "LICENSE.md",
    "README.md",
    "output_tile.jpg",
    "sd_turbo.safetensors",
    "vae/diffusion_pytorch_model.fp16.safetensors",
    *CONFIGS,
    *WEIGHTS,
    *HALVES,
    *VAE,
]
TAESD = [
    ".gitattributes",
    "README.md",
    "config.json",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.safetensors",
    "taesd_decoder.pth",
    "taesd_decoder.safetensors",
    "taesd_encoder.pth",
    "taesd_encoder.safetensors",
]
OLDER = [
    "feature_extractor/preprocessor_config.json",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "v1-5-pruned.safetensors",
]


def fetched(files, row, *, is_half=False):
    unwanted = unwanted_files(is_half=is_half)
    return sorted(
        filter_repo_objects(files, allow_patterns=wanted_files(row), ignore_patterns=unwanted)
    )


def test_of_sd_turbo_only_what_is_loaded_is_fetched():
    assert fetched(SD_TURBO, find_model("sd-turbo")) == sorted(CONFIGS + WEIGHTS)


def test_the_small_autoencoder_is_fetched_with_its_weights():
    found = list(filter_repo_objects(TAESD, allow_patterns=list(TINY_VAE)))
    assert found == ["config.json", "diffusion_pytorch_model.safetensors"]


def test_of_another_repository_the_autoencoder_is_fetched_too():
    files = [*SD_TURBO, *OLDER]
    assert fetched(files, find_model("owner/name")) == sorted(CONFIGS + WEIGHTS + VAE)


def test_of_sdxl_turbo_both_text_encoders_and_tokenizers_are_fetched():
    second = [
        "text_encoder_2/config.json",
        "text_encoder_2/model.safetensors",
        "tokenizer_2/merges.txt",
        "tokenizer_2/vocab.json",
    ]
    files = [*SD_TURBO, *second, "text_encoder_2/model.fp16.safetensors", "vae_decoder/model.onnx"]
    assert fetched(files, find_model("sdxl-turbo")) == sorted(CONFIGS + WEIGHTS + second)


def test_weights_in_many_files_are_fetched_with_their_index():
    row, stem = find_model("owner/name"), "unet/diffusion_pytorch_model"
    whole = [f"{stem}-0000{k}-of-00002.safetensors" for k in (1, 2)]
    halved = [f"{stem}.fp16-0000{k}-of-00002.safetensors" for k in (1, 2)]
    index, halved_index = f"{stem}.safetensors.index.json", f"{stem}.safetensors.index.fp16.json"
    files = [*whole, *halved, index, halved_index]

    assert fetched(files, row) == sorted([*whole, index])
    assert fetched(files, row, is_half=True) == sorted(files)


def test_weights_in_fp16_are_fetched_where_there_are_no_others():
    files = [*CONFIGS, *HALVES]
    assert fetched(files, find_model("sd-turbo")) == sorted(CONFIGS)
    assert fetched(files, find_model("sd-turbo"), is_half=True) == sorted(files)


@pytest.mark.parametrize(
    ("names", "variant", "is_loaded"),
    [
        (["model.safetensors"], None, True),
        (["model.safetensors", "model.fp16.safetensors"], None, True),
        (["model.fp16.safetensors"], "fp16", True),
        (["model.fp16-00001-of-00002.safetensors"], "fp16", True),
        (["pytorch_model.bin", "config.json"], None, False),
    ],
)
def test_the_variant_is_told_by_the_names(tmp_path, names, variant, is_loaded):
    for name in names:
        (tmp_path / name).touch()
    assert (variant_of(tmp_path), has_weights(tmp_path)) == (variant, is_loaded)


def test_folders_are_made_whole_paths(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    row = find_model("model")
    assert model_folder(row) == tiny_vae_folder(row.location) == tmp_path / "model"


def test_a_model_is_here_once_its_weights_are(tmp_path):
    row = find_model(str(tmp_path))
    (tmp_path / "model_index.json").touch()
    assert not is_here(row)
    for part in WEIGHTED:
        (tmp_path / part).mkdir()
        (tmp_path / part / "model.safetensors").touch()
    assert is_here(row)
    assert not is_here(replace(row, tiny_vae=tmp_path / "none"))
    assert is_here(replace(row, tiny_vae=tmp_path / "vae"))


def offline(code, cache):
    """Run code that may not reach the network, with a hub cache of its own."""
    environ = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_model_that_cannot_be_fetched_says_what_to_do(tmp_path):
    code = """
from streamgen.errors import ModelError
from streamgen.models.hub import model_folder
from streamgen.models.registry import find_model
try:
    model_folder(find_model("owner/name"))
except ModelError as error:
    print(error)
"""
    said = offline(code, tmp_path)
    assert said.startswith("model 'owner/name': it is not in the local hub cache and cannot be fet")
    assert said.endswith("or give a diffusers folder, or use tiny")


@pytest.mark.parametrize("weights", [WEIGHTS, HALVES])
def test_a_fetched_model_is_found_without_a_network(tmp_path, weights):
    for name, files in {
        "stabilityai--sd-turbo": CONFIGS + weights,
        "madebyollin--taesd": TINY_VAE,
    }.items():
        repository = tmp_path / f"models--{name}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("0" * 40)
        for each in files:
            path = repository / "snapshots" / ("0" * 40) / each
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    code = """
import sys
from streamgen.cli.models import is_here
from streamgen.models.hub import model_folder, tiny_vae_folder
from streamgen.models.registry import find_model
row = find_model("sd-turbo")
print(is_here(row), model_folder(row).parts[-3], tiny_vae_folder(row.tiny_vae).parts[-3])
assert "torch" not in sys.modules
"""
    found = offline(code, tmp_path)
    assert found == "True models--stabilityai--sd-turbo models--madebyollin--taesd"
