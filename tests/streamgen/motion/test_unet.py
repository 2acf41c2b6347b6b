"""A UNet with motion modules against diffusers' own, and frame by frame against whole clips.

In double precision: random weights as large as these make much of a rounding.
"""

import copy
from itertools import chain

import pytest
import torch
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from torch import nn

from streamgen.errors import ConfigError, ModelError
from streamgen.models.architectures import make
from streamgen.models.specs import further_inputs
from streamgen.motion.adapter import Adapter, read_adapter, shapes_of
from streamgen.motion.budget import MotionMemory, slabs_of
from streamgen.motion.layouts import layout_of
from streamgen.motion.ring import Ring, RingInputs, write
from streamgen.motion.unet import MotionUnet

LENGTH = 8
FRAMES = 6
SIDE = 8


def small_unet(**further):
    """A UNet of two levels; further: of its config."""
    torch.manual_seed(0)
    config = {
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
        "cross_attention_dim": 12,
    }
    made = UNet2DConditionModel(**{**config, **further}).eval().requires_grad_(False)
    # That of diffusers warns of every type.
    return nn.Module.double(made)


def small_adapter(**changed):
    """Diffusers' adapter for it; what modules add is as large as what they add to."""
    torch.manual_seed(1)
    config = {
        "block_out_channels": (8, 16),
        "motion_layers_per_block": 1,
        "motion_num_attention_heads": 2,
        "motion_norm_num_groups": 4,
        "motion_max_seq_length": LENGTH,
    }
    adapter = MotionAdapter(**{**config, **changed}).eval().requires_grad_(False)
    for weight in adapter.parameters():
        weight.mul_(2).add_(torch.randn(weight.shape) * 0.05)
    return adapter


@pytest.fixture
def read(tmp_path):
    """Returns what reads an adapter of diffusers by way of its folder."""

    def read(theirs):
        theirs.save_pretrained(tmp_path / "adapter")
        return read_adapter(tmp_path / "adapter")

    return read


