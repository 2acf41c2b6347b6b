import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from streamgen.control_schema import controls_from
from streamgen.errors import ConfigError
from streamgen.temporal.bank import FeatureBank
from streamgen.temporal.memory_calls import answer_of
from streamgen.temporal.moment import Moment
from streamgen.temporal.motion import MotionEstimator
from streamgen.temporal.reading import Leases, Reading

SLOTS, TOKENS, WIDTH = 4, 6, 3


def make_bank(slots=SLOTS):
    slab = torch.zeros(slots, 1, TOKENS, WIDTH)
    mask = torch.zeros(slots, 1, dtype=torch.bool)
    return FeatureBank({"memory_mask": mask, "memory_k_0": slab.clone(), "memory_v_0": slab})


def moment(number, *, is_cut=False, **controls):
    asked = {"bank_strength": 0.8, "bank_fusion": 0.4, "bank_interval": 2, **controls}
    motion = replace(STILL, is_cut=is_cut)
    return Moment(number=number, controls=controls_from(asked), motion=motion)


def still():
    """How a picture differs from itself."""
    estimator = MotionEstimator(cells=(8, 8))
    picture = np.full((64, 64, 3), 90, np.uint8)
    estimator.see(picture)
    return estimator.see(picture)


STILL = still()


class Net:
    """Gives the number of the call as keys and values, and keeps what it was told."""

    def __init__(self, bank):
        self._bank = bank
        self.is_built = True
        self.calls = []

    @property
    def memory(self):
        return self

    @property
    def bank(self):
        return self._bank

    def banks(self, kinds):
        return {"bank": self._bank} if self.is_built else {}

    def unet(self, x, t, text, cond):
        return x * 0

    def __call__(self, kinds, *, x, **told):
        assert kinds == {"bank"}
        slots = told["memory_slot"]
        told["filled"] = self._bank.slabs["memory_mask"][slots, 0].tolist()
        told["seen"] = self._bank.slabs["memory_v_0"][slots, 0].mean(dim=(1, 2)).tolist()
        self.calls.append(told)
        new = torch.full((len(x), TOKENS, WIDTH), float(len(self.calls)))
        return {"answer": x * 0 + 1, "new_k_0": new, "new_v_0": new}


def ask(net, *readings):
    """Return whether each row was answered with memory."""
    count = len(readings)
    x, t = torch.zeros(count, 1, 2, 2), torch.zeros(count)
    asked = [{} if each is None else {"bank": each} for each in readings]
    answer = answer_of(net, asked, x=x, t=t, text=torch.zeros(count, 1, 1), cond={})
    return (answer.mean(dim=(1, 2, 3)) == 1).tolist()


def reading(slots, at, *, position=0, kind="prompt"):
    return Reading(slots=slots, key=(position, kind), moment=at)


def test_a_slot_is_filled_every_so_many_pictures_and_seen_by_those_between():
    net, slots = Net(make_bank()), Leases()
    for number in range(1, 6):
        assert ask(net, reading(slots, moment(number))) == [True]
    assert [call["filled"] for call in net.calls] == [[False], [True], [True], [True], [True]]
    # Filled by calls 1, 3 and 5: the third merges into what the first has left.
    seen = [call["seen"][0] for call in net.calls]
    assert seen[:3] == [0.0, 1.0, 1.0]
    assert 1.0 < seen[3] == seen[4] < 3.0


def test_strengths_are_those_of_the_row_and_nothing_without_memory():
    net, slots = Net(make_bank()), Leases()
    ask(net, reading(slots, moment(1)))
    ask(net, reading(slots, moment(2)))
    ask(net, reading(slots, moment(3, bank_strength=0.1, bank_fusion=1.0)))
    told = [(call["bank_strength"].item(), call["bank_fusion"].item()) for call in net.calls]
    assert told[0] == (0.0, 0.0)
    assert told[1] == pytest.approx((0.8, 0.4))
    assert told[2] == pytest.approx((0.1, 1.0))


def test_what_is_not_a_number_does_not_get_into_the_stream_that_has_the_slot_next():
    net = Net(make_bank(slots=1))
    ask(net, reading(Leases(), moment(1)))
    for name in ("memory_k_0", "memory_v_0"):
        net.bank.slabs[name].fill_(torch.nan)
    ask(net, reading(Leases(), moment(1)))
    assert net.calls[-1]["seen"] == [0.0]


