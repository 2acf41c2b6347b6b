from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from math import cos, dist, sin
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from hypothesis import given, settings
from hypothesis import strategies as st

from streamgen.controls import Controls
from streamgen.frame import Pixels
from streamgen.gate import CELLS, SimilarityGate, reference_of, similarity
from streamgen.sources import Size, open_source

SIDE = 256
ON = Controls(similarity_filter="on")
OFF = Controls(similarity_filter="off")
SAMPLE = Path(__file__).parents[2] / "streamgen" / "samples" / "webcam.mp4"
AREA = 0.02


def read(path: Path) -> list[Pixels]:
    with open_source(path, size=Size(width=SIDE, height=SIDE)) as source:
        return [frame.pixels.copy() for frame in source.frames()]


def real_clip(name: str) -> list[Pixels]:
    """Read a clip from the folder that STREAMGEN_CLIPS names."""
    path = Path(os.environ.get("STREAMGEN_CLIPS", "")) / f"{name}.mp4"
    if not path.exists():
        pytest.skip(f"STREAMGEN_CLIPS names no folder with {path.name}")
    return read(path)


def grey(level: int, side: int = 64) -> Pixels:
    return np.full((side, side, 3), level, np.uint8)


def decisions(frames: list[Pixels], controls: Controls = ON, seed: int = 0) -> list[bool]:
    gate = SimilarityGate(seed=seed)
    return [gate.admits(frame, controls) for frame in frames]


@pytest.fixture(scope="module")
def room() -> Pixels:
    """A real picture that keeps still."""
    return read(SAMPLE)[0]


def noisy(ground: Pixels, sigma: float, count: int) -> Iterator[Pixels]:
    rng = np.random.default_rng(1)
    for _ in range(count):
        levels = ground + rng.normal(0.0, sigma, ground.shape) + 0.5
        yield np.clip(levels, 0, 255).astype(np.uint8)


