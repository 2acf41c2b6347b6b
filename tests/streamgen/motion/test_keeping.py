"""What is kept of a state comes back, as near as its type allows."""

import torch

from streamgen.motion.keeping import packed, unpacked


def test_floats_come_back_as_they_were_rounded():
    states = torch.randn(2, 3, 8)
    (kept,) = packed(states, torch.float16)
    assert kept.dtype == torch.float16
    torch.testing.assert_close(unpacked(kept, None, torch.float32), states, atol=2e-3, rtol=1e-3)


def test_bytes_are_within_half_a_step_of_each_tokens_own_range():
    torch.manual_seed(0)
    states = torch.randn(2, 3, 64) * torch.tensor([0.1, 1.0, 30.0])[:, None]
    kept, scale = packed(states, torch.int8)
    assert (kept.dtype, scale.dtype, scale.shape) == (torch.int8, torch.float16, (2, 3))
    step = states.abs().amax(dim=2, keepdim=True) / 127
    apart = (unpacked(kept, scale, torch.float32) - states).abs()
    # A scale in float16 is off by a 2048th, of at most 127 steps: a sixteenth of a step more.
    assert (apart / step).max() < 0.57


def test_nothing_stays_nothing():
    kept, scale = packed(torch.zeros(1, 2, 4), torch.int8)
    assert scale.isfinite().all() and (scale > 0).all()
    assert unpacked(kept, scale, torch.float32).eq(0).all()
