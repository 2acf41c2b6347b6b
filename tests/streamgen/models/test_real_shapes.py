"""Networks of published widths, with seeded random weights, as TensorRT gets them.

They are exported in fp16 for pictures of 64x64 pixels, and run by ONNX Runtime as they are
written. One network is in memory at a time: about 5 GiB, and as much on disk.
"""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor
from torch import Tensor, nn

from engines.export import MODEL, WEIGHTS_MAP
from engines.spec import EngineSpec
from engines.typed_lint import faults
from engines.typed_onnx import write_typed
from engines.verify import sample_inputs
from streamgen.models.architectures import make
from streamgen.models.motion_extension import with_motion
from streamgen.models.networks import Denoiser, PixelDecoder, PixelEncoder
from streamgen.models.specs import unet_spec, vae_spec
from streamgen.motion.adapter import Adapter, shapes_of
from streamgen.motion.budget import MotionMemory
from streamgen.motion.layouts import layout_of
from streamgen.motion.ring import Ring
from streamgen.motion.unet import MotionUnet

pytestmark = pytest.mark.slow

#: Signal to noise of fp16 beside torch in fp32: measured 60 to 62 dB of both UNets. Of pixels, one
#: level is allowed.
LEAST_DB = 50.0
TYPES = (nn.Linear, nn.Conv2d)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What is left of a network in one opset: its graph without weights, and how it answered."""

    spec: EngineSpec
    opset: int
    graph: onnx.ModelProto
    told: dict[str, Any]
    answer: Tensor
    strangers: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """A network: what a LoRA can change in it, torch's answer in fp32, and what was written."""

    weights: dict[str, torch.Size]
    unused: frozenset[str]
    answer: Tensor
    written: Sequence[Written]


def random_unet(name: str) -> nn.Module:
    """Return a UNet in fp16 whose activations stay about as large as its input."""
    unet = make(name, device="meta", dtype=torch.float16).to_empty(device="cpu")
    assert not list(unet.buffers())
    generator = torch.Generator().manual_seed(0)
    for weight in unet.parameters():
        if weight.ndim > 1:
            bound = math.sqrt(3 / weight[0].numel())
            weight.uniform_(-bound, bound, generator=generator)
    for part in unet.modules():
        if getattr(part, "bias", None) is not None:
            part.bias.zero_()
        if isinstance(part, nn.GroupNorm | nn.LayerNorm):
            part.weight.fill_(1.0)
    return unet


def motion_unet() -> tuple[nn.Module, EngineSpec]:
    """Return SD 1.5 with AnimateDiff's modules on the finest level, rings in float16.

    The others have most of the weights, and nothing that these have not.
    """
    unet, levels, layout = random_unet("sd15-unet"), (0,), layout_of({})
    places = [place for place in layout.places if place.level in levels]
    generator, weights = torch.Generator().manual_seed(1), {}
    for name, shape in shapes_of(layout).items():
        if any(name.startswith(f"{place.name}.") for place in places):
            bound = math.sqrt(3 / shape[-1])
            drawn = torch.empty(shape, dtype=torch.float16).uniform_(
                -bound, bound, generator=generator
            )
            is_scale = "norm" in name and name.endswith("weight")
            weights[name] = torch.ones_like(drawn) if is_scale else drawn
    adapter = Adapter(name="animatediff", layout=layout, weights=weights)
    module = MotionUnet(unet, adapter, levels=levels)
    ring = Ring(sinks=2, rolling=3)
    memory = MotionMemory(rings=(ring, None, None, None), kind="float16")
    spec = unet_spec(unet.config, 1, latent=(8, 8), precision="fp16")
    return module, with_motion(spec, module.places, memory, rows=2)


def network(name: str) -> tuple[nn.Module, EngineSpec]:
    if name == "sd15-motion-unet":
        return motion_unet()
    if name.endswith("unet"):
        unet = random_unet(name)
        return Denoiser(unet), unet_spec(unet.config, 1, latent=(8, 8), precision="fp16")
    vae = make("taesd")
    kinds = {"vae_encoder": PixelEncoder, "vae_decoder": PixelDecoder}
    return kinds[name](vae), vae_spec(name, 1, vae.config, sides=(64, 64), precision="fp16")


def written(module: nn.Module, spec: EngineSpec, opset: int, folder: Path) -> Written:
    write_typed(spec, module, folder / MODEL, opset=opset)
    gc.collect()  # the copy in halves that was traced
    graph = onnx.load(folder / MODEL, load_external_data=False)
    told = json.loads((folder / WEIGHTS_MAP).read_text(encoding="utf-8"))
    return Written(
        spec=spec,
        opset=opset,
        graph=graph,
        told=told,
        answer=answered(spec, folder / MODEL),
        strangers=list(strangers(module, told, graph, folder)),
    )


