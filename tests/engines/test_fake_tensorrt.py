"""The double of TensorRT itself: that it computes, and refuses what the real one refuses.

Nothing here says anything of TensorRT. It keeps the double strict, for the backend's tests.
"""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from fake_tensorrt import VERSIONS, Gpu, Undefined, load
from onnx import TensorProto, helper, numpy_helper

BF16, FLOAT = TensorProto.BFLOAT16, TensorProto.FLOAT


@pytest.fixture(params=["10.14", "11.4"])
def trt(request: pytest.FixtureRequest) -> ModuleType:
    return load(request.param)


class Lines:
    """A logger of the caller's own, and what it was told."""

    def __init__(self, trt: ModuleType) -> None:
        self.told: list[str] = []
        told = self.told

        class Sink(trt.ILogger):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, msg: str) -> None:
                if severity <= trt.ILogger.Severity.ERROR:
                    told.append(msg)

        self.sink = Sink()


def graph(*, kind: int = FLOAT, side: int | str = 3, value: float = 2.0) -> bytes:
    """x [2, side] and 1x1 convolution-like Gemm to y [2, 3], inside in a type, outside in fp32."""
    rng = np.random.default_rng(0)
    width = 3 if isinstance(side, str) else side
    weight = (value * rng.standard_normal((3, width))).astype("float32")
    bias = rng.standard_normal(3).astype("float32")
    tensors = [_typed("weight", weight, kind), _typed("bias", bias, kind)]
    rows: int | str = side if isinstance(side, str) else 2
    nodes = [
        helper.make_node("Cast", ["x"], ["inner"], name="in", to=kind),
        helper.make_node("Gemm", ["inner", "weight", "bias"], ["made"], name="gemm", transB=1),
        helper.make_node("Cast", ["made"], ["y"], name="out", to=FLOAT),
    ]
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", FLOAT, (rows, width))],
        [helper.make_tensor_value_info("y", FLOAT, (rows, 3))],
        tensors,
    )
    opset = [helper.make_opsetid("", 21)]
    data: bytes = helper.make_model(made, opset_imports=opset, ir_version=10).SerializeToString()
    return data


def _typed(name: str, values: Any, kind: int) -> Any:
    return numpy_helper.from_array(values.astype(helper.tensor_dtype_to_np_dtype(kind)), name)


def strong(trt: ModuleType) -> int:
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def plan(trt: ModuleType, log: Lines, data: bytes, *flags: str, sides: tuple[int, ...] = ()) -> Any:
    """Build a graph; sides: least, usual and most rows of a ranged one."""
    builder = trt.Builder(log.sink)
    network = builder.create_network(strong(trt))
    parser = trt.OnnxParser(network, log.sink)
    assert parser.parse(data), parser.get_error(0)
    config = builder.create_builder_config()
    for flag in flags:
        config.set_flag(trt.BuilderFlag[flag])
    if sides:
        profile = builder.create_optimization_profile()
        profile.set_shape("x", *((rows, 3) for rows in sides))
        assert config.add_optimization_profile(profile) == 0
    return builder.build_serialized_network(network, config)


def engine(trt: ModuleType, log: Lines, data: bytes, *flags: str, **built: Any) -> Any:
    return trt.Runtime(log.sink).deserialize_cuda_engine(plan(trt, log, data, *flags, **built))


def expected(x: torch.Tensor, value: float = 2.0) -> torch.Tensor:
    rng = np.random.default_rng(0)
    weight = torch.from_numpy((value * rng.standard_normal((3, 3))).astype("float32"))
    return x @ weight.T + torch.from_numpy(rng.standard_normal(3).astype("float32"))


def bound(made: Any, x: torch.Tensor, y: torch.Tensor) -> Any:
    context = made.create_execution_context()
    assert context.set_input_shape("x", tuple(x.shape))
    assert context.set_tensor_address("x", x.data_ptr())
    assert context.set_tensor_address("y", y.data_ptr())
    return context


