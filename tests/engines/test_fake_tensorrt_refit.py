"""The double of TensorRT when weights are exchanged: what goes together, and what is refused."""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from fake_tensorrt import Gpu, Undefined, load
from onnx import TensorProto, helper, numpy_helper

STREAM = 7


@pytest.fixture(params=["10.14", "11.4"])
def trt(request: pytest.FixtureRequest) -> ModuleType:
    return load(request.param)


def plan(trt: ModuleType, *flags: str, kind: int = TensorProto.FLOAT) -> Any:
    """x [2, 3] fp32 to y [2, 3]: x times the unit matrix plus 0 in a type, then times one scale."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    values = {"weight": np.eye(3), "bias": np.zeros(3), "gain": np.ones(1)}
    nodes = [
        helper.make_node("Cast", ["x"], ["inner"], name="in", to=kind),
        helper.make_node("Gemm", ["inner", "weight", "bias"], ["made"], name="gemm"),
        helper.make_node("Mul", ["made", "gain"], ["scaled"], name="mul"),
        helper.make_node("Cast", ["scaled"], ["y"], name="out", to=TensorProto.FLOAT),
    ]
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (2, 3)) for n in ("x", "y")]
    weights = [numpy_helper.from_array(v.astype(dtype), name) for name, v in values.items()]
    graph = helper.make_graph(nodes, "small", ports[:1], ports[1:], weights)
    opset = [helper.make_opsetid("", 21)]
    logger = trt.Logger()
    builder = trt.Builder(logger)
    flag = trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    network = builder.create_network(1 << int(flag))
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    assert trt.OnnxParser(network, logger).parse(model.SerializeToString())
    config = builder.create_builder_config()
    for name in flags:
        config.set_flag(trt.BuilderFlag[name])
    return builder.build_serialized_network(network, config)


class Running:
    """An engine with a refitter, and one context on x, all ones, and y."""

    def __init__(self, trt: ModuleType, *flags: str, kind: int = TensorProto.FLOAT) -> None:
        self.trt, self.logger = trt, trt.Logger()
        data = plan(trt, *(flags or ("REFIT",)), kind=kind)
        self.engine = trt.Runtime(self.logger).deserialize_cuda_engine(data)
        self.refitter = trt.Refitter(self.engine, self.logger)
        self.x, self.y = torch.ones(2, 3), torch.zeros(2, 3)
        self.context = self.engine.create_execution_context()
        self.context.set_tensor_address("x", self.x.data_ptr())
        self.context.set_tensor_address("y", self.y.data_ptr())

    def put(
        self, name: str, value: torch.Tensor, *, at: str = "DEVICE", kind: str = "FLOAT"
    ) -> bool:
        weights = self.trt.Weights(self.trt.DataType[kind], value.data_ptr(), value.numel())
        done: bool = self.refitter.set_named_weights(name, weights, self.trt.TensorLocation[at])
        return done

    def run(self) -> torch.Tensor:
        assert self.context.execute_async_v3(STREAM)
        return self.y.clone()


def test_new_weights_are_used_by_contexts_made_before(trt: ModuleType) -> None:
    running = Running(trt)
    assert torch.equal(running.run(), torch.ones(2, 3))
    weight, bias = 2.0 * torch.eye(3), torch.full((3,), 0.5)

    assert running.put("weight", weight) and running.put("bias", bias)
    assert running.refitter.refit_cuda_engine_async(STREAM)

    assert torch.equal(running.run(), torch.full((2, 3), 2.5))


def test_weights_of_one_layer_are_missing_until_all_are_there(trt: ModuleType) -> None:
    running = Running(trt)
    assert set(running.refitter.get_all_weights()) == {"weight", "bias", "gain"}
    assert running.refitter.get_missing_weights() == []
    weight, gain = torch.eye(3), torch.full((1,), 3.0)
    assert running.put("weight", weight)
    assert running.refitter.get_missing_weights() == ["bias"]

    assert not running.refitter.refit_cuda_engine_async(STREAM)

    assert running.refitter.unset_named_weights("weight")
    assert not running.refitter.unset_named_weights("weight")
    assert running.put("gain", gain)
    assert running.refitter.refit_cuda_engine()
    assert torch.equal(running.run(), torch.full((2, 3), 3.0))


def test_weights_of_another_name_count_or_type_are_refused(trt: ModuleType) -> None:
    running = Running(trt, kind=TensorProto.BFLOAT16)
    prototype = running.refitter.get_weights_prototype("weight")
    assert (prototype.dtype, prototype.size) == (trt.DataType.BF16, 9)
    assert running.refitter.get_weights_prototype("none").size == -1
    value = torch.eye(3, dtype=torch.bfloat16)

    assert not running.put("none", value, kind="BF16")
    assert not running.put("bias", value, kind="BF16")
    assert not running.put("weight", value, kind="HALF")
    assert not running.put("weight", torch.eye(3))
    assert running.put("weight", value, kind="BF16")

    with pytest.raises(TypeError):
        running.refitter.set_named_weights("weight", value)
    assert running.refitter.get_missing_weights() == ["bias"]


def test_an_engine_that_was_built_without_has_no_refitter(trt: ModuleType) -> None:
    logger = trt.Logger()
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan(trt))

    assert not engine.refittable
    with pytest.raises(TypeError, match="factory function returned nullptr"):
        trt.Refitter(engine, logger)


def test_values_on_the_gpu_have_to_stay_until_the_stream_was_there(trt: ModuleType) -> None:
    running = Running(trt)
    gain = torch.full((1,), 3.0)
    assert running.put("gain", gain)
    assert running.refitter.refit_cuda_engine_async(STREAM)

    del gain

    with pytest.raises(Undefined, match="freed"):
        running.run()


def test_values_on_the_host_are_read_at_once(trt: ModuleType) -> None:
    running = Running(trt)
    gain = torch.full((1,), 3.0)
    assert running.put("gain", gain, at="HOST")
    assert running.refitter.refit_cuda_engine_async(STREAM)

    gain.zero_()

    assert torch.equal(running.run(), torch.full((2, 3), 3.0))


def test_a_refit_on_another_stream_than_the_run_is_a_race(trt: ModuleType) -> None:
    running = Running(trt)
    gain = torch.full((1,), 3.0)
    assert running.put("gain", gain)
    assert running.refitter.refit_cuda_engine_async(STREAM + 1)

    with pytest.raises(Undefined, match="refitted on stream 8, and used on 7"):
        running.run()


def test_a_refit_while_the_engine_runs_is_found_out(trt: ModuleType) -> None:
    running = Running(trt)
    gain = torch.full((1,), 3.0)
    assert running.put("gain", gain)
    # The one way to be in the middle of a run without a clock: a context that says that it is.
    running.engine._running.append(running.context)

    with pytest.raises(Undefined, match="while it runs"):
        running.refitter.refit_cuda_engine_async(STREAM)


def test_a_context_runs_one_thing_at_a_time(trt: ModuleType) -> None:
    running = Running(trt)
    found: list[BaseException] = []

    def run() -> None:
        try:
            running.run()
        except Undefined as error:
            found.append(error)

    with running.engine._gpu.using(("context", running.context)):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    assert "two at a time use the same context" in str(found[0])


def test_a_refit_that_fails_leaves_some_weights_changed() -> None:
    gpu = Gpu(failing_refits=1)
    running = Running(load("11.4", gpu=gpu))
    weight, bias = 2.0 * torch.eye(3), torch.full((3,), 0.5)
    assert running.put("weight", weight) and running.put("bias", bias)

    assert not running.refitter.refit_cuda_engine_async(STREAM)

    assert torch.equal(running.run(), torch.full((2, 3), 2.0))  # a blend of old and new
    assert running.refitter.refit_cuda_engine_async(STREAM)
    assert torch.equal(running.run(), torch.full((2, 3), 2.5))


def test_a_plan_made_of_an_engine_has_the_new_weights_and_its_refit_only_if_asked_for(
    trt: ModuleType,
) -> None:
    running = Running(trt)
    gain = torch.full((1,), 3.0)
    assert running.put("gain", gain)
    assert running.refitter.refit_cuda_engine()
    config = running.engine.create_serialization_config()
    assert config.set_flag(trt.SerializationFlag.INCLUDE_REFIT)
    runtime = trt.Runtime(running.logger)

    plain = runtime.deserialize_cuda_engine(running.engine.serialize())
    again = runtime.deserialize_cuda_engine(running.engine.serialize_with_config(config))

    assert (plain.refittable, again.refittable) == (False, True)
    for engine in (plain, again):
        context = engine.create_execution_context()
        context.set_tensor_address("x", running.x.data_ptr())
        context.set_tensor_address("y", running.y.data_ptr())
        assert context.execute_async_v3(STREAM)
        assert torch.equal(running.y, torch.full((2, 3), 3.0))


def test_a_stripped_engine_runs_only_with_weights(trt: ModuleType) -> None:
    running = Running(trt, "REFIT", "STRIP_PLAN")
    assert not running.context.execute_async_v3(STREAM)
    assert running.refitter.get_missing_weights() == ["bias", "gain", "weight"]
    values = {"weight": torch.eye(3), "bias": torch.zeros(3), "gain": torch.ones(1)}
    for name, value in values.items():
        assert running.put(name, value)

    assert running.refitter.refit_cuda_engine()

    assert torch.equal(running.run(), torch.ones(2, 3))
