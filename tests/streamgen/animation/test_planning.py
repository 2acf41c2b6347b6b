"""What a clip is drawn with where nobody says, and what is refused."""

import json
import shutil
from dataclasses import replace

import pytest

from streamgen.animation.sampling import SAMPLERS
from streamgen.animation.schedules import sampler_for
from streamgen.errors import ConfigError
from streamgen.motion.ring_file import RING
from streamgen.schedule import schedule_from


@pytest.fixture
def for_streams(studio, adapter_folder, tmp_path):
    """The same adapter, as one that was trained for streams."""
    folder = tmp_path / "streams"
    shutil.copytree(adapter_folder, folder)
    (folder / RING).write_text(json.dumps({"sinks": 2, "rolling": 6}))
    return replace(studio, adapter=folder)


def test_an_adapter_is_drawn_with_the_noise_that_it_knows(studio, for_streams):
    model = studio.model.model.schedule
    linear = schedule_from({"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "linear"})

    assert studio.plan().schedule == linear
    assert for_streams.plan(betas="linear").schedule == linear
    assert studio.plan(betas="model").schedule == model
    assert for_streams.plan().schedule == model


def test_windows_are_those_that_the_adapter_was_made_for(studio, for_streams):
    def lengths(each, **asked):
        return [len(window.weights) for window in each.plan(frames=40, **asked).windows]

    assert lengths(studio) == [16, 16, 16]
    assert lengths(for_streams) == [9] * 8
    assert lengths(studio, window=10, overlap=0) == [10] * 4


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({}, "ddim"),
        ({"timestep_spacing": "trailing"}, "lcm"),
        ({"_class_name": "LCMScheduler"}, "lcm"),
        ({"prediction_type": "sample"}, "lcm"),
    ],
)
def test_distilled_models_are_sampled_as_such(studio, tmp_path, config, name):
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    model = replace(studio.model.model, schedule=schedule_from(config))

    assert sampler_for(None, model, tmp_path) is SAMPLERS[name]
    assert sampler_for("ddim", model, tmp_path) is SAMPLERS["ddim"]


def test_what_nobody_says_is_up_to_sampler_and_model(studio):
    plan = studio.plan()

    assert (len(plan.levels), plan.noise) == (25, "fresh")
    assert plan.revision.controls.guidance_scale == 7.5
    assert studio.plan(sampler="lcm").revision.negative_text is None
    # The default strength of streams.
    assert studio.plan(has_picture=True).levels[0].t == 799


def test_a_distilled_model_is_not_guided_however_it_is_sampled(studio):
    distilled = replace(studio.model.model.schedule, has_boundary=True)
    model = replace(studio.model, model=replace(studio.model.model, schedule=distilled))

    plan = replace(studio, model=model).plan(sampler="ddim")

    assert plan.revision.controls.guidance_scale == 1.0
    assert plan.revision.negative_text is None


def test_a_picture_is_redrawn_at_the_strength_asked_for(studio):
    assert studio.plan(has_picture=True, strength=0.5, steps=5).levels[0].t == 499


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"window": 17}, "window 17: the motion adapter has positions for 16 frames"),
        ({"strength": 0.5}, "strength 0.5: without a picture all of it is drawn"),
        ({"negative_prompt": "ink", "guidance_scale": 1.0}, "negative prompt: has no effect"),
        ({"overlap": 16}, "overlap 16: with windows of 16 frames give 0 to 15"),
    ],
)
def test_what_cannot_be_is_refused(studio, asked, reason):
    with pytest.raises(ConfigError, match=reason):
        studio.plan(**asked)


@pytest.mark.parametrize("asked", [{"window": 8}, {"overlap": 2}])
def test_windows_of_frames_that_are_drawn_alone_are_refused(studio, asked):
    plain = replace(studio, adapter=None, model=studio.plain)

    with pytest.raises(ConfigError, match="has no effect without a motion adapter"):
        plain.plan(has_picture=True, **asked)


@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 20), ("lcm", 1)])
def test_a_low_strength_takes_as_many_steps_as_it_leaves(studio, sampler, steps):
    asked = {"has_picture": True, "strength": 0.02, "sampler": sampler}

    assert len(studio.plan(**asked).levels) == steps
    with pytest.raises(ConfigError, match=f"steps {steps + 1}: at strength 0.02"):
        studio.plan(**asked, steps=steps + 1)
    with pytest.raises(ConfigError, match="strength 0.0001: not one noise level is left"):
        studio.plan(**{**asked, "strength": 0.0001})


def test_words_alone_need_an_adapter(studio):
    plain = replace(studio, adapter=None, model=studio.plain)

    with pytest.raises(ConfigError, match="has no motion adapter"):
        plain.plan()


def test_a_model_that_redraws_needs_a_picture(studio):
    model = replace(studio.model.model, kind="instruct_pix2pix")
    redrawing = replace(studio, model=replace(studio.model, model=model))

    with pytest.raises(ConfigError, match="redraws a picture, it makes none from words"):
        redrawing.plan()
