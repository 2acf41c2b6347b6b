from __future__ import annotations

import onnx
import pytest

from engines.spec import EngineSpec, Range, TensorSpec
from engines.typed_lint import faults

HEAD = '<ir_version: 10, opset_import: ["" : 23, "far" : 1]>\n'


def linted(body: str, spec: EngineSpec) -> tuple[str, ...]:
    return faults(onnx.parser.parse_model(HEAD + body), spec)


def spec_of(precision: str = "fp16", given: str = "float32", made: str = "float32") -> EngineSpec:
    x, y = TensorSpec("x", (2, 4), given), TensorSpec("y", (2, 4), made)
    return EngineSpec("unet", (x,), (y,), precision)


def halves(body: str) -> str:
    """A graph around these lines, which make `b` of `a`, both of them float16."""
    return (
        "g (float[2,4] x) => (float[2,4] y) <float16[4,4] w = {0}> {\n"
        f"  a = Cast<to=10>(x)\n{body}\n  y = Cast<to=1>(b)\n}}"
    )


def test_a_graph_of_halves_with_floats_outside_is_as_asked_for() -> None:
    assert linted(halves("b = MatMul(a, w)"), spec_of()) == ()


def test_a_weight_needs_no_content() -> None:
    model = onnx.parser.parse_model(HEAD + halves("b = MatMul(a, w)"))
    (weight,) = model.graph.initializer
    weight.ClearField("int32_data")
    weight.data_location = onnx.TensorProto.EXTERNAL

    assert faults(model, spec_of()) == ()


def test_a_multiplication_in_floats_is_named() -> None:
    graph = (
        "g (float[2,4] x) => (float[2,4] y) <float[4,4] w = {0}> {\n [first] y = MatMul(x, w)\n}"
    )

    assert linted(graph, spec_of("fp32")) == ()
    (told,) = linted(graph, spec_of("bf16"))
    assert told == "MatMul 'first' computes in FLOAT; required: BFLOAT16"


def test_halves_of_the_other_kind_are_named() -> None:
    (told,) = linted(halves("[first] b = MatMul(a, w)"), spec_of("bf16"))

    assert told == "MatMul 'first' computes in FLOAT16; required: BFLOAT16"


def test_an_operation_on_floats_of_two_kinds_is_named_by_what_it_makes() -> None:
    graph = (
        "g (float[2,4] x) => (float[4,4] y) {\n a = Cast<to=10>(x)\n y = Concat<axis=0>(a, x)\n}"
    )
    spec = EngineSpec(
        "unet",
        (TensorSpec("x", (2, 4), "float32"),),
        (TensorSpec("y", (4, 4), "float32"),),
        "fp16",
    )

    assert linted(graph, spec) == ("Concat 'y' mixes FLOAT and FLOAT16",)


def test_scales_of_a_resize_are_floats_by_definition() -> None:
    body = (
        "r = Unsqueeze(a, axes)\n s = Resize<mode=\"nearest\">(r, , scales)\n"
        " b = Squeeze(s, axes)"
    )  # fmt: skip
    graph = halves(body).replace(
        "<float16", "<int64[1] axes = {0}, float[3] scales = {1.0, 1.0, 1.0}, float16"
    )

    assert linted(graph, spec_of()) == ()


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (spec_of(given="float16"), "the input 'x' is FLOAT [2, 4]; required: x [2, 4] float16"),
        (spec_of(made="bfloat16"), "the output 'y' is FLOAT [2, 4]; required: y [2, 4] bfloat16"),
        (
            EngineSpec("unet", (TensorSpec("z", (2, 4), "float32"),), spec_of().outputs, "fp16"),
            "the inputs are x; required: z",
        ),
        (
            EngineSpec("unet", spec_of().inputs, (TensorSpec("y", (4, 4), "float32"),), "fp16"),
            "the output 'y' is FLOAT [2, 4]; required: y [4, 4] float32",
        ),
    ],
)
def test_other_tensors_outside_than_the_specification_has_are_named(
    spec: EngineSpec, told: str
) -> None:
    assert linted(halves("b = MatMul(a, w)"), spec) == (told,)


