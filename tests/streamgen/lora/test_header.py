"""What the first bytes of a file tell, and what they already refuse."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from streamgen.errors import ModelError
from streamgen.lora.header import read_header
from streamgen.lora.read import read_lora


@pytest.fixture
def both(build_unet, build_text, random_factors, write_lora, keys):
    """Returns a file for two networks, of two ranks."""
    return write_lora(
        {
            "unet": random_factors(build_unet(), rank=3),
            "text_encoder": random_factors(build_text(), rank=5),
        },
        keys=keys,
        alpha=2.0,
    )


def test_it_tells_what_reading_the_whole_file_finds(both):
    lora = read_lora(both)
    header = read_header(both)

    counts = {name: sum(of == name for of, _ in lora.layers) for name in ("unet", "text_encoder")}
    assert header.layers == counts
    assert header.ranks == (3, 5)
    assert header.size_bytes == both.stat().st_size


def test_every_file_that_is_cut_off_is_refused(build_unet, random_factors, write_lora):
    path = write_lora({"unet": random_factors(build_unet(), only="attn1")})
    whole = path.read_bytes()

    for length in (0, 5, 8, 50, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            read_header(path)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({}, "it holds no weights"),
        ({"model.layers.0.weight": torch.zeros(2)}, "its key .* is unknown"),
        ({"lora_unet_a.hada_w1_a": torch.zeros(2, 2)}, "it is a LoHa"),
    ],
)
def test_what_is_no_lora_is_named(tmp_path, tensors, words):
    save_file(tensors, tmp_path / "x.safetensors")

    with pytest.raises(ModelError, match=words):
        read_header(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04 a zip of pickles", "it is no safetensors file"),
        (b"{nonsense", "header is no JSON"),
        (json.dumps({"lora_unet_a.alpha": 3}).encode(), "tells no data_offsets"),
        (json.dumps({"lora_unet_a.alpha": {"data_offsets": ["x"]}}).encode(), "no data_offsets"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(tmp_path, content, words):
    path = tmp_path / "x.safetensors"
    is_zip = content.startswith(b"PK")
    path.write_bytes(content if is_zip else len(content).to_bytes(8, "little") + content)

    with pytest.raises(ModelError, match=words):
        read_header(path)


def test_a_file_that_is_gone_is_told_without_its_path(tmp_path):
    with pytest.raises(ModelError, match="^it cannot be read: No such file or directory$"):
        read_header(tmp_path / "x.safetensors")


def test_whoever_only_lists_files_needs_no_torch():
    code = "import sys, streamgen.lora.header, streamgen.lora.shelf; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
