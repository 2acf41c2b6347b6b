from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from streamgen.errors import ConfigError
from streamgen.evaluation.camera_paths import PATHS
from streamgen.evaluation.known_flow import KnownClip, known_clip
from streamgen.evaluation.measure import Figures, correspondences, measure
from streamgen.frame import Pixels
from streamgen.models.evaluation.scores import reference_of

SIDE = 96


@pytest.fixture(scope="module")
def clip(photo: Pixels) -> KnownClip:
    """A photo under a camera that pans, without noise."""
    return known_clip(photo, PATHS["pan"](SIDE, 1), side=SIDE, count=12, noise_levels=0.0)


def inverted(frame: Pixels) -> Pixels:
    """A style that is as steady as its input."""
    return 255 - frame


def measured(clip: KnownClip, draw: Callable[[int, Pixels], Pixels]) -> Figures:
    drawn = [draw(index, frame) for index, frame in enumerate(clip.frames)]
    return measure(clip.frames, drawn, known=clip.known)


def test_a_steady_style_has_the_inputs_own_warp_error_and_no_flicker(clip: KnownClip) -> None:
    found = measured(clip, lambda _, frame: inverted(frame))

    assert found.warp_error == pytest.approx(found.input_warp_error, rel=1e-3)
    assert found.flicker == pytest.approx(0, abs=1e-2)
    assert found.sharpness == pytest.approx(1, rel=1e-3)
    assert found.edge_ssim == pytest.approx(1, abs=1e-3)
    assert found.frames == 12


def test_new_noise_on_every_frame_adds_twice_its_variance_to_the_warp_error(
    clip: KnownClip,
) -> None:
    rng = np.random.default_rng(0)

    def grainy(_: int, frame: Pixels) -> Pixels:
        return np.clip(frame + rng.normal(0, 8, frame.shape), 0, 255).astype(np.uint8)

    found = measured(clip, grainy)

    # Moving by parts of a pixel smooths one of the two.
    added = (found.warp_error - found.input_warp_error) * 255**2
    assert 1.3 * 64 < added < 2.1 * 64
    assert found.sharpness > 1.05


def test_brightness_that_jumps_to_and_fro_is_flicker_of_its_size(clip: KnownClip) -> None:
    found = measured(
        clip,
        lambda index, frame: np.clip(frame * 0.5 + 40 + 10 * (index % 2), 0, 255).astype(np.uint8),
    )

    # Half the swing, 5, through the second difference: 4 x 5 / sqrt(6).
    assert found.flicker == pytest.approx(20 / np.sqrt(6), rel=0.05)


def test_a_still_drawing_of_a_flickering_input_is_steadier_than_it(photo: Pixels) -> None:
    base = photo[:SIDE, :SIDE] // 2
    given = [(base + 20 * (index % 2)).astype(np.uint8) for index in range(6)]

    assert measure(given, [base] * 6).flicker == pytest.approx(-40 / np.sqrt(6), rel=0.05)


def test_a_blurred_drawing_is_less_sharp(clip: KnownClip) -> None:
    def halved(_: int, frame: Pixels) -> Pixels:
        return (frame // 2 + 64).astype(np.uint8)

    assert measured(clip, halved).sharpness == pytest.approx(0.25, rel=0.02)


def test_a_drawing_in_time_leads_and_one_a_frame_late_lags(clip: KnownClip) -> None:
    in_time = measured(clip, lambda _, frame: inverted(frame))
    late = measured(clip, lambda index, _: inverted(clip.frames[max(index - 1, 0)]))
    trailing = measured(clip, lambda index, frame: frame // 2 + clip.frames[max(index - 1, 0)] // 2)

    assert in_time.lag > 0.02
    assert late.lag < -0.02
    assert late.lag < trailing.lag < in_time.lag


def test_a_drawing_that_moves_with_the_photo_is_steadier_than_one_drawn_anew(
    photo: Pixels,
) -> None:
    path = PATHS["pan"](SIDE, 1)
    given = known_clip(photo, path, side=SIDE, count=6)
    moving = known_clip(reference_of("comic", photo), path, side=SIDE, count=6, noise_levels=0.0)
    anew = [reference_of("comic", frame) for frame in given.frames]

    steady, unsteady = (
        measure(given.frames, drawn, known=given.known) for drawn in (moving.frames, anew)
    )

    assert 3 * steady.warp_error < unsteady.warp_error
    assert min(steady.lag, unsteady.lag) > 0.01


def test_a_still_clip_has_no_lag(photo: Pixels) -> None:
    frames = [photo[:SIDE, :SIDE]] * 4

    assert measure(frames, [inverted(frame) for frame in frames]).lag == 0


def lightness(level: int) -> float:
    """Return L* of a grey of sRGB, by the formulas of IEC 61966-2-1 and CIE 1976."""
    light = ((level / 255 + 0.055) / 1.055) ** 2.4
    return float(116 * np.cbrt(light) - 16)


def test_colour_drift_is_how_far_the_drawing_went_from_start_to_end() -> None:
    frames = [np.full((32, 32, 3), 100, np.uint8)] * 16
    levels = [100 + 2 * index for index in range(16)]
    drawn = [np.full((32, 32, 3), level, np.uint8) for level in levels]

    start, end = (
        np.mean([lightness(level) for level in part]) for part in (levels[:4], levels[-4:])
    )

    assert measure(frames, drawn).colour_drift == pytest.approx(end - start, rel=0.02)


def test_a_style_that_is_darker_throughout_does_not_drift(photo: Pixels) -> None:
    frames = [photo[:SIDE, :SIDE]] * 8

    assert measure(frames, [frame // 2 for frame in frames]).colour_drift == 0


def test_estimated_flow_tells_the_same_settings_apart(clip: KnownClip) -> None:
    rng = np.random.default_rng(0)
    grain = [rng.normal(0, 8, clip.frames[0].shape) for _ in clip.frames]
    grainy = [
        np.clip(f + g, 0, 255).astype(np.uint8) for f, g in zip(clip.frames, grain, strict=True)
    ]
    known = correspondences(clip.frames)

    steady = measure(clip.frames, clip.frames, known=known)

    assert measure(clip.frames, grainy, known=known).warp_error > 2 * steady.warp_error
    assert measure(clip.frames, clip.frames).warp_error == steady.warp_error


def test_values_over_time_belong_to_frames(clip: KnownClip) -> None:
    series = measured(clip, lambda _, frame: frame).over_time

    assert {name: len(values) for name, values in series.items()} == {
        "edge_ssim": 12,
        "colour_offset": 12,
        "warp_error": 11,
        "input_warp_error": 11,
        "lag": 11,
        "known_share": 11,
        "flicker": 10,
    }


def test_videos_that_cannot_be_compared_are_refused(clip: KnownClip) -> None:
    frames = clip.frames
    with pytest.raises(ConfigError, match="different lengths"):
        measure(frames, frames[1:])
    with pytest.raises(ConfigError, match="one size"):
        measure(frames, [frame[:48] for frame in frames])
    with pytest.raises(ConfigError, match="2 frames: at least 3"):
        measure(frames[:2], frames[:2])