@pytest.mark.parametrize(
    "after",
    [
        moment(3, is_cut=True),
        moment(3, prompts="another"),
        moment(3, seed=9),
        moment(4),  # one between was drawn without the bank
    ],
    ids=["cut", "prompt", "seed", "gap"],
)
def test_what_makes_another_picture_empties_the_slot(after):
    net, slots = Net(make_bank()), Leases()
    for at in (moment(1), moment(2), after):
        ask(net, reading(slots, at))
    assert net.calls[-1]["filled"] == [False]
    ask(net, reading(slots, moment(after.number + 1, prompts=after.controls.prompts)))
    # Filled at once, and with nothing of what was there before.
    if not after.controls.noises[0].number:
        assert net.calls[-1]["seen"] == [3.0]


def test_while_a_prompt_fades_over_memory_counts_less_and_is_filled_anew_each_time():
    def mixed(part):
        return [{"text": "ink", "weight": 1 - part}, {"text": "oil", "weight": part}]

    net, slots = Net(make_bank()), Leases()
    for number in range(1, 5):
        at = moment(number, prompts=mixed(number / 10), bank_interval=64)
        ask(net, reading(slots, at))
    strengths = [call["bank_strength"].item() for call in net.calls]
    assert strengths == pytest.approx([0.0, 0.72, 0.72, 0.72])
    assert [call["seen"] for call in net.calls] == [[0.0], [1.0], [2.0], [3.0]]


def test_each_level_and_pass_has_a_slot_of_its_own():
    net, slots = Net(make_bank()), Leases()
    keys = [(0, "prompt"), (0, "negative"), (1, "prompt")]
    rows = [reading(slots, moment(1), position=p, kind=kind) for p, kind in keys]
    assert ask(net, *rows) == [True] * 3
    assert sorted(net.calls[0]["memory_slot"].tolist()) == [0, 1, 2]
    assert net.bank.free == 1


def test_slots_are_free_again_when_a_stream_forgets_or_ends():
    bank = make_bank()
    net, first, second = Net(bank), Leases(), Leases()
    ask(net, reading(first, moment(1)), reading(second, moment(1)))
    assert bank.free == SLOTS - 2
    first.forget()
    del second
    assert bank.free == SLOTS
    ask(net, reading(Leases(), moment(2)))
    assert net.calls[-1]["filled"] == [False]  # the next one finds it empty


def test_a_stream_that_comes_over_from_other_engines_begins_with_nothing():
    old, new, slots = Net(make_bank()), Net(make_bank()), Leases()
    for number in (1, 2):
        ask(old, reading(slots, moment(number)))
    ask(new, reading(slots, moment(3)))
    assert new.calls[-1]["filled"] == [False]
    assert old.bank.free == SLOTS


def test_rows_beyond_the_slots_are_drawn_without_and_it_is_said_once(caplog):
    net, slots = Net(make_bank(slots=1)), [Leases(), Leases()]
    with caplog.at_level(logging.WARNING):
        for number in (1, 2):
            rows = [reading(each, moment(number)) for each in slots]
            assert ask(net, *rows) == [True, False]
    assert [record.getMessage() for record in caplog.records] == [
        "feature bank: all of its 1 slots are taken, a stream takes one for each step:"
        " some rows are drawn without it"
    ]


def test_rows_without_memory_stay_with_the_plain_network():
    net, slots = Net(make_bank()), Leases()
    assert ask(net, None, reading(slots, moment(1)), None) == [False, True, False]
    assert [len(call["memory_slot"]) for call in net.calls] == [1]
    assert ask(net, None, None) == [False, False]
    assert len(net.calls) == 1


def test_of_two_frames_of_a_stream_in_one_batch_the_later_sees_the_earlier():
    net, slots = Net(make_bank()), Leases()
    assert ask(net, reading(slots, moment(1)), reading(slots, moment(2))) == [True, True]
    assert [call["filled"] for call in net.calls] == [[False], [True]]


def test_until_the_network_is_built_rows_are_drawn_without():
    net, slots = Net(make_bank()), Leases()
    net.is_built = False
    assert ask(net, reading(slots, moment(1))) == [False]
    net.is_built = True
    assert ask(net, reading(slots, moment(2))) == [True]


def test_a_model_without_a_bank_says_so():
    class Plain:
        def unet(self, x, t, text, cond):
            return x

    with pytest.raises(ConfigError, match="bank_strength, bank_fusion above 0: .* give 0"):
        ask(Plain(), reading(Leases(), moment(1)))


def test_memory_is_the_same_size_after_ten_thousand_pictures():
    net, slots = Net(make_bank()), Leases()
    for number in range(1, 10_001):
        net.calls.clear()
        ask(net, reading(slots, moment(number, bank_interval=1)))
    [lease] = slots.leases.values()
    assert lease.turns == 9_999 and lease.last.motion is None
    assert net.bank.slabs["memory_k_0"].shape == (SLOTS, 1, TOKENS, WIDTH)