def drawn(*shape, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def clip_inputs(batch=2, frames=FRAMES):
    x = drawn(batch, frames, 4, SIDE, SIDE)
    return x, torch.linspace(100, 900, batch), drawn(batch, 5, 12, seed=3)


def diffusers_answer(unet, theirs, x, t, text, **further):
    network = nn.Module.double(UNetMotionModel.from_unet2d(unet, theirs)).eval()
    # It forgets what SDXL is told beside the text.
    network.load_state_dict(unet.state_dict(), strict=False)
    told = text.repeat_interleave(x.shape[1], dim=0)
    answer = network(x.transpose(1, 2), t, told, **further).sample
    return answer.transpose(1, 2)


class Stream:
    """Rows drawn frame by frame, with a ring for each module of a network.

    rings: for each level, the finest first.
    """

    def __init__(self, motion, *rings, slots, dtype=torch.float64):
        self.motion = motion
        self.levels = sorted({place.level for place in motion.places})
        self.by_level = dict(zip(self.levels, rings * len(self.levels), strict=False))
        self.seen = torch.zeros(slots, dtype=torch.int64)
        self.kept = [
            [
                # Not zeros: what is not filled may hold anything that is a number.
                torch.full(self._shape(place, slots), 7, dtype=dtype)
                for _ in range(2 * place.depth)
            ]
            for place in motion.places
        ]
        self.scales = [
            [torch.ones(each.shape[:3], dtype=torch.float16) for each in slabs]
            for slabs in self.kept
            if dtype == torch.int8
        ] or [[] for _ in self.kept]

    def _shape(self, place, slots):
        slots_each = self.by_level[place.level].slots
        return slots, slots_each, (SIDE // 2**place.level) ** 2, place.channels

    def _view(self, level):
        return self.by_level[level].view(self.seen)

    def rings(self, slot):
        strength = torch.ones(slot.shape)
        return [
            RingInputs(slot, strength, *self._view(place.level)[:2], tuple(slabs), tuple(scales))
            for place, slabs, scales in zip(self.motion.places, self.kept, self.scales, strict=True)
        ]

    def flat(self, slot):
        states = chain(*(self._view(level)[:2] for level in self.levels))
        return [slot, torch.ones(slot.shape), *states, *chain(*self.kept), *chain(*self.scales)]

    def draw(self, slot, *plain):
        answer, new = self.motion.step(*plain, rings=self.rings(slot))
        for place, slabs, scales, made in zip(
            self.motion.places, self.kept, self.scales, new, strict=True
        ):
            at = self._view(place.level).at[slot]
            write([*slabs, *scales], made, slot=slot, at=at)
        self.seen[slot] += 1
        return answer


@pytest.mark.parametrize(
    ("unet", "adapter"),
    [
        ({}, {}),
        ({}, {"use_motion_mid_block": False}),
        ({"layers_per_block": 2}, {"motion_layers_per_block": 2}),
        ({"layers_per_block": [1, 2]}, {"motion_layers_per_block": [1, 2]}),
        ({"mid_block_type": "UNetMidBlock2DCrossAttn"}, {"motion_num_attention_heads": [2, 4]}),
        ({}, {"motion_transformer_layers_per_block": 2}),
    ],
)
def test_all_frames_in_one_call_are_those_of_diffusers(read, unet, adapter):
    network, theirs = small_unet(**unet), small_adapter(**adapter)
    motion, inputs = MotionUnet(network, read(theirs)), clip_inputs()

    answer = motion.frames(*inputs)

    expected = diffusers_answer(network, theirs, *inputs)
    assert torch.allclose(answer, expected, atol=1e-9)
    alone = network(inputs[0][:, 0], inputs[1], inputs[2]).sample
    assert (expected[:, 0] - alone).abs().max() > 0.1


def test_further_inputs_are_those_of_diffusers(read):
    network = small_unet(
        time_cond_proj_dim=6,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + 10,
    )
    names, theirs = further_inputs(network.config), small_adapter()
    motion, inputs = MotionUnet(network, read(theirs), names=names), clip_inputs()
    pooled, sizes = drawn(2, 10, seed=4), drawn(2, 6, seed=5)
    guidance = drawn(2, 6, seed=6)

    answer = motion.frames(*inputs, guidance, pooled, sizes)

    assert names == ("guidance", "text_embeds", "time_ids")
    expected = diffusers_answer(
        network,
        theirs,
        *inputs,
        timestep_cond=guidance,
        added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes},
    )
    assert torch.allclose(answer, expected, atol=1e-9)


def test_layers_have_the_names_that_diffusers_has_for_them(read):
    network, theirs = small_unet(), small_adapter()
    expected = UNetMotionModel.from_unet2d(network, theirs).state_dict()

    found = MotionUnet(network, read(theirs)).unet.state_dict()

    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name]) for name in expected)


def test_the_unet_itself_stays_as_it_is_and_its_weights_are_shared(read):
    network, inputs = small_unet(), clip_inputs()
    before = network(inputs[0][:, 0], *inputs[1:]).sample

    motion = MotionUnet(network, read(small_adapter()))

    assert torch.equal(network(inputs[0][:, 0], *inputs[1:]).sample, before)
    assert motion.unet.get_parameter("conv_in.weight") is network.conv_in.weight
    assert "motion_modules" not in " ".join(name for name, _ in network.named_modules())


def test_networks_have_motion_weights_of_their_own(read):
    adapter = read(small_adapter())
    first, second = MotionUnet(small_unet(), adapter), MotionUnet(small_unet(), adapter)
    name = f"{first.places[0].name}.proj_in.weight"

    first.unet.get_parameter(name).data.zero_()

    assert torch.equal(second.unet.get_parameter(name).float(), adapter.weights[name])
    assert adapter.weights[name].abs().max() > 0


def test_making_a_network_draws_no_random_numbers(read):
    network, adapter = small_unet(), read(small_adapter())
    before = torch.get_rng_state()

    MotionUnet(network, adapter)

    assert torch.equal(torch.get_rng_state(), before)


