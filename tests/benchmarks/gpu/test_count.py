from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.gpu.count import Work, count_work, total


def meta(*shape, dtype=torch.bfloat16):
    return torch.empty(shape, dtype=dtype, device="meta")


class Attention(nn.Module):
    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=0.0).relu()


def test_a_product_reads_both_sides_and_writes_one():
    linear = nn.Linear(64, 32, bias=False, device="meta", dtype=torch.bfloat16)

    [work] = count_work(linear, [meta(10, 64)])

    assert work.flops == 2 * 10 * 64 * 32
    assert work.bytes == 2 * (10 * 64 + 64 * 32 + 10 * 32)


def test_a_convolution_counts_a_product_for_every_pixel():
    conv = nn.Conv2d(3, 8, 3, padding=1, bias=False, device="meta", dtype=torch.float32)

    [work] = count_work(conv, [meta(2, 3, 16, 16, dtype=torch.float32)])

    assert work.flops == 2 * (2 * 16 * 16) * 8 * 3 * 9
    assert work.bytes == 4 * (2 * 3 * 16 * 16 + 8 * 3 * 9 + 2 * 8 * 16 * 16)


def test_attention_is_one_piece_whose_scores_stay_on_the_chip():
    q, kv = meta(2, 4, 64, 16), meta(2, 4, 77, 16)

    [work] = count_work(Attention(), [q, kv, kv])

    assert work.flops == 2 * 2 * (2 * 4 * 64 * 77 * 16)
    assert work.bytes == 2 * (2 * q.numel() + 2 * kv.numel())


def test_norms_and_activations_are_free():
    layers = nn.Sequential(nn.GroupNorm(2, 8, device="meta"), nn.SiLU())

    assert count_work(layers, [meta(1, 8, 4, 4, dtype=torch.float32)]) == ()


def test_the_slower_of_both_is_the_least_time():
    work = Work(flops=100, bytes=10)

    assert work.seconds(100.0, 1000.0) == 1.0
    assert work.seconds(1000.0, 10.0) == 1.0
    assert total([work, work]) == Work(flops=200, bytes=20)


@pytest.mark.parametrize(
    ("shape", "gflop"),
    [("sd-turbo", (600, 900)), ("sd-1.5", (600, 900)), ("sdxl-turbo", (1300, 1700))],
)
def test_the_published_unets_take_what_is_known_of_them_at_512(shape, gflop):
    """About 0.4 T multiply-adds for SD at 64x64 latents; two operations each."""
    from benchmarks.gpu.cases import all_cases
    from benchmarks.gpu.networks import counted

    case = next(c for c in all_cases("full") if c.shape == shape and c.steps * c.streams == 1)

    by_role = counted(case, "bf16", scale=1.0)

    low, high = gflop
    assert low < total(by_role["unet"]).flops / 1e9 < high
    assert total(by_role["vae_encoder"]).flops > 0 < total(by_role["vae_decoder"]).flops
