"""Networks in eight bits for TensorRT; their numbers are those of ONNX Runtime."""

from __future__ import annotations

import json
from dataclasses import replace

import fake_tensorrt
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from engines.backends.tensorrt import TensorRtBackend
from engines.backends.tensorrt_quantised import (
    quantiser_availability,
    quantiser_facts,
    write_quantised,
)
from engines.backends.tensorrt_ranges import measured
from engines.cache import EngineCache
from engines.calibration import Calibration
from engines.errors import BuildError, EngineError, SwapUnsupported
from engines.programs import load_program, save_program
from engines.protocol import BackendOptions, QuantisingBackend
from engines.spec import EngineSpec, TensorSpec
from engines.store import NetworkStore
from engines.typed_lint import faults
from engines.verify import snr_db

pytest.importorskip("modelopt", reason="modelopt is not installed: pip install 'streamgen[quant]'")

SPEC = EngineSpec(
    role="unet",
    inputs=(
        TensorSpec("x", (2, 8, 16, 16), "float32"),
        TensorSpec("t", (2,), "float32"),
        TensorSpec("text", (2, 5, 12), "float32"),
    ),
    outputs=(TensorSpec("answer", (2, 8, 16, 16), "float32"),),
    precision="fp8",
)
TOKENS = {f"{place}.{part}" for place in ("down", "up_blocks.0") for part in "qkvo"}
INNER = {"down.mix", "up_blocks.0.mix", "up_blocks.1.mix"}


