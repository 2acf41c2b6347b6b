import pytest
import torch

from streamgen.temporal.bank_merging import merged

TOKENS, WIDTH = 8, 5


def features(seed, parts="kv"):
    generator = torch.Generator().manual_seed(seed)
    return {part: torch.randn(TOKENS, WIDTH, generator=generator) for part in parts}


def test_two_frames_become_as_many_tokens_as_one():
    made = merged(features(0, "kvo"), features(1, "kvo"), turn=0)
    assert {part: tuple(each.shape) for part, each in made.items()} == dict.fromkeys(
        "kvo", (TOKENS, WIDTH)
    )


def test_a_frame_merged_with_itself_stays_as_it_is():
    frame = features(0)
    for turn in (0, 1):
        made = merged(frame, frame, turn=turn)
        # A token's own twin is among those that stay, or among those that go.
        assert all(torch.equal(made[part], frame[part]) for part in "kv")


def test_each_token_is_the_mean_of_what_came_there_by_its_key():
    old, new = features(0), features(1)
    # Those that stay: old at even places, new at odd ones; the others all go to the third.
    third = old["k"][2]
    old["k"][1::2], new["k"][::2] = third * 3, third * 0.5
    made = merged(old, new, turn=0)
    values = [old["v"][2], *old["v"][1::2], *new["v"][::2]]
    torch.testing.assert_close(made["v"][2], torch.stack(values).mean(dim=0))
    untouched = [k for k in range(TOKENS) if k != 2]
    staying = torch.where((torch.arange(TOKENS) % 2 == 0)[:, None], old["v"], new["v"])
    assert torch.equal(made["v"][untouched], staying[untouched])


def test_tokens_take_turns_to_stay():
    old, new = features(0), features(1)
    first, second = (merged(old, new, turn=turn)["v"] for turn in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, merged(old, new, turn=2)["v"])


@pytest.mark.parametrize("seed", [3, 4])
def test_the_mean_of_all_values_stays_within_what_came_in(seed):
    old, new = features(seed), features(seed + 10)
    made = merged(old, new, turn=0)
    both = torch.cat([old["v"], new["v"]])
    assert bool((made["v"] <= both.amax(dim=0)).all() and (made["v"] >= both.amin(dim=0)).all())