@cache
def grounds_of(kind: str) -> tuple[Pixels, ...]:
    """Return pictures to take turns behind something that moves."""
    if kind == "noisy":
        return tuple(noisy(grey(110, SIDE), 2.0, 7))
    coarse = np.random.default_rng(2).integers(60, 180, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
    return (grey(110, SIDE),) if kind == "flat" else (coarse.repeat(8, axis=0).repeat(8, axis=1),)


def with_mover(ground: Pixels, x: float, y: float, shape: str, levels: int = 25) -> Pixels:
    """Brighten a square or a disc of 2 % of the picture around x, y, with smooth edges."""
    across, down = np.arange(SIDE) + 0.5 - x, np.arange(SIDE)[:, None] + 0.5 - y
    if shape == "disc":
        cover = np.clip(SIDE * (AREA / np.pi) ** 0.5 + 0.5 - np.hypot(across, down), 0.0, 1.0)
    else:
        half = SIDE * AREA**0.5 / 2 + 0.5
        cover = np.clip(half - abs(across), 0.0, 1.0) * np.clip(half - abs(down), 0.0, 1.0)
    picture: Pixels = (ground + levels * cover[:, :, None] + 0.5).astype(np.uint8)
    return picture


@given(st.integers(8, 130), st.integers(8, 130))
def test_cells_are_means_of_their_pixels(height: int, width: int) -> None:
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    cells = reference_of(pixels).cells
    for i, j in [(0, 0), (5, 17), (31, 31), (31, 0)]:
        top, left = i * height // CELLS, j * width // CELLS
        bottom = max((i + 1) * height // CELLS, top + 1)
        right = max((j + 1) * width // CELLS, left + 1)
        expected = pixels[top:bottom, left:right].mean(axis=(0, 1))
        np.testing.assert_allclose(cells[i, j], expected, rtol=1e-6)


def test_the_same_picture_scores_one_and_its_opposite_zero() -> None:
    black, white = reference_of(grey(0)), reference_of(grey(255))
    assert similarity(black, black) == 1.0
    assert similarity(black, white) == similarity(white, black) == 0.0


def test_the_score_is_that_of_the_worst_tile() -> None:
    corner = grey(100)
    corner[:8, :8] = 132
    for other in (corner, grey(132)):
        assert similarity(reference_of(grey(100)), reference_of(other)) == pytest.approx(0.75)


def test_another_size_is_another_picture() -> None:
    assert similarity(reference_of(grey(100, 64)), reference_of(grey(100, 72))) == 0.0
    assert decisions([grey(100, 64), grey(100, 64), grey(100, 72)]) == [True, False, True]


def test_another_colour_of_the_same_brightness_is_drawn() -> None:
    red, green = grey(0), grey(0)
    red[:], green[:] = (120, 60, 60), (60, 91, 60)  # both have a luma of 78
    assert decisions([red, green]) == [True, True]


@pytest.mark.parametrize("sigma", [0.0, 2.0, 3.0])
def test_a_still_picture_with_camera_noise_is_skipped(room: Pixels, sigma: float) -> None:
    assert decisions(list(noisy(room, sigma, 110))).count(False) == 100


def test_a_still_clip_in_h264_is_skipped(room: Pixels, tmp_path: Path) -> None:
    path = tmp_path / "still.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "30"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        for pixels in noisy(room, 2.5, 90):
            container.mux(stream.encode(VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    drawn = decisions(read(path))
    assert len(drawn) == 90
    assert drawn.count(False) / len(drawn) >= 0.85


@settings(deadline=None, max_examples=40)
@given(
    start=st.tuples(st.floats(80, 176), st.floats(80, 176)),
    angle=st.floats(0.0, 6.3),
    speed=st.floats(0.2, 2.0),
    shape=st.sampled_from(["square", "disc"]),
    ground=st.sampled_from(["flat", "busy", "noisy"]),
    seed=st.integers(0, 9),
)
def test_a_faint_mover_never_gets_away(
    start: tuple[float, float], angle: float, speed: float, shape: str, ground: str, seed: int
) -> None:
    gate, grounds, drawn_at = SimilarityGate(seed=seed), grounds_of(ground), start
    for step in range(40):
        way = max(step - 12, 0) * speed  # it rests at first, so that the gate does
        at = (start[0] + way * cos(angle), start[1] + way * sin(angle))
        if gate.admits(with_mover(grounds[step % len(grounds)], *at, shape), ON):
            drawn_at = at
        assert dist(at, drawn_at) <= 0.01 * SIDE
    assert gate.skipped > 10


def test_a_slow_fade_adds_up() -> None:
    gate, drawn_level = SimilarityGate(), 100
    for step in range(60):
        level = 100 + step // 2
        if gate.admits(grey(level), ON):
            drawn_level = level
        assert level - drawn_level <= 3
    assert 0.0 < gate.skipped_share < 1.0


def test_the_first_frame_after_a_stop_is_drawn_at_once(room: Pixels) -> None:
    rate, gate, admitted = 25, SimilarityGate(), []
    for index, ground in enumerate(noisy(room // 2, 2.0, 4 * rate)):
        moving_s = min(index / rate, 1.0) + max(index / rate - 3.0, 0.0)
        frame = with_mover(ground, 40.0 + 90.0 * moving_s, 128.0, "disc", levels=100)
        if gate.admits(frame, ON):
            admitted.append(index)
    go = 3 * rate + 1  # the first frame that differs from those of the stop
    assert admitted[: rate + 1] == list(range(rate + 1))
    assert admitted[-(4 * rate - go) :] == list(range(go, 4 * rate))
    assert len(admitted[rate + 1 : -(4 * rate - go)]) == 4  # refreshes in two seconds


def test_chance_decides_between_the_bounds_and_rest_is_slow_to_end() -> None:
    almost = grey(102)
    almost[::2] = 103  # 2.5 levels off: 0.98 of what is allowed awake, 0.81 at rest
    awake = [not decisions([grey(100), almost], seed=seed)[1] for seed in range(400)]
    resting = [not decisions([grey(100)] * 2 + [almost], seed=seed)[2] for seed in range(400)]
    assert np.mean(awake) == pytest.approx(4 * (1 - 2.5 / 2.56), abs=0.06)
    assert np.mean(resting) == pytest.approx(4 * (1 - 2.5 / 3.072), abs=0.09)


def test_a_frame_is_drawn_after_the_allowed_skips_and_the_rest_goes_on() -> None:
    gate, controls = SimilarityGate(), ON.model_copy(update={"max_skip_frame": 3})
    drawn = [gate.admits(grey(100), controls) for _ in range(9)]
    assert drawn == [True, False, False, False, True, False, False, False, True]
    assert gate.is_resting
    assert gate.admits(grey(200), controls)
    assert not gate.is_resting


@settings(deadline=None)
@given(
    levels=st.lists(st.integers(98, 104), min_size=1, max_size=60),
    max_skip_frame=st.integers(1, 12),
    threshold=st.floats(0.0, 1.0),
    seed=st.integers(0, 1000),
)
def test_never_more_skips_in_a_row_than_allowed_and_always_the_same_ones(
    levels: list[int], max_skip_frame: int, threshold: float, seed: int
) -> None:
    controls = Controls(
        similarity_filter="on", similarity_threshold=threshold, max_skip_frame=max_skip_frame
    )
    frames = [grey(level, 16) for level in levels]
    drawn = decisions(frames, controls, seed)
    runs = "".join("D" if is_drawn else "." for is_drawn in drawn).split("D")
    assert drawn[0] and max(len(run) for run in runs) <= max_skip_frame
    assert decisions(frames, controls, seed) == drawn


def test_at_threshold_one_only_the_very_same_picture_is_skipped() -> None:
    strict, other = ON.model_copy(update={"similarity_threshold": 1.0}), grey(100)
    other[40, 40] += 1
    assert decisions([grey(100), grey(100), other, other], strict) == [True, False, True, False]


def test_the_filter_switched_off_draws_all_and_remembers_nothing() -> None:
    gate = SimilarityGate()
    assert [gate.admits(grey(100), OFF) for _ in range(3)] == [True] * 3
    assert [gate.admits(grey(100), ON) for _ in range(2)] == [True, False]
    assert [gate.admits(grey(100), switch) for switch in (OFF, ON)] == [True, True]
    assert (gate.drawn, gate.skipped, gate.skipped_share) == (6, 1, 1 / 7)


def test_after_forgetting_the_next_frame_is_drawn_and_the_counts_go_on() -> None:
    gate = SimilarityGate()
    assert gate.skipped_share == 0.0
    assert [gate.admits(grey(100), ON) for _ in range(3)] == [True, False, False]
    gate.forget()
    assert gate.admits(grey(100), ON)
    assert (gate.drawn, gate.skipped) == (2, 2)


def test_real_motion_is_drawn_and_a_real_person_standing_is_mostly_not() -> None:
    assert all(decisions(real_clip("juggle_park")))
    drawn = decisions(real_clip("room_walker"))
    assert all(drawn[:34])  # she walks in
    assert drawn[82:98].count(False) > 8  # she stands and hardly sways
