"""Rings of motion modules: streams frame by frame, against the whole history of each segment."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from streamgen.control_schema import controls_from
from streamgen.errors import ConfigError
from streamgen.motion.module import MotionModule
from streamgen.motion.plain import plain_frames
from streamgen.motion.ring import Ring, RingInputs
from streamgen.temporal.memory_calls import answer_of
from streamgen.temporal.moment import Moment
from streamgen.temporal.motion import MotionEstimator
from streamgen.temporal.reading import Leases, Reading
from streamgen.temporal.rings import RingBank

CHANNELS, SLOTS, MODULE_SLABS = 8, 4, 2
#: Of a picture, the upper rows are what the finer module sees, the lower ones the coarser.
UPPER, SIDES = 3, (5, 2)
RINGS = {0: Ring(sinks=4, rolling=7), 1: Ring(sinks=2, rolling=3)}
TOKENS = {0: UPPER * SIDES[1], 1: (SIDES[0] - UPPER) * SIDES[1]}


def still():
    """How a picture differs from itself."""
    estimator = MotionEstimator(cells=(8, 8))
    picture = np.full((64, 64, 3), 90, np.uint8)
    estimator.see(picture)
    return estimator.see(picture)


STILL = still()


def moment(number, *, is_cut=False, **controls):
    asked = {"motion_strength": 1.0, **controls}
    return Moment(
        number=number, controls=controls_from(asked), motion=replace(STILL, is_cut=is_cut)
    )


def module(seed):
    torch.manual_seed(seed)
    made = MotionModule(CHANNELS, heads=2, norm_groups=4, max_length=24)
    for each in made.requires_grad_(False).parameters():
        each.copy_(torch.randn_like(each) * (0.3 if each.ndim > 1 else 0.5))
    return made


def make_bank(*, slots=SLOTS, dtype=torch.float32, device=None):
    slabs = {}
    for level, ring in RINGS.items():
        shape = (slots, ring.slots)
        slabs[f"motion_mask_{level}"] = torch.zeros(shape, dtype=torch.bool, device=device)
        positions = torch.zeros(slots, ring.slots + 1, dtype=torch.int64, device=device)
        slabs[f"motion_positions_{level}"] = positions
        for k in range(MODULE_SLABS * level, MODULE_SLABS * (level + 1)):
            inner = (*shape, TOKENS[level])
            states = torch.zeros(*inner, CHANNELS, dtype=dtype, device=device)
            slabs[f"motion_state_{k}"] = states
            if dtype == torch.int8:
                scale = torch.zeros(inner, dtype=torch.float16, device=device)
                slabs[f"motion_scale_{k}"] = scale
    return RingBank(slabs, RINGS)


class Net:
    """A module at each of two levels; a row without rings is answered with zeros."""

    def __init__(self, bank):
        self.bank = bank
        self.modules = module(0), module(1)
        self.told = []

    @property
    def memory(self):
        return self

    def banks(self, kinds):
        return {"motion": self.bank} if "motion" in kinds else {}

    def unet(self, x, t, text, cond):
        return x * 0

    def __call__(self, kinds, *, x, t, text, motion_slot, motion_strength):
        slabs = self.bank.slabs
        self.told.append((motion_strength, slabs["motion_mask_1"][motion_slot].sum(1).tolist()))
        answers, made = [], {}
        for level, part in enumerate((x[:, :, :UPPER], x[:, :, UPPER:])):
            numbers = range(MODULE_SLABS * level, MODULE_SLABS * (level + 1))
            names = [f"motion_state_{k}" for k in numbers]
            if "motion_scale_0" in slabs:
                names += [f"motion_scale_{k}" for k in numbers]
            held = tuple(slabs[name] for name in names)
            out, new = self.modules[level].step(
                part,
                RingInputs(
                    slot=motion_slot,
                    strength=motion_strength,
                    mask=slabs[f"motion_mask_{level}"],
                    positions=slabs[f"motion_positions_{level}"],
                    slabs=held[:MODULE_SLABS],
                    scales=held[MODULE_SLABS:],
                ),
            )
            answers.append(out)
            made |= {f"new_{name}": each for name, each in zip(names, new, strict=True)}
        return {"answer": torch.cat(answers, dim=2), **made}

    def expected(self, frames):
        """Return what the frames of a stream that begins with them are, by their whole history."""
        parts = frames[None, :, :, :UPPER], frames[None, :, :, UPPER:]
        made = [plain_frames(self.modules[k], parts[k], ring) for k, ring in RINGS.items()]
        return torch.cat(made, dim=3)[0]


def ask(net, readings, frames):
    count = len(readings)
    asked = [{} if each is None else {"motion": each} for each in readings]
    text = torch.zeros(count, 1, 1)
    return answer_of(net, asked, x=frames, t=torch.zeros(count), text=text, cond={})


def reading(slots, at, *, position=0, kind="prompt"):
    return Reading(slots=slots, key=(position, kind), moment=at)


def pictures(frames, seed=0):
    """Frames that are alike, as those of a video are."""
    generator = torch.Generator().manual_seed(seed)
    still = torch.randn(1, CHANNELS, *SIDES, generator=generator)
    return still + 0.5 * torch.randn(frames, CHANNELS, *SIDES, generator=generator)


def run(net, slots, frames, moments, **key):
    """Return the answers to the frames of one stream."""
    pairs = zip(frames, moments, strict=True)
    return torch.cat([ask(net, [reading(slots, at, **key)], each[None]) for each, at in pairs])


def near(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-5)


def test_two_streams_are_their_whole_history_over_200_frames_with_cut_prompt_and_reset():
    net, first, second = Net(make_bank()), Leases(), Leases()
    frames, others = pictures(200), pictures(170, seed=1)
    # A cut at 60, another prompt from 120 on, a reset at 150; the other begins at 30, cut at 90.
    mine, yours = [], []
    for number in range(200):
        if number == 150:
            first.forget()
        prompt = "oil" if number < 120 else "ink"
        rows = [reading(first, moment(number, is_cut=number == 60, prompts=prompt))]
        if number >= 30:
            rows.append(reading(second, moment(number, is_cut=number == 90)))
        given = torch.stack([frames[number], *others[number - 30 : number - 29][: len(rows) - 1]])
        answer = ask(net, rows, given)
        mine.append(answer[0])
        yours += answer[1:]
    segments = frames[:60], frames[60:120], frames[120:150], frames[150:]
    near(torch.stack(mine), torch.cat([net.expected(each) for each in segments]))
    near(torch.stack(yours), torch.cat([net.expected(each) for each in (others[:60], others[60:])]))
    assert (torch.stack(mine) - frames).abs().mean() > 0.5  # the modules do something
    assert net.bank.free == SLOTS - 2


def test_of_two_frames_of_a_stream_in_one_batch_the_later_sees_the_earlier():
    net, slots, frames = Net(make_bank()), Leases(), pictures(30)
    pairs = range(0, 30, 2)
    made = [
        ask(net, [reading(slots, moment(n + k)) for k in (0, 1)], frames[n : n + 2]) for n in pairs
    ]
    near(torch.cat(made), net.expected(frames))


def test_each_level_of_noise_and_pass_has_a_ring_of_its_own():
    net, slots = Net(make_bank()), Leases()
    keys = [(0, "prompt"), (0, "negative"), (1, "prompt")]
    clips = [pictures(20, seed=seed) for seed in range(3)]
    made = []
    for number in range(20):
        rows = [reading(slots, moment(number), position=p, kind=kind) for p, kind in keys]
        made.append(ask(net, rows, torch.stack([clip[number] for clip in clips])))
    for k, clip in enumerate(clips):
        near(torch.stack(made)[:, k], net.expected(clip))


@pytest.mark.parametrize(
    "after",
    [
        moment(3, is_cut=True),
        moment(3, prompts="another"),
        moment(3, seed=9),
        moment(3, steps=2),
        moment(4),  # one between was drawn without
    ],
    ids=["cut", "prompt", "seed", "steps", "gap"],
)
def test_what_makes_another_picture_begins_the_ring_anew(after):
    net, slots, frames = Net(make_bank()), Leases(), pictures(4)
    later = moment(after.number + 1, **dict(after.controls))
    out = run(net, slots, frames, [moment(1), moment(2), after, later])
    near(out, torch.cat([net.expected(frames[:2]), net.expected(frames[2:])]))
    assert [filled for _, filled in net.told] == [[0], [1], [0], [1]]


def test_other_strengths_of_memory_and_guidance_do_not_begin_a_ring_anew():
    net, slots = Net(make_bank()), Leases()
    then = [moment(2, motion_strength=0.25), moment(3, temporal_strength=0.5)]
    run(net, slots, pictures(3), [moment(1), *then])
    assert [filled for _, filled in net.told] == [[0], [1], [2]]
    assert [strength.item() for strength, _ in net.told] == [1.0, 0.25, 1.0]


def test_while_a_prompt_fades_over_the_ring_begins_anew_where_half_of_its_first_frame_is_gone():
    def mixed(part):
        return [{"text": "ink", "weight": 1 - part}, {"text": "oil", "weight": part}]

    net, slots = Net(make_bank()), Leases()
    shares = [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1, 1, 1]
    moments = [moment(number, prompts=mixed(share)) for number, share in enumerate(shares)]
    run(net, slots, pictures(len(shares)), moments)
    assert [filled for _, [filled] in net.told] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5]


def test_slots_are_free_again_when_a_stream_forgets_or_ends():
    net, first, second = Net(make_bank()), Leases(), Leases()
    ask(net, [reading(first, moment(1)), reading(second, moment(1))], pictures(2))
    assert net.bank.free == SLOTS - 2
    first.forget()
    del second
    assert net.bank.free == SLOTS


def test_slots_that_no_row_reads_any_more_are_free_and_those_of_rows_under_way_are_not():
    net, slots = Net(make_bank()), Leases()
    for position in range(3):
        run(net, slots, pictures(1), [moment(8 - position)], position=position)
    # The row that is longest under way is number 8: nobody reads the ring of number 6 any more.
    slots.let_go(oldest=8)
    assert sorted(slots.leases) == [(0, "prompt"), (1, "prompt")]
    assert net.bank.free == SLOTS - 2


def test_a_stream_that_comes_over_from_other_engines_begins_there():
    old, new, slots, frames = Net(make_bank()), Net(make_bank()), Leases(), pictures(6)
    run(old, slots, frames[:3], [moment(n) for n in range(3)])
    out = run(new, slots, frames[3:], [moment(n) for n in range(3, 6)])
    near(out, new.expected(frames[3:]))
    assert old.bank.free == SLOTS


def test_rows_beyond_the_slots_are_drawn_without_and_it_is_said_once(caplog):
    net, slots = Net(make_bank(slots=1)), [Leases(), Leases()]
    clips = [pictures(5), pictures(5, seed=1)]
    with caplog.at_level(logging.WARNING):
        made = [
            ask(
                net,
                [reading(each, moment(n)) for each in slots],
                torch.stack([c[n] for c in clips]),
            )
            for n in range(5)
        ]
    near(torch.stack(made)[:, 0], net.expected(clips[0]))
    assert not torch.stack(made)[:, 1].any()
    assert [record.getMessage() for record in caplog.records] == [
        "motion memory: all of its 1 slots are taken, a stream takes one for each step:"
        " some rows are drawn without it"
    ]


@pytest.mark.parametrize("dtype", [torch.float16, torch.int8])
def test_what_is_not_a_number_does_not_get_into_the_stream_that_has_the_slot_next(dtype):
    net, frames = Net(make_bank(slots=1, dtype=dtype)), pictures(4)
    run(net, Leases(), frames * torch.nan, [moment(n) for n in range(4)])
    out = run(net, Leases(), frames, [moment(n) for n in range(4)])
    assert torch.isfinite(out).all()


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float16, 1e-3), (torch.int8, 2e-2)])
def test_smaller_types_are_near_the_whole_history(dtype, limit):
    net, frames = Net(make_bank(dtype=dtype)), pictures(40)
    out, expected = run(net, Leases(), frames, [moment(n) for n in range(40)]), net.expected(frames)
    apart = (out - expected).abs().mean() / (expected - frames).abs().mean()
    assert 0 < apart < limit


def test_no_value_on_the_device_is_waited_for():
    # Tensors on this device have no values: whoever asks for one gets an error.
    bank, slots = make_bank(device="meta"), Leases()
    for number in range(3):
        at = moment(number, is_cut=number == 2)
        lease = bank.lease(reading(slots, at))
        told = bank.told([lease], [at])
        made = {f"new_{name}": slab[:1, 0] for name, slab in bank.slabs.items() if "state" in name}
        bank.keep([lease], [at], made)
        assert {name: each.device.type for name, each in told.items()} == {
            "motion_slot": "meta",
            "motion_strength": "meta",
        }


def test_engines_stay_bound_to_what_they_were_given():
    bank = make_bank()
    before = {name: slab.data_ptr() for name, slab in bank.slabs.items()}
    run(Net(bank), Leases(), pictures(3), [moment(n) for n in range(3)])
    assert {name: slab.data_ptr() for name, slab in bank.slabs.items()} == before
    assert bank.slabs["motion_mask_0"].dtype == torch.bool
    assert bank.slabs["motion_positions_1"][0].tolist() == [0, 1, 2, 3, 4, 2]


def test_rings_that_do_not_go_with_the_slabs_are_refused():
    slabs = make_bank().slabs
    with pytest.raises(ConfigError, match=r"motion_state_2 of 5 slots: the rings have \[11\]"):
        RingBank(slabs, {0: RINGS[0]})
    with pytest.raises(ConfigError, match="rings of 11 slots with 3 and 4 sinks: .*the same ring"):
        RingBank(slabs, {**RINGS, 2: Ring(sinks=3, rolling=8)})