def test_a_copy_runs_its_own_modules(read):
    motion, inputs = MotionUnet(small_unet(), read(small_adapter())), clip_inputs()
    before = motion.frames(*inputs)

    copied = copy.deepcopy(motion)
    copied.unet.get_parameter(f"{copied.places[0].name}.proj_out.bias").data.add_(1)

    assert torch.equal(motion.frames(*inputs), before)
    assert (copied.frames(*inputs) - before).abs().max() > 0.01


@pytest.mark.parametrize("ring", [Ring(sinks=2, rolling=3), Ring(sinks=0, rolling=4)])
def test_frame_by_frame_is_the_whole_history_seen_through_the_same_ring(read, ring):
    motion, count = MotionUnet(small_unet(), read(small_adapter())), 15
    x, t, _ = clip_inputs(batch=2, frames=count)
    # Another sentence from some frame on: rings go on.
    text = torch.cat([drawn(2, 7, 5, 12), drawn(2, 1, 5, 12, seed=9).expand(-1, 8, -1, -1)], dim=1)
    stream, slot = Stream(motion, ring, slots=3), torch.tensor([2, 0])

    live = [stream.draw(slot, x[:, k], t, text[:, k]) for k in range(count)]

    plain = motion.frames(x, t, text.flatten(0, 1), sight=ring.sight(count))
    assert torch.allclose(torch.stack(live, dim=1), plain, atol=1e-9)
    assert (plain - motion.frames(x[:, :LENGTH], t, text[:, 0])[:, :1]).abs().max() > 0.1


def test_a_row_is_drawn_the_same_beside_one_that_began_later(read):
    motion, ring = MotionUnet(small_unet(), read(small_adapter())), Ring(sinks=1, rolling=2)
    x, t, text = clip_inputs(batch=2, frames=7)
    stream, both = Stream(motion, ring, slots=2), torch.tensor([0, 1])

    early = [stream.draw(both[:1], x[:1, k], t[:1], text[:1]) for k in range(3)]
    later = [stream.draw(both, torch.stack([x[0, k], x[1, k - 3]]), t, text) for k in range(3, 7)]

    first = motion.frames(x[:1], t[:1], text[:1], sight=ring.sight(7))
    second = motion.frames(x[1:, :4], t[1:], text[1:], sight=ring.sight(4))
    found = torch.cat([*early, *(each[:1] for each in later)])
    assert torch.allclose(found, first[0], atol=1e-9)
    assert torch.allclose(torch.stack([each[1] for each in later]), second[0], atol=1e-9)


def test_the_flat_call_is_the_call_with_rings(read):
    motion = MotionUnet(small_unet(), read(small_adapter()))
    rings = Ring(sinks=1, rolling=2), Ring(sinks=2, rolling=3)
    x, t, text = clip_inputs(batch=2)
    slot = torch.tensor([1, 0])
    for dtype in (torch.float64, torch.int8):
        stream = Stream(motion, *rings, slots=2, dtype=dtype)
        stream.draw(slot, x[:, 0], t, text)

        answer, *new = motion(x[:, 1], t, text, *stream.flat(slot))

        expected, slices = motion.step(x[:, 1], t, text, rings=stream.rings(slot))
        halves = [(each[:2], each[2:]) for each in slices]
        order = [*chain(*(slabs for slabs, _ in halves)), *chain(*(more for _, more in halves))]
        assert torch.equal(answer, expected)
        assert len(new) == len(order) == len(stream.flat(slot)) - 6
        assert all(torch.equal(a, b) for a, b in zip(new, order, strict=True))


@pytest.mark.slow  # torch.export takes its time to load
def test_the_flat_call_is_exported_as_it_is(read):
    motion, ring = MotionUnet(small_unet(), read(small_adapter())), Ring(sinks=1, rolling=2)
    x, t, text = clip_inputs(batch=2)
    slot = torch.tensor([1, 0])
    stream = Stream(motion, ring, slots=2)
    inputs = (x[:, 1], t, text, *stream.flat(slot))

    with torch.no_grad():
        program = torch.export.export(motion, inputs, strict=False)
        found, expected = program.module()(*inputs), motion(*inputs)

    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(found, expected, strict=True))