def test_a_range_is_a_side_without_a_size() -> None:
    side = Range(name="b", least=1, usual=2, most=4)
    x, y = TensorSpec("x", (side, 4), "float32"), TensorSpec("y", (side, 4), "float32")
    spec = EngineSpec("unet", (x,), (y,), "fp16")

    assert linted(halves("b = MatMul(a, w)").replace("[2,4]", "[n,4]"), spec) == ()
    assert "required: x [b=1..4 x1, 4]" in linted(halves("b = MatMul(a, w)"), spec)[0]


def test_a_range_of_one_size_is_a_side_of_that_size() -> None:
    side = Range(name="b", least=2, usual=2, most=2)
    x, y = TensorSpec("x", (side, 4), "float32"), TensorSpec("y", (side, 4), "float32")

    assert linted(halves("b = MatMul(a, w)"), EngineSpec("unet", (x,), (y,), "fp16")) == ()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("b = Sin(a)", "Sin 'b' is of a timestep, and computes in FLOAT16; required: FLOAT"),
        (
            "[n] b = LayerNormalization<stash_type=10>(a, w)",
            "LayerNormalization 'n' has its statistics in FLOAT16; required: FLOAT",
        ),
    ],
)
def test_what_must_be_exact_is_named_where_it_is_not(line: str, told: str) -> None:
    assert linted(halves(line), spec_of()) == (told,)


def test_norms_keep_their_statistics_in_floats() -> None:
    assert linted(halves("b = LayerNormalization<stash_type=1>(a, w)"), spec_of()) == ()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("b, c = Unique(a)", "Unique 'b' is an operation that TensorRT's parser lacks"),
        (
            "b = far.Gelu(a)",
            "Gelu 'b' is of the domain 'far', which TensorRT's parser does not know",
        ),
    ],
)
def test_operations_that_tensorrt_lacks_are_named(line: str, told: str) -> None:
    assert told in linted(halves(line), spec_of())


BYTES = EngineSpec(
    "vae_encoder",
    (TensorSpec("x", (2, 4), "uint8"),),
    (TensorSpec("y", (4, 2), "float32"),),
    "bf16",
)


def test_bytes_are_only_cast_and_only_to_what_tensorrt_casts_them_to() -> None:
    head, foot = "g (uint8[2,4] x) => (float[4,2] y) {\n", "\n}"

    assert linted(f"{head} a = Cast<to=1>(x)\n y = Transpose<perm=[1,0]>(a){foot}", BYTES) == ()
    moved = linted(f"{head} a = Transpose<perm=[1,0]>(x)\n y = Cast<to=1>(a){foot}", BYTES)
    assert moved == (
        "Transpose 'a' takes or gives UINT8, which TensorRT has only as inputs and outputs",
    )
    narrow = f"{head} a = Cast<to=16>(x)\n b = Cast<to=1>(a)\n y = Transpose<perm=[1,0]>(b){foot}"
    assert linted(narrow, BYTES) == (
        "Cast 'a' casts between UINT8 and BFLOAT16; TensorRT can FLOAT and FLOAT16",
    )


PAIR = (
    "g (float[2,4] x) => (float[2,4] y) <float scale = {0.5}, int8 zero = {0}> {\n"
    "  q = QuantizeLinear(x, scale, zero)\n  y = DequantizeLinear(q, scale, zero)\n}"
)


def test_pairs_of_quantising_and_dequantising_are_whole() -> None:
    assert linted(PAIR, spec_of()) == ()


def test_what_is_quantised_and_used_so_is_named() -> None:
    graph = PAIR.replace("DequantizeLinear(q, scale, zero)", "Cast<to=1>(q)")

    assert linted(graph, spec_of()) == (
        "QuantizeLinear 'q' is read by Cast; required: DequantizeLinear",
    )


def test_what_is_dequantised_and_never_was_quantised_is_named() -> None:
    graph = PAIR.replace("QuantizeLinear(x, scale, zero)", "Cast<to=3>(x)", 1)

    assert linted(graph, spec_of()) == (
        "DequantizeLinear 'y' reads what is neither stored, given, nor made by QuantizeLinear",
    )


def test_stored_weights_are_quantised_already() -> None:
    graph = (
        "g (float[2,4] x) => (float[2,4] y)"
        " <float scale = {0.5}, int8 zero = {0}, int8[4,4] w = {0}> {\n"
        "  d = DequantizeLinear(w, scale, zero)\n  y = MatMul(x, d)\n}"
    )

    assert linted(graph, spec_of("fp32")) == ()
