"""What every backend makes of UNets that look at frames before: rings of slabs, of three kinds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from engines.export import exported
from engines.fingerprint import structure_hash, weights_hash
from engines.protocol import CompiledModule, EngineBackend
from engines.spec import EngineSpec
from engines.verify import compare, sample_inputs
from streamgen.models.both_memories import BothMemories
from streamgen.models.extensions import memory_layers, with_memory
from streamgen.models.motion_extension import slabs_among, with_motion
from streamgen.models.specs import unet_spec
from streamgen.motion.adapter import Adapter, shapes_of
from streamgen.motion.budget import Kind, MotionMemory
from streamgen.motion.layouts import layout_of
from streamgen.motion.ring import Ring, write
from streamgen.motion.unet import MotionUnet

Compile = Callable[[EngineSpec, nn.Module], CompiledModule]

KINDS: tuple[Kind, ...] = ("float32", "float16", "int8")
RINGS = (Ring(sinks=2, rolling=3), Ring(sinks=1, rolling=2))
ROWS = 3
WIDTHS = (8, 16)


def small_unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=WIDTHS,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        norm_num_groups=4,
        cross_attention_dim=12,
    )
    made: UNet2DConditionModel = unet.eval().requires_grad_(False)
    return made


def adapter(seed: int = 1) -> Adapter:
    """Return one with modules on the way up, whose output is not silent."""
    layout = layout_of(
        {
            "block_out_channels": WIDTHS,
            "motion_layers_per_block": 0,
            "use_motion_mid_block": False,
            "motion_num_attention_heads": 2,
            "motion_norm_num_groups": 4,
            "motion_max_seq_length": 8,
        }
    )
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes_of(layout).items():
        drawn = torch.randn(shape, generator=generator)
        spread = shape[-1] ** -0.5 if len(shape) > 1 else 0.1
        weights[name] = drawn * spread + float("norm" in name and name.endswith("weight"))
    return Adapter(name="small", layout=layout, weights=weights)


def network(
    kind: Kind, *, batch: int = 2, precision: str = "fp32", has_bank: bool = False
) -> tuple[EngineSpec, nn.Module]:
    unet = small_unet()
    motion = MotionUnet(unet, adapter()).eval()
    spec = unet_spec(unet.config, batch, latent=(8, 8), precision=precision)
    module, role = motion, "unet_motion"
    if has_bank:
        layers = memory_layers(unet.config, (8, 8))
        spec = with_memory(spec, layers, slots=ROWS, frames=1)
        module, role = BothMemories(motion, layers), "unet_bank_motion"
    spec = with_motion(spec, motion.places, MotionMemory(rings=RINGS, kind=kind), rows=ROWS)
    return replace(spec, role=role, swaps_weights=True), module.eval()


def given(spec: EngineSpec, *, seed: int = 1) -> dict[str, Tensor]:
    """Return inputs as a stream has them: rows in any slots, rings that are filled or not."""
    told = sample_inputs(spec, seed=seed)
    batch = len(told["t"])
    told["t"] = torch.tensor([999.0, 250.5])[:batch]
    told["motion_slot"] = torch.tensor([2, 0])[:batch]
    told["motion_strength"] = torch.tensor([0.5, 1.0])[:batch]
    for level, ring in enumerate(RINGS):
        view = ring.view(torch.tensor([9, 0, 3]))
        told |= {f"motion_mask_{level}": view.mask, f"motion_positions_{level}": view.positions}
    for name in told:
        if name.startswith("motion_scale"):
            told[name] = (told[name].float().abs() * 0.01 + 0.005).half()
        if name.startswith("bank_"):
            told[name] = torch.full((batch,), 0.5)
    return told


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_ring_gives_what_torch_gives(compiled_by: Compile, kind: Kind) -> None:
    spec, module = network(kind)

    report = compare(compiled_by(spec, module), module, inputs=given(spec))

    answer, *kept = report.outputs
    assert answer.max_abs < 1e-4
    assert [each.name for each in kept] == [tensor.name for tensor in spec.outputs[1:]]
    # A state half-way between two numbers of its kind may go to either.
    step = {"float32": 1e-4, "float16": 4e-3, "int8": 1.0}[kind]
    assert all(each.max_abs <= step for each in kept)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_narrow_networks_read_rings_as_they_are_kept(
    compiled_by: Compile, backend: EngineBackend, kind: Kind
) -> None:
    precision = next(each for each in (*backend.precisions("cpu"), "fp32") if each != "fp16")
    spec, module = network(kind, batch=1, precision=precision)

    compiled = compiled_by(spec, module)
    report = compare(compiled, module, inputs=given(spec))

    assert compiled.computes_in == precision
    assert min(each.snr_db for each in report.outputs) > 30.0


@pytest.mark.slow
def test_both_memories_are_read_at_once(compiled_by: Compile) -> None:
    spec, module = network("float16", batch=1, has_bank=True)

    report = compare(compiled_by(spec, module), module, inputs=given(spec))

    assert report.outputs[0].max_abs < 1e-4
    assert max(each.max_abs for each in report.outputs) <= 4e-3


@pytest.mark.slow
def test_a_stream_goes_on_with_what_is_written_into_its_rings(compiled_by: Compile) -> None:
    """Bound once, with slabs, masks and positions that are written in place."""
    spec, module = network("float16")
    inputs, expected = given(spec), given(spec)
    binding, seen = compiled_by(spec, module).bind(inputs), torch.zeros(ROWS, dtype=torch.int64)

    for number in range(8):
        fresh = sample_inputs(spec, seed=10 + number)
        for told in (inputs, expected):
            told["x"].copy_(fresh["x"])
            for level, ring in enumerate(RINGS):
                view = ring.view(seen)
                told[f"motion_mask_{level}"].copy_(view.mask)
                told[f"motion_positions_{level}"].copy_(view.positions)
        before = {each.name: inputs[each.name].clone() for each in slabs_among(spec)}
        binding.run()
        with torch.inference_mode():
            wanted = module(*(expected[tensor.name] for tensor in spec.inputs))

        assert torch.allclose(binding.outputs["answer"], wanted[0], atol=2e-3)
        assert all(torch.equal(inputs[name], value) for name, value in before.items())
        names = [tensor.name for tensor in spec.outputs[1:]]
        remember(spec, inputs, {name: binding.outputs[name] for name in names}, seen)
        remember(spec, expected, dict(zip(names, wanted[1:], strict=True)), seen)
        seen[inputs["motion_slot"]] += 1


def remember(
    spec: EngineSpec, told: dict[str, Tensor], made: dict[str, Tensor], seen: Tensor
) -> None:
    slot = told["motion_slot"]
    for name, new in made.items():
        slab = told[name.removeprefix("new_")]
        ring = next(ring for ring in RINGS if ring.slots == slab.shape[1])
        write([slab], [new], slot=slot, at=ring.view(seen).at[slot])


@pytest.mark.slow
def test_weights_of_motion_modules_are_swapped_and_put_back(compiled_by: Compile) -> None:
    spec, module = network("int8", batch=1)
    compiled, inputs = compiled_by(spec, module), given(spec)
    generator = torch.Generator().manual_seed(7)
    base = {
        name: each
        for name, each in module.named_parameters()
        if ".motion_modules." in name and each.ndim > 1
    }
    values = {
        name: each + 0.2 * torch.randn(each.shape, generator=generator)
        for name, each in base.items()
    }
    assert {name.rsplit(".", 2)[-2] for name in base} >= {"to_q", "to_k", "to_v", "0", "proj"}

    result = compiled.swap_weights(values)

    assert set(result.names) == set(values)
    changed = copy.deepcopy(module)
    changed.load_state_dict(values, strict=False)
    assert compare(compiled, changed, inputs=inputs).outputs[0].max_abs < 1e-4
    assert compare(compiled, module, inputs=inputs).outputs[0].max_abs > 1e-2
    compiled.swap_weights(base)
    assert compare(compiled, module, inputs=inputs).outputs[0].max_abs < 1e-4


@pytest.mark.parametrize("has_bank", [False, True])
def test_nothing_in_the_graph_waits_for_a_value(has_bank: bool) -> None:
    spec, module = network("int8", has_bank=has_bank)

    program = exported(spec, module)

    called = {str(node.target) for node in program.graph.nodes}
    assert not any("_local_scalar_dense" in each or "nonzero" in each for each in called)
    assert "aten.index_select.default" in called
    # What it remembers it is told each time: nothing of a call stays behind.
    assert not any("motion_state" in name for name in program.state_dict)


def test_slabs_are_picked_from_before_anything_is_cast() -> None:
    spec, module = network("float16")

    program = exported(spec, module)

    slabs = {each.name for each in slabs_among(spec) if "float" in each.dtype_name}
    places = [node for node in program.graph.nodes if node.op == "placeholder"]
    inputs = [node for node in places if node.name.startswith("inputs")]
    named = dict(zip((tensor.name for tensor in spec.inputs), inputs, strict=True))
    readers = {str(user.target) for name in slabs for user in named[name].users}
    assert readers == {"aten.index_select.default"}


def test_another_adapter_is_another_network() -> None:
    unet = small_unet()
    one, same, other = (MotionUnet(unet, adapter(seed)) for seed in (1, 1, 2))
    fewer = MotionUnet(unet, adapter(), levels=[1])

    assert weights_hash(one) == weights_hash(same) != weights_hash(other)
    assert structure_hash(one) == structure_hash(other) != structure_hash(fewer)
    assert len({weights_hash(each) for each in (one, other, fewer, unet)}) == 4
