"""What motion modules add to a specification, beside what their network takes and gives."""

import pytest
import torch

from engines.spec import Range
from engines.verify import sample_inputs
from streamgen.errors import ConfigError
from streamgen.models.extensions import memory_layers, with_memory
from streamgen.models.loading import load_model
from streamgen.models.motion_extension import rings_of, slabs_among, with_motion
from streamgen.models.registry import find_model
from streamgen.models.specs import unet_spec
from streamgen.motion.adapter import read_adapter
from streamgen.motion.budget import MotionMemory, row_bytes
from streamgen.motion.ring import Ring
from streamgen.motion.unet import MotionUnet, places_of

LATENT, ROWS = (6, 10), 3
COARSE = Ring(sinks=1, rolling=2)


@pytest.fixture(scope="module")
def model(edit_folder):
    return load_model(find_model(str(edit_folder)))


@pytest.fixture(scope="module")
def adapter(adapter_folder):
    return read_adapter(adapter_folder)


@pytest.fixture
def plain(model):
    return unet_spec(model.unet.config, 2, latent=LATENT, precision="fp32")


def memory(kind="float32", fine=None):
    return MotionMemory(rings=(fine, COARSE), kind=kind)


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
@pytest.mark.parametrize("fine", [None, Ring(sinks=0, rolling=1)], ids=str)
def test_a_network_takes_and_gives_what_is_said(model, adapter, plain, kind, fine):
    kept = memory(kind, fine)
    places = places_of(adapter, model.unet)
    spec = with_motion(plain, places, kept, rows=ROWS)
    network = MotionUnet(
        model.unet, adapter, names=("source",), levels=sorted(rings_of(places, kept))
    )
    with torch.inference_mode():
        made = network(*sample_inputs(spec, seed=0).values())
    assert [(tuple(each.shape), str(each.dtype).removeprefix("torch.")) for each in made] == [
        (each.shape, each.dtype_name) for each in spec.outputs
    ]
    assert all(bool(each.float().isfinite().all()) for each in made)


def test_inputs_and_outputs_have_their_names_in_this_order(model, adapter, plain):
    spec = with_motion(plain, places_of(adapter, model.unet), memory("int8"), rows=ROWS)
    names = [each.name for each in spec.inputs[len(plain.inputs) :]]
    count = 2 * 4  # down, middle, and two on the way up, on the coarser level
    states = [f"motion_state_{k}" for k in range(count)]
    scales = [f"motion_scale_{k}" for k in range(count)]
    views = ["motion_mask_1", "motion_positions_1"]
    assert names == ["motion_slot", "motion_strength", *views, *states, *scales]
    made = [each.name for each in spec.outputs]
    assert made == ["answer", *(f"new_{name}" for name in (*states, *scales))]
    shapes = {each.name: (each.shape, each.dtype_name) for each in spec.inputs}
    assert shapes["motion_mask_1"] == ((ROWS, 3), "bool")
    assert shapes["motion_positions_1"] == ((ROWS, 4), "int64")
    assert shapes["motion_state_0"] == ((ROWS, 3, 15, 16), "int8")
    assert shapes["motion_scale_0"] == ((ROWS, 3, 15), "float16")


def test_with_both_memories_those_of_the_bank_come_first(model, adapter, plain):
    layers = memory_layers(model.unet.config, LATENT)
    bank = with_memory(plain, layers, slots=ROWS, frames=1)
    spec = with_motion(bank, places_of(adapter, model.unet), memory(), rows=ROWS)
    assert spec.inputs[: len(bank.inputs)] == bank.inputs
    assert spec.outputs[: len(bank.outputs)] == bank.outputs
    assert spec.inputs[len(bank.inputs)].name == "motion_slot"


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_slabs_take_what_the_budget_counts(model, adapter, plain, kind):
    places, kept = places_of(adapter, model.unet), memory(kind)
    slabs = slabs_among(with_motion(plain, places, kept, rows=ROWS))
    of_states = [each for each in slabs if each.name.startswith(("motion_state", "motion_scale"))]
    taken = sum(
        torch.empty(each.shape, dtype=getattr(torch, each.dtype_name)).nbytes for each in of_states
    )
    assert taken == ROWS * row_bytes(places, kept, latent=LATENT)
    assert len(slabs) == len(of_states) + 2


def test_a_range_of_sizes_is_refused(model, adapter):
    sides = Range(name="h", least=4, usual=8, most=16, step=4), 8
    spec = unet_spec(model.unet.config, 1, latent=sides, precision="fp32")
    with pytest.raises(ConfigError, match="motion memory for sizes .*: give one fixed size"):
        with_motion(spec, places_of(adapter, model.unet), memory(), rows=ROWS)
