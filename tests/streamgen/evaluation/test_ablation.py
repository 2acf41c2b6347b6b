from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.controls import Controls
from streamgen.evaluation.ablation import NAMES, Ablation, Numbers, ablate
from streamgen.evaluation.clips import Clip, moved_photos
from streamgen.evaluation.redraw import redraw_clip
from streamgen.evaluation.settings import SETTINGS
from streamgen.frame import Pixels
from streamgen.models.engines import Engines, load_engines

SIDE = 64


@pytest.fixture(scope="module")
def engines() -> Engines:
    return load_engines(StreamConfig(model="tiny", width=SIDE, height=SIDE, backend="torch"))


@pytest.fixture(scope="module")
def clip() -> Clip:
    return next(moved_photos(None, side=SIDE, count=6, seed=0))


def ask(setting: str, prompt: str) -> Controls:
    return controls_from({**SETTINGS[setting].controls({}), "prompts": prompt})


def test_a_clip_is_drawn_frame_by_frame_and_timed(engines: Engines, clip: Clip) -> None:
    ticks = iter(range(0, 1_000_000_000, 1_000_000))

    drawn = redraw_clip(engines, clip.frames, ask("fixed", "comic"), clock=lambda: next(ticks))

    assert len(drawn.frames) == len(clip.frames)
    assert drawn.frame_ms == 1.0
    again = redraw_clip(engines, clip.frames, ask("fixed", "comic"))
    assert all(np.array_equal(a, b) for a, b in zip(drawn.frames, again.frames, strict=True))


def test_several_steps_answer_every_frame(engines: Engines, clip: Clip) -> None:
    controls = ask("fixed", "comic").model_copy(update={"steps": 3})

    assert len(redraw_clip(engines, clip.frames, controls).frames) == len(clip.frames)


@pytest.fixture(scope="module")
def found(engines: Engines, clip: Clip) -> Ablation:
    shown: list[tuple[str, str, list[str]]] = []

    def show(clip: Clip, prompt: str, drawings: Mapping[str, Sequence[Pixels]]) -> None:
        shown.append((clip.name, prompt, list(drawings)))

    result = ablate(
        engines,
        [clip],
        settings=["fresh", "fixed"],
        ask=ask,
        prompts=["comic", "neon"],
        show=show,
    )
    assert shown == [(clip.name, "comic", ["fresh", "fixed"])]
    return result


def test_new_noise_flickers_more_than_the_same_noise(found: Ablation) -> None:
    rows = found.comparison()

    assert rows["fresh"]["warp_error_to_fresh"] == 1
    assert 0 < float(rows["fixed"]["warp_error_to_fresh"] or 0) < 1
    assert float(rows["fixed"]["flicker"] or 0) < float(rows["fresh"]["flicker"] or 0)


def test_the_report_has_settings_clips_and_the_inputs_own_error(found: Ablation) -> None:
    report = found.as_json()

    assert list(report) == ["settings", "input", "clips"]
    settings = report["settings"]
    assert isinstance(settings, dict)
    assert settings["fixed"].keys() >= {
        *("warp_error", "flicker", "sharpness", "style_score", "edge_ssim", "lag", "frame_ms"),
        *("warp_error_to_fresh", "warp_error_to_fixed", "sharpness_to_fixed"),
    }
    assert report["input"] == {"warp_error": pytest.approx(found.input_error, abs=1e-6)}


def row(warp_error: float, style_score: float | None = 1.0) -> Numbers:
    blank: Numbers = dict.fromkeys(NAMES, 1.0)
    return {**blank, "warp_error": warp_error, "style_score": style_score}


def test_a_setting_is_compared_as_a_whole_and_clip_by_clip() -> None:
    clips = {
        "shaky": {"fixed": row(0.8), "latent": row(0.8)},
        "steady": {"fixed": row(0.2), "latent": row(0.1)},
    }

    latent = Ablation(settings=["fixed", "latent"], clips=clips).comparison()["latent"]

    assert latent["warp_error_to_fixed"] == pytest.approx(0.9)
    assert latent["warp_error_to_fixed_each"] == pytest.approx(0.75)
    assert latent["sharpness_to_fixed"] == 1


def test_means_are_over_the_clips_that_tell() -> None:
    one, two = row(0.1, style_score=None), row(0.3)
    found = Ablation(settings=["fixed"], clips={"a": {"fixed": one}, "b": {"fixed": two}})

    assert found.means("fixed")["warp_error"] == pytest.approx(0.2)
    assert found.means("fixed")["style_score"] == 1.0
    assert found.input_error is None
