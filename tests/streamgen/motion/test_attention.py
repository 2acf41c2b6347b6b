"""One attention: the fast way against the plain one, and the clip's against the frame's."""

import pytest
import torch

from streamgen.errors import ConfigError
from streamgen.motion.attention import CausalTemporalAttention, Past
from streamgen.motion.plain import plain_attention
from streamgen.motion.positions import sinusoids
from streamgen.motion.ring import Sight

CHANNELS, SLOTS, TOKENS = 16, 5, 3


@pytest.fixture
def attention():
    torch.manual_seed(0)
    return CausalTemporalAttention(CHANNELS, heads=4).requires_grad_(False)


def past(positions, *, filled):
    """Return what two rows remember, in states drawn at random."""
    states = torch.randn(2, SLOTS, TOKENS, CHANNELS)
    mask = torch.zeros(2, SLOTS, dtype=torch.bool)
    mask[:, :filled] = True
    return Past(states, mask, sinusoids(32, CHANNELS)[positions].expand(2, -1, -1))


def test_a_step_is_an_ordinary_attention_over_what_is_remembered(attention):
    order = torch.tensor([0, 1, 4, 2, 3, 5])  # slots 3 and 4 hold older frames than slot 2
    held = past(order, filled=SLOTS)
    x = torch.randn(2, TOKENS, CHANNELS)
    by_age = torch.cat([held.states[:, [0, 1, 3, 4, 2]], x[:, None]], dim=1)
    seen = by_age.transpose(1, 2).flatten(0, 1)
    expected = plain_attention(attention, seen, sinusoids(32, CHANNELS))
    torch.testing.assert_close(
        attention.step(x, held).flatten(0, 1), expected, atol=1e-5, rtol=1e-5
    )


def test_other_weights_are_in_force_at_once_for_frames_of_before(attention):
    held, x = past(torch.arange(SLOTS + 1), filled=SLOTS), torch.randn(2, TOKENS, CHANNELS)
    before = attention.step(x, held)
    for each in attention.parameters():  # as a LoRA does, once it is merged
        each.add_(0.2 * torch.randn_like(each))
    after = attention.step(x, held)
    seen = torch.cat([held.states, x[:, None]], dim=1).transpose(1, 2).flatten(0, 1)
    expected = plain_attention(attention, seen, sinusoids(32, CHANNELS))
    torch.testing.assert_close(after.flatten(0, 1), expected, atol=1e-5, rtol=1e-5)
    assert (after - before).abs().mean() > 0.1


def test_what_is_not_filled_counts_nothing_whatever_stands_there(attention):
    held = past(torch.tensor([0, 1, 0, 0, 0, 2]), filled=2)
    x = torch.randn(2, TOKENS, CHANNELS)
    before = attention.step(x, held)
    held.states[:, 2:] = 6e4
    torch.testing.assert_close(attention.step(x, held), before, atol=0, rtol=0)


def test_a_first_frame_sees_itself_alone(attention):
    held = past(torch.zeros(SLOTS + 1, dtype=torch.long), filled=0)
    x = torch.randn(2, TOKENS, CHANNELS)
    expected = attention.to_out[0](attention.to_v(x + sinusoids(1, CHANNELS)))
    torch.testing.assert_close(attention.step(x, held), expected, atol=1e-5, rtol=1e-5)


def test_with_the_mask_lifted_the_causal_way_is_that_of_a_whole_clip(attention):
    frames = 7
    x, table = torch.randn(TOKENS, frames, CHANNELS), sinusoids(frames, CHANNELS)
    everything = Sight(
        torch.ones(frames, frames, dtype=torch.bool), torch.arange(frames).expand(frames, -1)
    )
    looked = attention.look(x, table[everything.positions], everything)
    torch.testing.assert_close(looked, attention(x, table), atol=1e-5, rtol=1e-5)


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ConfigError, match="3 heads for 16 channels"):
        CausalTemporalAttention(16, heads=3)