def answered(spec: EngineSpec, path: Path) -> Tensor:
    """Run a file as it is: not simplified, and without memory that outlives an operation."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = sample_inputs(spec, seed=1)
    answer, *_ = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return torch.from_numpy(answer)


def strangers(
    module: nn.Module, told: dict[str, Any], graph: onnx.ModelProto, folder: Path
) -> Iterator[str]:
    """Yield the weights that are not where the map says; read one by one."""
    held = {each.name: each for each in graph.graph.initializer}
    for name, weight in module.named_parameters():
        at = told["weights"].get(name)
        if at is None:
            continue
        stored = onnx.TensorProto()
        stored.CopyFrom(held[at["initializer"]])
        if stored.data_location == onnx.TensorProto.EXTERNAL:
            load_external_data_for_tensor(stored, str(folder))
        value = torch.from_numpy(numpy_helper.to_array(stored).copy())
        wanted = weight.t() if at["transposed"] else weight
        if not torch.equal(value, wanted.half()) or at["dtype"] != "float16":
            yield name


def changeable(module: nn.Module) -> dict[str, torch.Size]:
    return {
        f"{name}.weight": part.weight.shape
        for name, part in module.named_modules()
        if isinstance(part, TYPES)
    }


def made(name: str, opsets: Sequence[int], place: Path) -> Real:
    module, spec = network(name)
    found = []
    for opset in opsets:
        with TemporaryDirectory(dir=place) as folder:
            found.append(written(module, spec, opset, Path(folder)))
        gc.collect()
    inputs = sample_inputs(spec, seed=1)
    module.float()
    with torch.no_grad():
        answer = module(*(inputs[tensor.name] for tensor in spec.inputs))
    answer = answer[0] if isinstance(answer, tuple) else answer
    other = {"vae_encoder": "vae.decoder.", "vae_decoder": "vae.encoder."}.get(name, "none")
    weights = changeable(module)
    unused = frozenset(each for each in weights if each.startswith(other))
    used = {each: shape for each, shape in weights.items() if each not in unused}
    return Real(weights=used, unused=unused, answer=answer, written=found)


@pytest.fixture(
    scope="module",
    params=[
        ("sd15-unet", (23, 21)),
        ("sd15-motion-unet", (23,)),
        ("sd-turbo-unet", (23,)),
        ("vae_encoder", (23,)),
        ("vae_decoder", (23,)),
    ],
    ids=lambda given: given[0],
)
def real(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Real]:
    found = made(*request.param, tmp_path_factory.mktemp("real"))
    gc.collect()
    yield found


def test_the_graph_is_valid_in_its_opset(real: Real, tmp_path: Path) -> None:
    for each in real.written:
        assert [given.version for given in each.graph.opset_import] == [each.opset]
        onnx.save(each.graph, tmp_path / MODEL)
        # The checker wants the file of the weights to be there; it does not read them.
        (tmp_path / f"{MODEL}.data").touch()
        onnx.checker.check_model(str(tmp_path / MODEL), full_check=True)


def test_the_graph_is_as_typed_as_asked_for(real: Real) -> None:
    for each in real.written:
        assert faults(each.graph, each.spec) == ()


def test_the_graph_has_norms_and_attention_as_operations_of_their_own(real: Real) -> None:
    for each in real.written:
        kinds = {node.op_type for node in each.graph.graph.node}
        if each.spec.role == "unet":
            assert {"GroupNormalization", "LayerNormalization"} <= kinds
            assert ("Attention" in kinds) == (each.opset >= 23)


def test_halves_answer_as_torch_does_in_floats(real: Real) -> None:
    for each in real.written:
        made, wanted = each.answer.double(), real.answer.double()
        if each.answer.dtype == torch.uint8:
            assert (made - wanted).abs().max() <= 1
        else:
            noise = (made - wanted).square().sum()
            assert 10 * torch.log10(wanted.square().sum() / noise) > LEAST_DB
        assert wanted.std() > 0.1 * wanted.abs().mean() > 0


def test_each_weight_that_a_lora_can_change_is_an_initializer_of_its_own(real: Real) -> None:
    for each in real.written:
        held = {value.name: value for value in each.graph.graph.initializer}
        told = each.told["weights"]
        assert each.told["folded"] == []
        assert real.unused <= set(each.told["unused"])
        assert real.weights.keys() <= told.keys()
        places = [told[name]["initializer"] for name in real.weights]
        assert len(set(places)) == len(places)
        for name, shape in real.weights.items():
            at = told[name]
            value = held[at["initializer"]]
            sides = list(reversed(shape)) if at["transposed"] else list(shape)
            assert (list(value.dims), value.data_type) == (sides, onnx.TensorProto.FLOAT16)


def test_each_weight_lies_where_the_map_says_as_it_says(real: Real) -> None:
    for each in real.written:
        assert each.strangers == []
