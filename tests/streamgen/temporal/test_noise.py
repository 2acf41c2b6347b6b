from __future__ import annotations

import pytest
import torch

from streamgen.control_schema import controls_from
from streamgen.rows import NoiseBank
from streamgen.temporal.motion import Motion
from streamgen.temporal.noise import SUB, MovingNoise

SIDE = 32


def motion(flow, is_cut=False):
    """flow: what (dx, dy) fills it, in cells, or a whole [2, h, w]."""
    if isinstance(flow, tuple):
        flow = torch.tensor(flow).view(2, 1, 1).expand(2, SIDE, SIDE)
    still = torch.zeros(flow.shape[1:])
    return Motion(
        flow=flow.float().contiguous(),
        fine=flow.float().movedim(0, -1),
        change=still,
        change_in_place=still,
        is_cut=is_cut,
    )


def zooming(rate, turn=0.0):
    """A camera that goes forward and turns about the middle."""
    y, x = torch.meshgrid(*[torch.arange(SIDE) - SIDE / 2 + 0.5] * 2, indexing="ij")
    return motion(torch.stack([-rate * x - turn * y, turn * x - rate * y]))


def bank(channels=4):
    return NoiseBank(shape=(channels, SIDE, SIDE), device=torch.device("cpu"))


def take(noise, count=1, *, motion=None, **controls):
    return noise.take(controls_from({"noise": "moving", **controls}), count, motion=motion)


def neighbour_correlations(cells):
    centred = cells - cells.mean()
    across = (centred[..., 1:] * centred[..., :-1]).mean()
    down = (centred[..., 1:, :] * centred[..., :-1, :]).mean()
    return float(across / centred.var()), float(down / centred.var())


@pytest.mark.parametrize(
    "step",
    [
        motion((0.37, -0.21)),
        motion((-0.04, 0.0)),
        motion((5.3, 2.9)),
        zooming(0.02),
        zooming(-0.03, turn=0.02),
        zooming(0.0, turn=0.05),
    ],
    ids=["pan", "slow pan", "fast pan", "zoom in", "zoom out and turn", "turn"],
)
def test_noise_is_still_noise_after_200_frames(step):
    noise = bank(channels=64)
    take(noise)
    for _ in range(200):
        [cells] = take(noise, motion=step)
    assert float(cells.var()) == pytest.approx(1, abs=0.02)
    assert float(cells.mean()) == pytest.approx(0, abs=0.02)
    assert max(map(abs, neighbour_correlations(cells))) < 0.02


def test_noise_is_still_noise_after_200_frames_of_wild_flow():
    noise, generator = bank(channels=64), torch.Generator().manual_seed(3)
    take(noise)
    for _ in range(200):
        wild = torch.randn(2, SIDE, SIDE, generator=generator) * 2
        [cells] = take(noise, motion=motion(wild))
    assert float(cells.var()) == pytest.approx(1, abs=0.02)
    assert max(map(abs, neighbour_correlations(cells))) < 0.02


def test_on_a_still_picture_it_is_the_fixed_noise():
    noise = bank()
    start = take(noise, 2)
    fixed = bank().take(controls_from({"noise": "fixed"}), 2)
    after = take(noise, 2, motion=motion((0.0, 0.0)))
    for first, other, last in zip(start, fixed, after, strict=True):
        torch.testing.assert_close(first, other, atol=1e-5, rtol=0)
        assert torch.equal(first, last)


@pytest.mark.parametrize("steps", [1, 3, 8, 40])
def test_small_steps_add_up_to_the_noise_moved_whole(steps):
    noise = bank()
    [start] = take(noise)
    for _ in range(steps):
        [cells] = take(noise, motion=motion((3 / steps, -2 / steps)))
    torch.testing.assert_close(cells[:, 2:, :-3], start[:, :-2, 3:], atol=1e-5, rtol=0)


def test_places_that_nothing_comes_to_get_new_noise():
    noise = bank()
    [start] = take(noise)
    [cells] = take(noise, motion=motion((-3.0, 0.0)))
    torch.testing.assert_close(cells[..., 3:], start[..., :-3], atol=1e-5, rtol=0)
    assert float((cells[..., :3] - start[..., :3]).abs().min()) > 0
    assert float(cells[..., :3].var()) == pytest.approx(1, abs=0.2)


