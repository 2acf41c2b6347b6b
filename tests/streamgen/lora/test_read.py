"""Files: sound ones in every naming, and all that is refused by name."""

from __future__ import annotations

import hashlib
import json
import math
import pickle

import pytest
import torch
from safetensors.torch import save_file

from streamgen.errors import ModelError
from streamgen.lora.read import read_lora

KEY = "lora_unet_mid_block_resnets_0_conv1"


def test_all_layers_come_with_their_factors(build_unet, random_factors, write_lora, keys):
    factors = random_factors(build_unet())
    path = write_lora({"unet": factors}, keys=keys, alpha=1.5)

    lora = read_lora(path)

    assert lora.name == "style"
    assert lora.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(lora.layers) == len(factors)
    assert {each.strength for each in lora.layers.values()} == {0.5}
    assert {each.rank for each in lora.layers.values()} == {3}
    stored = sorted(float(down.sum()) for down, _ in factors.values())
    assert sorted(float(each.down.sum()) for each in lora.layers.values()) == stored


def test_without_an_alpha_the_strength_is_one(build_unet, random_factors, write_lora, keys):
    lora = read_lora(write_lora({"unet": random_factors(build_unet())}, keys=keys))

    assert {each.strength for each in lora.layers.values()} == {1.0}


def test_settings_of_peft_tell_the_strength(build_unet, random_factors, write_lora):
    factors = random_factors(build_unet(), only="attn1.to_", rank=4)
    (special, *_) = factors
    told = {"unet.lora_alpha": 8, "unet.alpha_pattern": {special: 2}, "unet.use_rslora": True}

    def keys(network, layer):
        return f"{network}.{layer}.lora_A.weight", f"{network}.{layer}.lora_B.weight", ""

    path = write_lora(
        {"unet": factors}, keys=keys, metadata={"lora_adapter_metadata": json.dumps(told)}
    )

    layers = read_lora(path).layers
    assert layers["unet", special].strength == 2 / math.sqrt(4)
    assert [each.strength for (_, name), each in layers.items() if name != special] == [4.0] * (
        len(factors) - 1
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_factors_keep_the_type_of_the_file(build_unet, random_factors, write_lora, dtype):
    factors = random_factors(build_unet(), only="to_q", dtype=dtype)

    lora = read_lora(write_lora({"unet": factors}))

    assert {each.down.dtype for each in lora.layers.values()} == {dtype}


@pytest.mark.parametrize("part", [0.0, 0.0001, 0.05, 0.5, 0.999])
def test_a_half_written_file_is_refused_as_that(build_unet, random_factors, write_lora, part):
    path = write_lora({"unet": random_factors(build_unet())})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part) + 9])

    with pytest.raises(ModelError, match="LoRA 'style': it is cut off, or still being written"):
        read_lora(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x08", pickle.dumps({"a": [1.0]}), b"PK\x03\x04" + bytes(200), b"version https://lfs"],
)
def test_what_is_no_safetensors_is_refused_and_not_unpickled(tmp_path, content):
    path = tmp_path / "style.safetensors"
    path.write_bytes(content)

    with pytest.raises(ModelError, match="LoRA 'style': it is no safetensors file"):
        read_lora(path)


@pytest.mark.parametrize("header", [b"{]", b"{" * 5000, b'{"a": 1}'])
def test_a_damaged_header_is_refused(tmp_path, header):
    path = tmp_path / "style.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)

    with pytest.raises(ModelError, match="LoRA 'style': its"):
        read_lora(path)


def test_bytes_too_many_are_refused(build_unet, random_factors, write_lora):
    path = write_lora({"unet": random_factors(build_unet(), only="to_q")})
    path.write_bytes(path.read_bytes() + b"more")

    with pytest.raises(ModelError, match="LoRA 'style': it is"):
        read_lora(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelError, match="absent.safetensors cannot be read: No such file"):
        read_lora(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_number_that_is_none_is_refused_with_its_key(tmp_path, value, dtype):
    up = torch.zeros(8, 2, 1, 1, dtype=dtype)
    up[3, 1] = value
    path = save(tmp_path, {"lora_down": torch.zeros(2, 8, 3, 3, dtype=dtype), "lora_up": up})

    with pytest.raises(ModelError, match=f"NaN or infinite weights .'{KEY}.lora_up.weight'"):
        read_lora(path)


def test_an_alpha_that_is_no_number_is_refused(tmp_path):
    parts = {"lora_down": torch.zeros(2, 8, 3, 3), "lora_up": torch.zeros(8, 2, 1, 1)}
    path = save(tmp_path, parts, alpha=torch.tensor(float("nan")))

    with pytest.raises(ModelError, match="NaN or infinite"):
        read_lora(path)


def test_integers_are_refused(tmp_path):
    parts = {"lora_down": torch.zeros(2, 8, dtype=torch.int8), "lora_up": torch.zeros(8, 2)}

    with pytest.raises(ModelError, match="is torch.int8: supported are floats"):
        read_lora(save(tmp_path, parts))


@pytest.mark.parametrize(("there", "missing"), [("lora_down", "up"), ("lora_up", "down")])
def test_half_a_layer_is_refused(tmp_path, there, missing):
    path = save(tmp_path, {there: torch.zeros(2, 2)})

    with pytest.raises(ModelError, match=f"has no {missing} weights"):
        read_lora(path)


@pytest.mark.parametrize(
    ("down", "up"),
    [((2, 8), (8, 3)), ((0, 8), (8, 0)), ((2, 8), (8, 2, 1, 1)), ((8,), (8,)),
     ((2, 8, 3), (8, 2, 1)), ((2, 8, 3, 3), (8, 2, 3, 3))],
)  # fmt: skip
def test_factors_that_do_not_fit_each_other_are_refused(tmp_path, down, up):
    path = save(tmp_path, {"lora_down": torch.zeros(down), "lora_up": torch.zeros(up)})

    with pytest.raises(ModelError, match="its layer 'mid_block_resnets_0_conv1' is"):
        read_lora(path)


def test_a_file_without_weights_is_refused(tmp_path):
    path = tmp_path / "style.safetensors"
    save_file({}, path)

    with pytest.raises(ModelError, match="it holds no weights"):
        read_lora(path)


def test_a_whole_model_is_refused_by_its_first_key(build_unet, tmp_path):
    path = tmp_path / "style.safetensors"
    save_file(build_unet().state_dict(), path)

    with pytest.raises(ModelError, match="LoRA 'style': its key '.*' is unknown"):
        read_lora(path)


def test_metadata_that_is_nonsense_is_refused(tmp_path):
    parts = {"lora_down": torch.zeros(2, 2), "lora_up": torch.zeros(2, 2)}
    path = save(tmp_path, parts, metadata={"lora_adapter_metadata": "[1]"})

    with pytest.raises(ModelError, match="is no JSON object"):
        read_lora(path)


def save(folder, parts, *, alpha=None, metadata=None):
    path = folder / "style.safetensors"
    tensors = {f"{KEY}.{part}.weight": tensor for part, tensor in parts.items()}
    if alpha is not None:
        tensors[f"{KEY}.alpha"] = alpha
    save_file(tensors, path, metadata=metadata)
    return path