def test_it_computes_on_the_memory_of_the_tensors(trt: ModuleType) -> None:
    log = Lines(trt)
    x, y = torch.randn(2, 3), torch.zeros(2, 3)
    context = bound(engine(trt, log, graph()), x, y)

    assert context.execute_async_v3(7)
    assert torch.allclose(y, expected(x), atol=1e-5)
    x.fill_(1.0)
    assert context.execute_async_v3(7)

    assert torch.allclose(y, expected(x), atol=1e-5)
    assert log.told == []


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, BF16])
def test_halves_are_rounded_as_halves(trt: ModuleType, kind: int) -> None:
    x, y = torch.randn(2, 3), torch.zeros(2, 3)
    half = torch.float16 if kind == TensorProto.FLOAT16 else torch.bfloat16

    assert bound(engine(trt, Lines(trt), graph(kind=kind)), x, y).execute_async_v3(7)

    assert torch.equal(y, y.to(half).float())
    assert torch.allclose(y, expected(x), rtol=0.03, atol=0.03)
    assert not torch.allclose(y, expected(x), rtol=1e-6, atol=1e-6)


def test_what_a_version_does_not_have_is_an_attribute_error() -> None:
    old, new = load("10.14"), load("11.4")

    assert {"FP16", "BF16", "INT8", "FP8"} <= set(old.BuilderFlag.__members__)
    assert "EXPLICIT_BATCH" in old.NetworkDefinitionCreationFlag.__members__
    for name in ("FP16", "BF16", "INT8", "FP8", "OBEY_PRECISION_CONSTRAINTS"):
        with pytest.raises(AttributeError):
            getattr(new.BuilderFlag, name)
    with pytest.raises(AttributeError):
        _ = new.NetworkDefinitionCreationFlag.EXPLICIT_BATCH
    for trt in (old, new):
        config = trt.Builder(trt.Logger()).create_builder_config()
        with pytest.raises(AttributeError):
            config.max_workspace_size = 1
        with pytest.raises(AttributeError):
            _ = trt.OnnxParser.parse_whatever


def test_arguments_of_another_type_are_refused(trt: ModuleType) -> None:
    x = torch.randn(2, 3)
    context = engine(trt, Lines(trt), graph()).create_execution_context()

    with pytest.raises(TypeError, match="incompatible function arguments"):
        context.set_tensor_address("x", x)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        context.set_input_shape("x", 6)
    with pytest.raises(TypeError, match=r"__init__\(\) must be called"):
        trt.Builder(type("Bare", (trt.ILogger,), {"__init__": lambda self: None})())


def test_without_a_driver_nothing_is_made() -> None:
    trt = load("11.4", gpu=None)
    log = Lines(trt)

    for kind in (trt.Builder, trt.Runtime):
        with pytest.raises(TypeError, match="factory function returned nullptr"):
            kind(log.sink)
    assert "CUDA initialization failure with error: 35" in log.told[0]


def test_a_weakly_typed_network_is_not_built() -> None:
    trt = load("10.14")
    log = Lines(trt)
    builder = trt.Builder(log.sink)
    # The flag itself is no bit: its number, 1, is the bit of EXPLICIT_BATCH.
    for flags in (0, trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED):
        network = builder.create_network(flags)
        assert trt.OnnxParser(network, log.sink).parse(graph())
        config = builder.create_builder_config()

        assert builder.build_serialized_network(network, config) is None
        assert "no weak typing" in log.told[-1]


def test_flags_of_weak_typing_spoil_a_strongly_typed_build() -> None:
    trt = load("10.14")
    log = Lines(trt)

    assert plan(trt, log, graph(), "BF16") is None
    assert "BF16 cannot be set for a strongly typed network" in log.told[-1]


def node(op: str, given: str, made: str, **attributes: Any) -> Any:
    return helper.make_node(op, given.split(), made.split(), name=op.lower(), **attributes)