def test_no_value_is_in_two_places():
    noise = MovingNoise()
    noise.fields[0, 0] = torch.arange((SUB * SIDE) ** 2.0).view(1, SUB * SIDE, SUB * SIDE)
    flow = torch.zeros(2, SIDE, SIDE)
    flow[0, :, 8:16] = -8  # a quarter is laid over its neighbour, and is seen where it was as well
    noise.move(motion(flow))
    values = noise.fields[0, 0].flatten()
    assert len(values.unique()) == len(values)


def test_what_moves_takes_its_noise_along():
    noise = bank()
    [start] = take(noise)
    flow = torch.zeros(2, SIDE, SIDE)
    flow[0, :, 8:16] = -8
    [cells] = take(noise, motion=motion(flow))
    torch.testing.assert_close(cells[..., 8:16], start[..., :8], atol=1e-5, rtol=0)
    assert torch.equal(cells[..., 16:], start[..., 16:])


def test_a_way_and_back_keeps_most_of_the_middle():
    noise = bank()
    [start] = take(noise)
    for rate in [0.02] * 5 + [-0.02] * 5:
        [cells] = take(noise, motion=zooming(rate))
    both = torch.stack([start[:, 8:-8, 8:-8].flatten(), cells[:, 8:-8, 8:-8].flatten()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.6


def test_the_same_seed_and_motion_give_the_same_noise():
    def drawn(**controls):
        noise = bank()
        steps = [None, motion((0.4, 0.1)), zooming(0.05), motion((7.0, 0.0))]
        return [take(noise, 2, motion=step, **controls) for step in steps][-1]

    for one, other in zip(drawn(seed=5), drawn(seed=5), strict=True):
        assert torch.equal(one, other)
    assert not torch.allclose(drawn(seed=5)[0], drawn(seed=6)[0])
    first, second = drawn(seed=5)
    assert abs(float((first * second).mean())) < 0.1


@pytest.mark.parametrize("step", [None, motion((1.0, 0.0), is_cut=True)], ids=["start", "cut"])
def test_after_a_start_or_a_cut_it_is_as_at_the_beginning(step):
    noise = bank()
    [start] = take(noise)
    for _ in range(3):
        take(noise, motion=motion((0.6, 0.6)))
    [again] = take(noise, motion=step)
    assert torch.equal(again, start)
    [further] = take(noise, motion=motion((9.0, 0.0)))
    other = bank()
    take(other)
    assert torch.equal(further, take(other, motion=motion((9.0, 0.0)))[0])


def test_other_noise_in_between_begins_it_anew():
    noise = bank()
    [start] = take(noise)
    take(noise, motion=motion((0.6, 0.6)))
    noise.take(controls_from({}), 1)
    assert torch.equal(take(noise, motion=motion((0.0, 0.0)))[0], start)


def test_seeds_are_blended_and_moved_alike():
    noise, weights = bank(), [{"number": 1, "weight": 3}, {"number": 2, "weight": 4}]
    take(noise, seeds=weights)
    [blended] = take(noise, seeds=weights, motion=motion((-2.0, 0.0)))
    parts = []
    for number in (1, 2):
        single = bank()
        take(single, seed=number)
        parts += take(single, seed=number, motion=motion((-2.0, 0.0)))
    torch.testing.assert_close(blended, 0.6 * parts[0] + 0.8 * parts[1])


@pytest.mark.parametrize("other", [{"prompts": ["neon"]}, {"steps": 2}, {"seed": 8}])
def test_controls_of_another_picture_begin_it_anew(other):
    noise = bank()
    take(noise)
    take(noise, motion=motion((0.6, 0.6)))
    taken = take(noise, 2, motion=motion((0.6, 0.6)), **other)
    for one, begun in zip(taken, take(bank(), 2, **other), strict=True):
        assert torch.equal(one, begun)


def test_a_prompt_that_fades_over_leaves_it_as_it_moved():
    noise = bank()
    take(noise, prompts=["neon"])
    [one] = take(noise, motion=motion((0.6, 0.6)), prompts=["neon"])
    fading = [{"text": "neon", "weight": 0.9}, {"text": "manga", "weight": 0.1}]
    [other] = take(noise, motion=motion((0.0, 0.0)), prompts=fading)
    assert torch.equal(one, other)
