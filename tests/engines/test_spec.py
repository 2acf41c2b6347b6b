from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from engines.errors import ShapeOutOfProfile, SpecMismatch
from engines.spec import EngineSpec, Range, TensorSpec


def spec(**changes: object) -> EngineSpec:
    fields: dict[str, object] = {
        "role": "unet",
        "inputs": (TensorSpec("sample", (1, 4), "float32"),),
        "outputs": (TensorSpec("drawn", (1, 4), "float32"),),
        "precision": "fp32",
    }
    return EngineSpec(**(fields | changes))  # type: ignore[arg-type]  # wrong values are the point


def test_a_torch_dtype_and_its_name_are_the_same() -> None:
    assert TensorSpec("t", (1,), torch.int64) == TensorSpec("t", (1,), "int64")


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "message"),
    [
        ("T", (1,), "float32", "tensor name 'T': use lower case"),
        ("t", (1, 0), "float32", r"'t': shape \(1, 0\): every dimension is a positive int"),
        ("t", (-1,), "float32", r"'t': shape \(-1,\)"),
        ("t", (1,), "complex64", "'t': dtype 'complex64': choose bool, uint8"),
    ],
)
def test_a_tensor_that_cannot_be_is_refused(
    name: str, shape: tuple[int, ...], dtype: str, message: str
) -> None:
    with pytest.raises(SpecMismatch, match=message):
        TensorSpec(name, shape, dtype)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"role": "The UNet"}, "role 'The UNet': use a lower-case word such as text_encoder"),
        ({"precision": "auto"}, "precision 'auto': choose fp32, bf16, fp16"),
        ({"outputs": ()}, "needs at least one input and one output"),
        (
            {"outputs": (TensorSpec("sample", (1,), "float32"),)},
            r"tensor names \['sample'\] occur more than once",
        ),
    ],
)
def test_a_network_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SpecMismatch, match=message):
        spec(**changes)


def test_the_plain_data_is_the_same_for_the_same_specification() -> None:
    one = spec(inputs=[TensorSpec("sample", (1, 4), torch.float32)])

    assert one.to_dict() == spec().to_dict()
    assert one.to_dict()["inputs"] == [{"name": "sample", "shape": [1, 4], "dtype": "float32"}]
    assert spec(precision="bf16").to_dict() != one.to_dict()


def test_spec_protocol_registry_and_cache_import_neither_torch_nor_openvino() -> None:
    code = (
        "import sys, engines.spec, engines.protocol, engines.registry, engines.cache\n"
        "print(sorted({'torch', 'numpy', 'openvino'} & sys.modules.keys()))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def picture(**sizes: int) -> TensorSpec:
    h = {"least": 4, "usual": 8, "most": 16, "step": 4, **sizes}
    return TensorSpec("pixels", (1, Range(name="h", times=8, **h), 8, 3), "uint8")


H = Range(name="h", least=4, usual=8, most=16, step=4)
LATENT = TensorSpec("latent", (1, 4, H, 1), "float32")


def test_a_range_is_one_number_in_all_tensors() -> None:
    spec = EngineSpec(role="vae_encoder", inputs=(picture(),), outputs=(LATENT,), precision="fp32")

    assert spec.ranges == {"h": H}
    assert spec.at().inputs[0].shape == (1, 64, 8, 3)
    assert spec.at({"h": 16}).outputs[0].shape == (1, 4, 16, 1)
    assert not spec.at({"h": 16}).ranges
    assert EngineSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("base", [0, 3, 6, 20])
def test_a_size_outside_of_its_range_is_refused(base: int) -> None:
    with pytest.raises(
        ShapeOutOfProfile, match=f"'pixels': h {base} is outside of .* h=4..16 by 4"
    ):
        picture().shape_at({"h": base})


def test_a_range_that_no_input_has_is_refused() -> None:
    with pytest.raises(SpecMismatch, match=r"outputs have ranges \['h'\] that no input has"):
        EngineSpec(
            role="unet",
            inputs=(TensorSpec("x", (1, 4), "float32"),),
            outputs=(LATENT,),
            precision="fp32",
        )


def test_two_ranges_of_one_name_are_refused() -> None:
    with pytest.raises(SpecMismatch, match="are one range: make them alike"):
        EngineSpec(
            role="vae_encoder", inputs=(picture(most=12),), outputs=(LATENT,), precision="fp32"
        )


@pytest.mark.parametrize("wrong", [{"least": 0}, {"usual": 20}, {"usual": 6}, {"times": 0}])
def test_a_range_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    sizes = {"least": 4, "usual": 8, "most": 16, "step": 4, **wrong}
    with pytest.raises(SpecMismatch, match="range h="):
        Range(name="h", **sizes)


def test_whether_an_input_keeps_its_dtype_is_told_only_where_it_does() -> None:
    slab = TensorSpec("slab", (3, 4), "float16", keeps_dtype=True)
    spec = EngineSpec(
        role="unet_motion",
        inputs=(slab, TensorSpec("x", (1, 4), "float16")),
        outputs=(TensorSpec("y", (1, 4), "float32"),),
        precision="bf16",
    )

    told = spec.to_dict()

    assert EngineSpec.from_dict(told) == spec
    kept = [each for each in told["inputs"] if "keeps_dtype" in each]
    assert [each["name"] for each in kept] == ["slab"]
