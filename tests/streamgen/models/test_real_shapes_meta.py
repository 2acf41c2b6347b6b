"""Graphs of published networks without any weights: in bf16, which no CPU runs, and of SDXL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from engines.onnx_graph import Initializer
from engines.spec import EngineSpec
from engines.typed_lint import faults
from engines.typed_onnx import typed_graph
from streamgen.models.architectures import make
from streamgen.models.motion_extension import with_motion
from streamgen.models.networks import PixelDecoder, PixelEncoder, denoiser_of
from streamgen.models.specs import further_inputs, unet_spec, vae_spec
from streamgen.motion.adapter import Adapter, shapes_of
from streamgen.motion.budget import MotionMemory
from streamgen.motion.layouts import layout_of
from streamgen.motion.ring import Ring
from streamgen.motion.unet import MotionUnet

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A graph, where its weights are, and the names of those that a LoRA can change."""

    spec: EngineSpec
    graph: onnx.ModelProto
    initializers: dict[str, Initializer]
    changeable: dict[str, torch.Size]


def motion_unet() -> tuple[nn.Module, EngineSpec]:
    """Return SD 1.5 with all modules of AnimateDiff v1-5-2, in a window of 16, rings in int8."""
    unet, layout = make("sd15-unet", device="meta"), layout_of({})
    weights = {name: torch.empty(each, device="meta") for name, each in shapes_of(layout).items()}
    module = MotionUnet(unet, Adapter(name="animatediff", layout=layout, weights=weights))
    memory = MotionMemory(rings=(Ring(sinks=8, rolling=7),) * 4, kind="int8")
    spec = unet_spec(unet.config, 1, latent=(8, 8), precision="bf16")
    return module, with_motion(spec, module.places, memory, rows=4)


def network(name: str) -> tuple[nn.Module, EngineSpec]:
    """Return a network on the meta device, and its specification at 64x64 pixels in bf16."""
    if name == "sd15-motion-unet":
        return motion_unet()
    if name.endswith("unet"):
        unet = make(name, device="meta")
        spec = unet_spec(unet.config, 1, latent=(8, 8), precision="bf16")
        return denoiser_of(unet, further_inputs(unet.config)), spec
    vae = make("taesd", device="meta")
    kinds = {"vae_encoder": PixelEncoder, "vae_decoder": PixelDecoder}
    return kinds[name](vae), vae_spec(name, 1, vae.config, sides=(64, 64), precision="bf16")


@pytest.fixture(
    scope="module",
    params=[
        "sd15-unet",
        "sd15-motion-unet",
        "sd-turbo-unet",
        "vae_encoder",
        "vae_decoder",
        "sdxl-turbo-unet",
    ],
)
def drawn(request: pytest.FixtureRequest) -> Iterator[Drawn]:
    module, spec = network(request.param)
    with torch.device("meta"):
        graph = typed_graph(spec, module)
    found = {
        f"network.{name}.weight": part.weight.shape
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear | nn.Conv2d)
    }
    other = {"vae_encoder": "vae.decoder.", "vae_decoder": "vae.encoder."}.get(spec.role, "none")
    yield Drawn(
        spec=spec,
        graph=graph.proto(),
        initializers=graph.initializers,
        changeable={k: v for k, v in found.items() if not k.startswith(f"network.{other}")},
    )


def test_the_graph_is_as_typed_as_asked_for(drawn: Drawn) -> None:
    assert faults(drawn.graph, drawn.spec) == ()


def test_the_graph_is_valid(drawn: Drawn, tmp_path: Path) -> None:
    onnx.save(drawn.graph, tmp_path / "model.onnx")
    # The checker wants the file of the weights to be there; it does not read them.
    (tmp_path / "weights").touch()

    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)


def test_each_weight_that_a_lora_can_change_is_an_initializer_of_its_own(drawn: Drawn) -> None:
    held = {value.name: value for value in drawn.graph.graph.initializer}
    told = [drawn.initializers[name] for name in drawn.changeable]
    assert len({at.name for at in told}) == len(told)
    for at, shape in zip(told, drawn.changeable.values(), strict=True):
        sides = list(reversed(shape)) if at.transposed else list(shape)
        assert list(held[at.name].dims) == sides
        assert held[at.name].data_type == onnx.TensorProto.BFLOAT16 and at.dtype == "bfloat16"
