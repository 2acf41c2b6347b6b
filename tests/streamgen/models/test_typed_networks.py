"""What else a UNet can be, small and without weights, as a graph in halves."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from engines.spec import Range
from engines.typed_lint import faults
from engines.typed_onnx import typed_graph
from streamgen.models.extensions import memory_layers, with_memory, with_residuals
from streamgen.models.memory_attention import MemoryDenoiser
from streamgen.models.motion_extension import with_motion
from streamgen.models.networks import denoiser_of
from streamgen.models.specs import further_inputs, unet_spec
from streamgen.motion.adapter import Adapter, shapes_of
from streamgen.motion.budget import MotionMemory
from streamgen.motion.layouts import layout_of
from streamgen.motion.ring import Ring
from streamgen.motion.unet import MotionUnet

pytestmark = pytest.mark.slow


def small_unet():
    with torch.device("meta"):
        return UNet2DConditionModel(
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            attention_head_dim=2,
            norm_num_groups=4,
            cross_attention_dim=12,
            time_cond_proj_dim=8,
        ).eval()


def with_a_memory(unet, names):
    spec = unet_spec(unet.config, 2, latent=(8, 8), precision="bf16")
    layers = memory_layers(unet.config, (8, 8))
    return with_memory(spec, layers, slots=3, frames=1), MemoryDenoiser(unet, names, layers)


def with_rings(kind):
    def made(unet, names):
        layout = layout_of(
            {
                "block_out_channels": [8, 16],
                "motion_layers_per_block": 1,
                "motion_num_attention_heads": 2,
                "motion_norm_num_groups": 4,
            }
        )
        weights = {name: torch.empty(shape) for name, shape in shapes_of(layout).items()}
        network = MotionUnet(
            unet, Adapter(name="empty", layout=layout, weights=weights), names=names
        )
        spec = unet_spec(unet.config, 2, latent=(8, 8), precision="bf16")
        memory = MotionMemory(rings=(Ring(sinks=2, rolling=3),) * 2, kind=kind)
        return with_motion(spec, network.places, memory, rows=3), network

    return made


def with_a_controlnet(unet, names):
    spec = with_residuals(unet_spec(unet.config, 1, latent=(8, 8), precision="bf16"), unet.config)
    return spec, denoiser_of(unet, [each.name for each in spec.inputs[3:]])


def of_many_sizes(unet, names):
    sides = tuple(Range(name=name, least=8, usual=16, most=32, step=8) for name in "hw")
    spec = unet_spec(unet.config, 1, latent=sides, precision="bf16")
    return spec, denoiser_of(unet, names)


@pytest.mark.parametrize(
    "kind",
    [
        with_a_memory,
        with_a_controlnet,
        of_many_sizes,
        *map(with_rings, ("float32", "float16", "int8")),
    ],
)
def test_every_kind_of_unet_is_as_typed_as_asked_for(kind):
    unet = small_unet()
    spec, network = kind(unet, further_inputs(unet.config))

    with torch.device("meta"):
        graph = typed_graph(spec, network)

    assert faults(graph.proto(), spec) == ()
    told = graph.weights_map("network.")
    names = dict(network.named_parameters()).keys()
    assert names <= told["weights"].keys()
    assert not told["folded"] and not told["unused"]
