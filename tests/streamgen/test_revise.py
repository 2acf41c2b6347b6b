from __future__ import annotations

from dataclasses import replace

import pytest

from streamgen.control_schema import controls_from
from streamgen.errors import ConfigError
from streamgen.pipeline import Pipeline
from streamgen.revise import Abilities


@pytest.mark.parametrize(
    ("abilities", "asked", "sentence"),
    [
        ((False, False), {}, "image_guidance_scale 1.5: this model does not read the picture"),
        ((True, False), {}, "was never trained with its picture left out: give 1"),
        ((True, True), {"guidance": "self"}, "at every step: give guidance full"),
    ],
)
def test_image_guidance_is_refused_with_a_reason(small_engines, abilities, asked, sentence):
    engines = small_engines()
    engines.abilities = Abilities(reads_picture=abilities[0], works_blind=abilities[1])
    controls = controls_from({"image_guidance_scale": 1.5, "guidance_scale": 2.0, **asked})
    with pytest.raises(ConfigError, match=sentence):
        Pipeline(engines).open_stream("one", controls)


def test_motion_is_refused_without_an_adapter(small_engines):
    engines = small_engines()
    controls = controls_from({"motion_strength": 0.5})
    with pytest.raises(
        ConfigError,
        match="^motion_strength 0.5: no motion adapter is loaded: start with --motion$",
    ):
        Pipeline(engines).open_stream("one", controls)
    engines.abilities = replace(engines.abilities, has_motion=True)
    assert Pipeline(engines).open_stream("one", controls).revision.controls == controls


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"strength": 0.9}, "strength: without a picture, all of it is drawn: give strength 1"),
        ({"t_index_list": [3]}, "t_index_list: without a picture, .* start t_index_list at 0"),
        ({"strength": 1, "guidance": "self", "guidance_scale": 2}, "its negative is the picture"),
    ],
)
def test_words_alone_refuse_what_needs_a_picture(small_engines, asked, sentence):
    pipeline = Pipeline(small_engines(reads_picture=False))
    with pytest.raises(ConfigError, match=sentence):
        pipeline.open_stream("one", controls_from(asked), has_picture=False)


def test_a_model_that_redraws_pictures_refuses_words_alone(small_engines):
    pipeline = Pipeline(small_engines())
    with pytest.raises(ConfigError, match="words alone: this model redraws a picture"):
        pipeline.open_stream("one", controls_from({"strength": 1}), has_picture=False)


def test_a_stream_takes_what_it_was_opened_for(small_engines, numbered_frame):
    pipeline = Pipeline(small_engines(reads_picture=False))
    stream = pipeline.open_stream("one", controls_from({"strength": 1}), has_picture=False)
    with pytest.raises(ValueError, match="takes a Blank, got Frame"):
        pipeline.tick([stream], [numbered_frame(0)], 0)