class Block(nn.Module):
    """Looks from 8 channels at tokens of the text, with an attention and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, 16), nn.Linear(12, 16), nn.Linear(12, 16)
        self.o = nn.Linear(16, 8)
        self.mix = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x, text):
        seen = x.flatten(2).transpose(1, 2)
        heads = [each[:, None] for each in (self.q(seen), self.k(text), self.v(text))]
        told = nn.functional.scaled_dot_product_attention(*heads)[:, 0]
        drawn = self.o(told).transpose(1, 2).reshape(x.shape)
        return x + self.mix(torch.relu(x + drawn))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.time_embedding = nn.Linear(4, 8)
        self.conv_in = nn.Conv2d(8, 8, 3, padding=1)
        self.down = Block()
        self.up_blocks = nn.ModuleList([Block(), Block()])
        self.conv_out = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x, t, text):
        waves = torch.cos(t[:, None] * torch.arange(1, 5, device=t.device))
        told = self.time_embedding(waves.to(self.conv_in.weight.dtype))
        y = self.down(self.conv_in(x) + told[:, :, None, None], text)
        for block in self.up_blocks:
            y = block(y, text)
        return self.conv_out(y)


def drawn(count=6, *, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [
        {
            "x": torch.randn(2, 8, 16, 16, generator=generator),
            "t": 999 * torch.rand(2, generator=generator),
            "text": torch.randn(2, 5, 12, generator=generator),
        }
        for _ in range(count)
    ]


def calibration(count=6):
    return Calibration(samples=lambda: drawn(count), fingerprint=str(count))


@pytest.fixture(scope="module")
def network():
    return Network().eval()


@pytest.fixture(scope="module")
def written(network, tmp_path_factory):
    """Write each network once: by precision, floats and operation set."""
    known = {}

    def write(precision, floats, opset):
        if (precision, floats, opset) not in known:
            path = tmp_path_factory.mktemp(f"{precision}-{floats}-{opset}") / "model.onnx"
            spec = replace(SPEC, precision=precision)
            write_quantised(
                spec, network, path, calibration=calibration(), floats=floats, opset=opset
            )
            known[precision, floats, opset] = path
        return known[precision, floats, opset]

    return write


def answer(path, sample):
    options = ort.SessionOptions()
    # Its fusions know no fp8 (1.31.1), and round int8 elsewhere.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {n: v.numpy() for n, v in sample.items()})[0])


def paired(path):
    """Return the names of the weights that are stored in eight bits, and their type."""
    held = onnx.load(path).graph.initializer
    stored = {each.name: each.data_type for each in held if each.name.endswith("_stored")}
    return {name[len("network.") : -len(".weight_stored")] for name in stored}, set(stored.values())


def test_fp8_is_for_what_sees_tokens_but_not_for_embeddings_or_the_last_block(written):
    names, types = paired(written("fp8", "fp32", 23))
    assert names == TOKENS
    assert types == {onnx.TensorProto.FLOAT8E4M3FN}


def test_int8_is_for_convolutions_but_the_first_and_the_last(written):
    names, types = paired(written("int8", "fp32", 23))
    assert names == INNER
    assert types == {onnx.TensorProto.INT8}


@pytest.mark.parametrize(
    ("precision", "floats", "opset", "least_db"),
    [
        ("fp8", "fp32", 23, 30),
        ("fp8", "fp16", 21, 30),
        ("int8", "fp32", 23, 30),
    ],
)
def test_onnx_runtime_reads_it_and_is_near_to_fp32(
    written, network, precision, floats, opset, least_db
):
    path = written(precision, floats, opset)
    for sample in drawn(2, seed=5):
        with torch.inference_mode():
            found = snr_db(answer(path, sample), network(*sample.values()))
        assert found > least_db
        assert found < 60  # else it was not quantised


@pytest.mark.parametrize("precision", ["fp8", "int8"])
def test_a_bf16_graph_has_its_pairs_in_bf16_and_standard_operations_only(written, precision):
    model = onnx.load(written(precision, "bf16", 23))
    assert faults(model, replace(SPEC, precision="bf16")) == ()
    assert {node.domain for node in model.graph.node} == {""}
    kinds = {each.name: each.data_type for each in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type.endswith("uantizeLinear")]
    assert pairs
    assert {kinds[node.input[1]] for node in pairs} == {onnx.TensorProto.BFLOAT16}


def test_layers_that_are_given_the_same_share_one_pair(written):
    nodes = onnx.load(written("fp8", "fp32", 23)).graph.node
    # Of each block: what q is given, what k and v are given, what o is given. The text is one.
    assert sum(node.op_type == "QuantizeLinear" for node in nodes) == 5


def test_quantised_weights_are_struck_off_the_map_of_those_that_can_be_swapped(written):
    path = written("fp8", "fp32", 23)
    told = json.loads(path.with_name("weights_map.json").read_text())
    assert {f"{name}.weight" for name in TOKENS} <= set(told["folded"])
    assert "conv_in.weight" in told["weights"]
    assert not set(told["folded"]) & set(told["weights"])


def test_a_program_from_another_process_becomes_the_same_network(written, network, tmp_path):
    save_program(SPEC, network, tmp_path, calibration())
    spec, program, told = load_program(tmp_path)
    path = tmp_path / "model.onnx"
    write_quantised(spec, program, path, calibration=told, floats="fp32")
    [sample] = drawn(1, seed=5)
    assert paired(path) == paired(written("fp8", "fp32", 23))
    assert snr_db(answer(path, sample), answer(written("fp8", "fp32", 23), sample)) > 100


def test_ranges_are_the_most_that_the_samples_reach(network):
    found = measured(SPEC, network, calibration())
    text = max(sample["text"].abs().max().item() for sample in drawn())
    assert found["down.k"].given == pytest.approx(text)
    assert found["down.k"].weight.item() == network.down.k.weight.abs().max().item()
    kernels = network.up_blocks[0].mix.weight.abs().amax(dim=(1, 2, 3))
    int8 = measured(replace(SPEC, precision="int8"), network, calibration())
    assert torch.equal(int8["up_blocks.0.mix"].weight, kernels.detach())


def test_the_module_stays_as_it_was(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    measured(SPEC, network, calibration(1))
    assert {type(part) for part in network.modules()} >= {nn.Linear, nn.Conv2d}
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())


def test_a_layer_that_is_given_nothing_but_zeros_stays_as_it_is():
    network = Network().eval()
    with torch.no_grad():
        network.down.v.weight.zero_()
        network.down.v.bias.zero_()
    assert set(measured(SPEC, network, calibration(2))) == TOKENS - {"down.o"}


def test_what_cannot_be_quantised_is_said(network, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(BuildError, match="fp8 needs samples to choose its ranges by"):
        write_quantised(SPEC, network, path, calibration=calibration(0), floats="fp32")
    plain = EngineSpec(role="unet", inputs=SPEC.inputs[:1], outputs=SPEC.outputs, precision="fp8")
    with pytest.raises(BuildError, match="no layers that could be fp8"):
        write_quantised(plain, network.conv_in, path, calibration=calibration(1), floats="fp32")
    broken = [{**sample, "text": sample["text"] / 0} for sample in drawn(1)]
    nan = Calibration(samples=lambda: broken, fingerprint="")
    with pytest.raises(BuildError, match="modelopt cannot measure it: detected inf"):
        write_quantised(SPEC, network, path, calibration=nan, floats="fp32")


def test_fp8_is_for_gpus_from_ada_on():
    assert quantiser_availability("fp8", (8, 9)).ok
    assert quantiser_availability("int8", (8, 0)).ok
    older = quantiser_availability("fp8", (8, 6))
    assert (older.ok, older.reason) == (
        False,
        "the GPU is of compute capability 8.6, fp8 needs 8.9",
    )
    assert older.hint == "use bf16, or int8"


def test_the_key_knows_the_quantiser_and_the_floats():
    assert quantiser_facts("bf16") != quantiser_facts("fp16")
    assert set(quantiser_facts("bf16")["quantiser"]) == {"nvidia-modelopt"}


def backend(version="10.14", *, gpu=None):
    return TensorRtBackend(BackendOptions(), lambda: fake_tensorrt.library(version, gpu=gpu))


@pytest.mark.parametrize(("version", "precision"), [("10.14", "fp8"), ("11.4", "int8")])
def test_trt_sequence_fake_builds_it_and_keeps_its_weights(tmp_path, network, version, precision):
    spec = replace(SPEC, precision=precision)
    store = NetworkStore(backend=backend(version), cache=EngineCache(tmp_path))
    compiled = store.compile(spec, network, calibration=calibration())
    [sample] = drawn(1, seed=5)
    binding = compiled.bind(sample)
    binding.run()
    with torch.inference_mode():
        assert snr_db(binding.outputs["answer"], network(*sample.values())) > 25
    assert compiled.computes_in == precision
    with pytest.raises(SwapUnsupported, match=f"weights of {precision} cannot be swapped, their"):
        compiled.swap_weights({"conv_in.bias": torch.zeros(8)})


def test_trt_sequence_fake_knows_calibrations_and_versions_of_the_quantiser_apart(network):
    asked = backend()
    assert isinstance(asked, QuantisingBackend)
    assert {name: told.ok for name, told in asked.quantises("cpu").items()} == {
        "int8": True,
        "fp8": True,
    }
    facts = asked.key_facts(SPEC, device="cpu")
    assert facts["floats"] == "bf16" and "nvidia-modelopt" in facts["quantiser"]
    assert "quantiser" not in asked.key_facts(replace(SPEC, precision="bf16"), device="cpu")


def test_trt_sequence_fake_refuses_fp8_before_it_builds(tmp_path, network):
    ampere = backend(gpu=fake_tensorrt.Gpu(capability="8.6"))
    store = NetworkStore(backend=ampere, cache=EngineCache(tmp_path))
    with pytest.raises(EngineError, match=r"'fp8': the GPU is of compute capability 8\.6"):
        store.compile(SPEC, network, calibration=calibration())
    store = NetworkStore(backend=backend(), cache=EngineCache(tmp_path))
    with pytest.raises(EngineError, match="fp8 needs a calibration"):
        store.compile(SPEC, network)
    swapping = replace(SPEC, swaps_weights=True)
    with pytest.raises(EngineError, match="weights of fp8 cannot be swapped"):
        store.compile(swapping, network, calibration=calibration())