def test_levels_without_modules_are_the_plain_unet_there(read):
    network, theirs = small_unet(), small_adapter()
    motion, inputs = MotionUnet(network, read(theirs), levels=[1]), clip_inputs()
    for name, weight in theirs.named_parameters():
        if name.startswith(("down_blocks.0", "up_blocks.1")) and ".proj_out." in name:
            weight.data.zero_()

    answer = motion.frames(*inputs)

    assert {place.level for place in motion.places} == {1}
    assert torch.allclose(answer, diffusers_answer(network, theirs, *inputs), atol=1e-9)


def test_a_level_without_modules_is_none_of_the_ring_s(read):
    motion = MotionUnet(small_unet(), read(small_adapter()), levels=[1])
    ring, count = Ring(sinks=1, rolling=2), 6
    x, t, text = clip_inputs(batch=1, frames=count)
    stream, slot = Stream(motion, ring, slots=1), torch.tensor([0])

    live = [stream.draw(slot, x[:, k], t, text) for k in range(count)]

    plain = motion.frames(x, t, text, sight=ring.sight(count))
    assert torch.allclose(torch.stack(live, dim=1), plain, atol=1e-9)


def test_sd_1_5_is_drawn_with_a_published_layout_without_weights():
    layout = layout_of({"use_motion_mid_block": False})
    weights = {name: torch.empty(s, device="meta") for name, s in shapes_of(layout).items()}
    adapter = Adapter(name="v1-5-3", layout=layout, weights=weights)
    memory = MotionMemory(rings=(None, *[Ring(sinks=8, rolling=7)] * 3), kind="int8")
    motion = MotionUnet(make("sd15-unet", device="meta"), adapter, levels=[1, 2, 3])
    told = {"latent": (64, 64), "rows": 2, "device": torch.device("meta")}
    kept = [slabs_of(place, memory, **told) for place in motion.places]
    view = memory.rings[1].view(torch.zeros(2, dtype=torch.int64, device="meta"))
    slot = torch.zeros(1, dtype=torch.int64, device="meta")
    strength = torch.zeros(1, device="meta")
    rings = [RingInputs(slot, strength, view.mask, view.positions, *each) for each in kept]
    shapes = (1, 4, 64, 64), (1,), (1, 77, 768)

    answer, new = motion.step(*(torch.empty(s, device="meta") for s in shapes), rings=rings)

    assert answer.shape == (1, 4, 64, 64)
    assert [[each.shape[1:] for each in made] for made in new] == [
        [each.shape[2:] for each in chain(*slabs)] for slabs in kept
    ]
    assert len(motion.places) == 15


def test_rings_of_another_number_are_refused(read):
    motion, ring = MotionUnet(small_unet(), read(small_adapter())), Ring(sinks=1, rolling=2)
    x, t, text = clip_inputs(batch=1)
    stream, slot = Stream(motion, ring, slots=1), torch.tensor([0])

    with pytest.raises(ConfigError, match="6 rings: give one for each of 7 modules"):
        motion.step(x[:, 0], t, text, rings=stream.rings(slot)[1:])
    with pytest.raises(ConfigError, match="13 motion slabs and scales: give 14, or 28"):
        motion(x[:, 0], t, text, *stream.flat(slot)[:-1])


@pytest.mark.parametrize("levels", [[], [2], [0, 5]])
def test_levels_that_there_are_not_are_refused(read, levels):
    with pytest.raises(ConfigError, match=r"motion levels .*: give some of \[0, 1\]"):
        MotionUnet(small_unet(), read(small_adapter()), levels=levels)


def test_an_adapter_of_another_unet_is_refused_by_name(read):
    with pytest.raises(ModelError, match="'adapter' is for another UNet: it has widths"):
        MotionUnet(small_unet(), read(small_adapter(block_out_channels=(8, 8))))


def test_more_frames_than_positions_are_refused(read):
    motion = MotionUnet(small_unet(), read(small_adapter()))

    with pytest.raises(ConfigError, match=f"{LENGTH + 1} frames at once"):
        motion.frames(*clip_inputs(frames=LENGTH + 1))