@pytest.mark.parametrize(
    ("nodes", "kinds", "code", "why"),
    [
        (
            [node("Transpose", "x", "t"), node("Cast", "t", "y", to=FLOAT)],
            (TensorProto.UINT8, FLOAT),
            "UNSUPPORTED_NODE",
            "UINT8 types for intermediate tensors",
        ),
        (
            [node("Cast", "x", "y", to=BF16)],
            (TensorProto.UINT8, BF16),
            "UNSUPPORTED_NODE_DATATYPE",
            "only supported for FLOAT and HALF",
        ),
        (
            [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")],
            (FLOAT, FLOAT),
            "UNSUPPORTED_NODE",
            "zero point of a quantised tensor must be 0",
        ),
        ([node("Unique", "x", "y")], (FLOAT, FLOAT), "UNSUPPORTED_NODE", "no importer"),
        (
            [node("Cast", "x", "c", to=BF16), node("Add", "x c", "y")],
            (FLOAT, FLOAT),
            "INVALID_GRAPH",
            "",
        ),
    ],
)
def test_a_graph_that_the_parser_cannot_read_is_refused(
    trt: ModuleType, nodes: list[Any], kinds: tuple[int, int], code: str, why: str
) -> None:
    log = Lines(trt)
    (x, y) = (
        helper.make_tensor_value_info(n, k, (None,)) for n, k in zip("xy", kinds, strict=True)
    )
    scale, zero = np.float32(0.1), np.int8(3)
    stored = [numpy_helper.from_array(np.array(v), n) for n, v in (("s", scale), ("z", zero))]
    graph_ = helper.make_graph(nodes, "bad", [x], [y], stored)
    model = helper.make_model(graph_, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    parser = trt.OnnxParser(trt.Builder(log.sink).create_network(strong(trt)), log.sink)

    assert not parser.parse(model.SerializeToString())
    errors = [parser.get_error(at) for at in range(parser.num_errors)]
    assert code in {error.code().name for error in errors}
    assert any(why in error.desc() for error in errors)
    assert log.told


def test_a_file_that_is_no_graph_is_refused(trt: ModuleType, tmp_path: Any) -> None:
    log = Lines(trt)
    parser = trt.OnnxParser(trt.Builder(log.sink).create_network(strong(trt)), log.sink)

    assert not parser.parse_from_file(str(tmp_path / "none.onnx"))
    assert not parser.parse(b"\x00\x01nothing")
    assert parser.get_error(0).code() == trt.ErrorCode.MODEL_DESERIALIZE_FAILED


def test_ranges_need_a_profile_and_bound_what_may_be_set(trt: ModuleType) -> None:
    log = Lines(trt)
    data = graph(side="rows")
    assert plan(trt, log, data) is None
    assert "no optimization profile has been defined" in log.told[-1]

    made = engine(trt, log, data, sides=(1, 2, 4))
    assert made.get_tensor_shape("x") == (-1, 3)
    assert made.get_tensor_profile_shape("x", 0) == [(1, 3), (2, 3), (4, 3)]
    context = made.create_execution_context()
    assert not context.execute_async_v3(7)
    assert "the shape of x is not set" in log.told[-1]
    assert not context.set_input_shape("x", (5, 3))
    assert "outside of the range" in log.told[-1]
    assert context.get_tensor_shape("y") == (-1, 3)
    x, y = torch.randn(4, 3), torch.zeros(4, 3)
    context = bound(made, x, y)
    assert context.get_tensor_shape("y") == (4, 3)
    assert context.execute_async_v3(7)
    assert torch.allclose(y, expected(x), atol=1e-5)


def test_shapes_are_forgotten_with_the_profile(trt: ModuleType) -> None:
    log = Lines(trt)
    made = engine(trt, log, graph(side="rows"), sides=(1, 2, 4))
    context = made.create_execution_context()
    assert context.set_input_shape("x", (2, 3))

    assert context.set_optimization_profile_async(0, 7)

    assert context.infer_shapes() == ["x"]
    with pytest.raises(RuntimeError, match="optimization profile"):
        context.set_optimization_profile_async(1, 7)


def test_every_tensor_needs_an_address(trt: ModuleType) -> None:
    log = Lines(trt)
    x = torch.randn(2, 3)
    context = engine(trt, log, graph()).create_execution_context()
    assert context.set_tensor_address("x", x.data_ptr())

    assert not context.set_tensor_address("z", x.data_ptr())
    assert not context.execute_async_v3(7)

    assert "the address of y is not set" in log.told[-1]


def test_memory_that_is_gone_small_or_of_another_type_is_found_out(trt: ModuleType) -> None:
    made = engine(trt, Lines(trt), graph())
    x, y = torch.randn(2, 3), torch.zeros(2, 3)
    for wrong, why in (
        (torch.zeros(2, 3, dtype=torch.int32), "is FLOAT, its memory belongs to torch.int32"),
        (torch.zeros(2, 2), "needs 24 bytes, its memory has 16"),
    ):
        with pytest.raises(Undefined, match=why):
            bound(made, x, wrong).execute_async_v3(7)
    context = bound(made, x, y)
    assert context.execute_async_v3(7)

    del y

    with pytest.raises(Undefined, match="freed"):
        context.execute_async_v3(7)


def test_scratch_memory_has_to_be_given_where_it_was_asked_for(trt: ModuleType) -> None:
    log = Lines(trt)
    made = engine(trt, log, graph())
    x, y = torch.randn(2, 3), torch.zeros(2, 3)
    context = made.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
    assert context.set_tensor_address("x", x.data_ptr())
    assert context.set_tensor_address("y", y.data_ptr())
    assert not context.execute_async_v3(7)
    assert "no device memory" in log.told[-1]

    room = torch.zeros(made.device_memory_size_v2 + 256, dtype=torch.uint8)
    start = -room.data_ptr() % 256
    context.set_device_memory(room.data_ptr() + start, made.device_memory_size_v2)
    assert context.execute_async_v3(7)

    assert torch.allclose(y, expected(x), atol=1e-5)
    assert room[start] != 0  # whoever keeps something there loses it


def test_plans_of_elsewhere_and_broken_ones_are_refused(trt: ModuleType) -> None:
    log = Lines(trt)
    made = bytes(plan(trt, log, graph()))
    other = load(next(v for v in VERSIONS.values() if v != trt.__version__))
    broken = made[:-1] + bytes([made[-1] ^ 1])
    for module, data, why in (
        (trt, made[:-1], "Serialization assertion"),
        (trt, broken, "Serialization assertion"),
        (trt, b"", "Serialization assertion"),
        (other, made, "not compatible with this version of TensorRT"),
        (load(trt.__version__, gpu=Gpu(name="Another")), made, "incompatible device"),
    ):
        runtime = module.Runtime(log.sink)
        assert runtime.deserialize_cuda_engine(data) is None
        assert why in log.told[-1]


def eight_bits(kind: int) -> bytes:
    """x [2, 3] fp32 rounded to 8 bits and back in bf16, to y [2, 3] fp32."""
    nodes = [
        node("Cast", "x", "given", to=BF16),
        node("QuantizeLinear", "given s z", "q"),
        node("DequantizeLinear", "q s z", "made"),
        helper.make_node("Cast", ["made"], ["y"], name="out", to=FLOAT),
    ]
    stored = [_typed("s", np.array(0.25), BF16), helper.make_tensor("z", kind, (), b"\0", raw=True)]
    ports = [helper.make_tensor_value_info(name, FLOAT, (2, 3)) for name in "xy"]
    made = helper.make_graph(nodes, "eight", ports[:1], ports[1:], stored)
    opset = [helper.make_opsetid("", 21)]
    data: bytes = helper.make_model(made, opset_imports=opset, ir_version=10).SerializeToString()
    return data


def test_pairs_of_eight_bits_are_computed(trt: ModuleType) -> None:
    x, y = torch.tensor([[0.3, -0.3, 1.0], [4.4, 0.1, 9.0]]), torch.zeros(2, 3)

    assert bound(engine(trt, Lines(trt), eight_bits(TensorProto.INT8)), x, y).execute_async_v3(7)
    assert torch.equal(y, torch.tensor([[0.25, -0.25, 1.0], [4.5, 0.0, 9.0]]))

    fp8 = TensorProto.FLOAT8E4M3FN
    assert bound(engine(trt, Lines(trt), eight_bits(fp8)), x, y).execute_async_v3(7)
    given = (x.bfloat16().float() / 0.25).to(torch.float8_e4m3fn)
    assert torch.equal(y, given.float() * 0.25)


def test_types_that_the_gpu_lacks_are_not_built() -> None:
    trt = load("11.4", gpu=Gpu(capability="8.6"))
    log = Lines(trt)

    assert plan(trt, log, eight_bits(TensorProto.INT8)) is not None
    assert plan(trt, log, eight_bits(TensorProto.FLOAT8E4M3FN)) is None
    assert "FP8 is not supported on a GPU of 8.6" in log.told[-1]


def test_an_opset_that_is_too_new_is_refused() -> None:
    trt = load("11.4", newest_opset=20)
    parser = trt.OnnxParser(trt.Builder(trt.Logger()).create_network(1), trt.Logger())

    assert not parser.parse(graph())
    assert "opset 21 is not in 9 to 20" in parser.get_error(0).desc()


def test_weights_are_counted_where_the_bindings_can() -> None:
    new, old = load("11.4"), load("10.14")

    assert engine(new, Lines(new), graph()).get_engine_stat() == 4 * 12
    with pytest.raises(TypeError, match="weak reference"):
        engine(old, Lines(old), graph()).get_engine_stat()


def test_builds_fail_where_the_pretended_gpu_finds_no_kernel() -> None:
    trt = load("11.4", gpu=Gpu(highest_level=2))
    log = Lines(trt)

    assert plan(trt, log, graph()) is None
    assert "Could not find any implementation for node" in log.told[-1]


def test_a_monitor_hears_the_phases_and_can_stop_them(trt: ModuleType) -> None:
    heard: list[str] = []

    class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined, misc]
        def __init__(self, wanted: int) -> None:
            trt.IProgressMonitor.__init__(self)
            self.wanted = wanted

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            heard.append(f"+{phase_name}")

        def step_complete(self, phase_name: str, step: int) -> bool:
            return len(heard) < self.wanted

        def phase_finish(self, phase_name: str) -> None:
            heard.append(f"-{phase_name}")

    log = Lines(trt)
    builder = trt.Builder(log.sink)
    network = builder.create_network(strong(trt))
    assert trt.OnnxParser(network, log.sink).parse(graph())
    for wanted, is_built in ((100, True), (3, False)):
        config = builder.create_builder_config()
        heard.clear()
        config.progress_monitor = Monitor(wanted)
        assert (builder.build_serialized_network(network, config) is not None) is is_built
        assert (heard[0], heard[-1]) == ("+Building Engine", "-Building Engine")
    assert "cancelled" in log.told[-1]


def test_times_are_kept_for_one_version_and_one_gpu(trt: ModuleType) -> None:
    log = Lines(trt)
    builder = trt.Builder(log.sink)
    config = builder.create_builder_config()
    cache = config.create_timing_cache(b"")
    assert config.set_timing_cache(cache, ignore_mismatch=False)
    network = builder.create_network(strong(trt))
    assert trt.OnnxParser(network, log.sink).parse(graph())
    assert builder.build_serialized_network(network, config) is not None
    kept = bytes(config.get_timing_cache().serialize())
    assert b"gemm" in kept

    other = load(trt.__version__, gpu=Gpu(name="Another")).Builder(log.sink).create_builder_config()
    stored = other.create_timing_cache(kept)

    assert not other.set_timing_cache(stored, ignore_mismatch=False)
    assert other.create_timing_cache(b"rubbish") is None


def test_the_inspector_tells_the_types_of_a_detailed_build(trt: ModuleType) -> None:
    log = Lines(trt)
    made = engine(trt, log, graph(kind=BF16))
    as_json = trt.LayerInformationFormat.JSON
    told = json.loads(made.create_engine_inspector().get_engine_information(as_json))
    assert told["Layers"] == ["in", "gemm", "out"]

    builder = trt.Builder(log.sink)
    network = builder.create_network(strong(trt))
    assert trt.OnnxParser(network, log.sink).parse(graph(kind=BF16))
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    data = builder.build_serialized_network(network, config)
    made = trt.Runtime(log.sink).deserialize_cuda_engine(data)
    layers = json.loads(made.create_engine_inspector().get_engine_information(as_json))["Layers"]

    assert {i["Format/Datatype"] for i in layers[1]["Inputs"]} == {"BFloat16"}
