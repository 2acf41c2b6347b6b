"""The measures of likeness, on pictures whose likeness is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from streamgen.errors import ConfigError
from streamgen.frame import Pixels
from streamgen.quality import edge_map, edge_ssim, mean_difference, psnr, ssim
from streamgen.training.styles import STYLES


def shapes(seed: int, side: int = 256) -> Pixels:
    """Draw discs and bars of many colours, a different arrangement for each seed."""
    random = np.random.default_rng(seed)
    rows, columns = np.ogrid[:side, :side]
    pixels = np.full((side, side, 3), random.integers(60, 200, 3), np.uint8)
    for number in range(14):
        y, x = random.uniform(0, side, 2)
        radius = random.uniform(0.06, 0.2) * side
        is_disc = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        is_bar = (np.abs(rows - y) < radius) & (np.abs(columns - x) < radius / 3)
        pixels[is_disc if number % 2 else is_bar] = random.integers(0, 256, 3)
    return pixels


def redrawn(pixels: Pixels, style: str) -> Pixels:
    [draw] = [each.draw for each in STYLES if each.name == style]
    torch.manual_seed(0)
    drawn = draw(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)
    result: Pixels = (drawn[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
    return np.ascontiguousarray(result)


def test_mean_difference_counts_levels_in_both_directions() -> None:
    dark, light = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 200, np.uint8)
    assert mean_difference(dark, light) == mean_difference(light, dark) == 200


def test_psnr_follows_its_formula_and_is_infinite_for_equal_frames() -> None:
    frame = np.full((4, 4, 3), 100, np.uint8)
    assert psnr(frame, frame) == math.inf
    assert psnr(frame, frame + 5) == pytest.approx(10 * math.log10(255**2 / 25))


def test_equal_frames_have_ssim_one() -> None:
    frame = shapes(0)
    assert ssim(frame, frame) == pytest.approx(1)
    assert edge_ssim(frame, frame) == pytest.approx(1)


def test_ssim_of_two_flat_frames_is_the_luminance_term() -> None:
    low, high = np.full((32, 32, 3), 100, np.uint8), np.full((32, 32, 3), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert ssim(low, high) == pytest.approx(expected, abs=1e-6)


def test_ssim_agrees_with_its_definition_at_one_place() -> None:
    random = np.random.default_rng(3)
    a, b = (random.integers(0, 256, (11, 11, 1), np.uint8).repeat(3, axis=2) for _ in range(2))
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / np.outer(line, line).sum()
    x, y = a[..., 0].astype(float), b[..., 0].astype(float)
    mean_x, mean_y = (window * x).sum(), (window * y).sum()
    var_x, var_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
    cov = (window * (x - mean_x) * (y - mean_y)).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    expected /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    assert ssim(a, b) == pytest.approx(expected, abs=1e-4)


def test_an_edge_map_keeps_its_size_lies_in_0_to_1_and_uses_all_of_it() -> None:
    found = edge_map(shapes(1)[:200])
    assert found.shape == (200, 256) and found.dtype == np.float32
    assert found.min() >= 0 and found.max() == 1


def test_a_flat_frame_has_no_edges() -> None:
    flat = np.full((64, 64, 3), 90, np.uint8)
    flat[::2] += 1
    assert edge_map(flat).max() < 0.2


def test_fainter_lines_have_the_same_edge_map() -> None:
    frame = shapes(2)
    faint = (frame // 2 + 60).astype(np.uint8)
    assert edge_ssim(frame, faint) > 0.95


@pytest.mark.parametrize("style", ["watercolor", "pencil sketch", "cyberpunk"])
def test_a_redrawn_picture_keeps_its_shapes(style: str) -> None:
    scores = [edge_ssim(shapes(seed), redrawn(shapes(seed), style)) for seed in range(3)]
    assert min(scores) > 0.4


@pytest.mark.parametrize("style", ["watercolor", "pencil sketch", "cyberpunk"])
def test_another_picture_in_the_same_style_does_not(style: str) -> None:
    scores = [edge_ssim(shapes(seed), redrawn(shapes(seed + 1), style)) for seed in range(3)]
    assert sum(scores) / len(scores) < 0.3


def test_the_measure_of_shapes_does_not_depend_on_the_size() -> None:
    pair = shapes(4), redrawn(shapes(4), "watercolor")
    small = edge_ssim(*pair)
    large = edge_ssim(*(frame.repeat(2, axis=0).repeat(2, axis=1) for frame in pair))
    assert large == pytest.approx(small, abs=0.1)


@pytest.mark.parametrize("measure", [mean_difference, psnr, ssim, edge_ssim])
def test_frames_of_two_sizes_are_an_error_that_names_both(
    measure: Callable[[Pixels, Pixels], float],
) -> None:
    with pytest.raises(ConfigError, match="32x16 and 16x16"):
        measure(np.zeros((16, 32, 3), np.uint8), np.zeros((16, 16, 3), np.uint8))


def test_a_frame_smaller_than_the_window_is_an_error() -> None:
    tiny = np.zeros((8, 32, 3), np.uint8)
    with pytest.raises(ConfigError, match="frames of 32x8: both sides have at least 11"):
        ssim(tiny, tiny)


def test_floats_are_an_error() -> None:
    with pytest.raises(ConfigError, match="float32: a frame is uint8"):
        psnr(np.zeros((16, 16, 3), np.float32), np.zeros((16, 16, 3), np.float32))  # type: ignore[arg-type]
