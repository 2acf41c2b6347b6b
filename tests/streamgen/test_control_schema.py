import math

import pytest

from streamgen.control_schema import controls_from, given_again, schema
from streamgen.controls import Controls
from streamgen.errors import ConfigError


def test_one_sentence_is_one_prompt_of_weight_one():
    prompts = controls_from({"prompts": "watercolor"}).prompts
    assert [(prompt.text, prompt.weight) for prompt in prompts] == [("watercolor", 1.0)]


def test_sentences_and_weights_may_be_mixed():
    prompts = controls_from({"prompts": ["a", {"text": "b", "weight": 0.5}]}).prompts
    assert [(prompt.text, prompt.weight) for prompt in prompts] == [("a", 1.0), ("b", 0.5)]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"strength": math.nan}, "strength nan: give a number from 0 to 1"),
        ({"strength": 1.5}, "strength 1.5: give a number from 0 to 1"),
        ({"guidance_scale": math.inf}, "guidance_scale inf: give a number from 0 to 20"),
        ({"steps": 0}, "steps 0: give a whole number from 1 to 8"),
        ({"guidance": "ful"}, "guidance 'ful': choose none, full, self, initialize"),
        ({"noise": "old"}, "noise 'old': choose fixed, fresh, moving"),
        ({"temporal_strength": 1.1}, "temporal_strength 1.1: give a number from 0 to 1"),
        ({"temporal_motion": "on"}, "temporal_motion 'on': choose flow, still"),
        ({"cut_detection": True}, "cut_detection True: choose off, on"),
        ({"bank_interval": 0}, "bank_interval 0: give a whole number from 1 to 64"),
        ({"t_index_list": [3, 2]}, r"t_index_list \[3, 2\]: give 1 to 8 rising whole numbers"),
        ({"t_index_list": [1], "steps": 2}, "t_index_list and steps: give one of them, not both"),
        ({"prompts": "x" * 2001}, "text 'x.*': a prompt has a text of at most 2000 characters"),
        ({"prompts": [{"text": "a", "weight": 11}]}, "weight 11: a prompt has a text of .*0 to 10"),
        ({"negative_prompt": 5}, "negative_prompt 5: give a text of at most 2000 characters"),
        ({"prompts": []}, "prompts: give at least one with a weight above 0"),
        ({"loras": 5}, "loras 5: give at most 8, each by its name or as {name, scale}, scales"),
        ({"loras": ["a"] * 9}, "loras .*: give at most 8, each by its name"),
        ({"loras": ["a", "a"]}, "loras .'a', 'a'.: give each of them once"),
        ({"loras": [{"name": "a", "scale": math.nan}]}, "loras: scale nan: .* from -4 to 4"),
        ({"loras": [{"name": "a", "weight": 2}]}, "loras: weight 2: .*as {name, scale}"),
        ({"loras": [{"name": ""}]}, "loras: name '': give at most 8, each by its name"),
        ({"seeds": []}, "seeds: give at least one with a weight above 0"),
        ({"seeds": [-1]}, "seeds -1: give whole numbers from 0 to 9.*, weights from 0 to 10"),
        ({"seed": 1, "seeds": [2]}, "seeds and seed: give one of them, not both"),
        ({"image_guidance_scale": 0.5}, "image_guidance_scale 0.5: give a number from 1 to 20"),
        ({"stength": 1}, "control 'stength': choose prompts, prompt_blend, negative_prompt"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(values, sentence):
    with pytest.raises(ConfigError, match=f"^{sentence}"):
        controls_from(values)


def test_guidance_at_scale_one_is_no_guidance():
    assert not controls_from({"guidance": "full", "guidance_scale": 1.0}).is_guided
    assert not controls_from({"guidance": "none", "guidance_scale": 3.0}).is_guided
    assert controls_from({"guidance": "self", "guidance_scale": 1.2}).is_guided


@pytest.mark.parametrize(
    ("asked", "is_compared"),
    [
        ({}, False),
        ({"cut_detection": "on", "reuse": "on"}, False),
        ({"temporal_strength": 0.1}, True),
        ({"colour_anchor": 0.1}, True),
        ({"bank_fusion": 0.1}, True),
        ({"motion_strength": 0.1}, True),
        ({"noise": "moving"}, True),
    ],
)
def test_frames_are_compared_where_something_is_kept_between_them(asked, is_compared):
    assert controls_from(asked).uses_motion is is_compared


def test_indices_come_from_strength_and_steps_or_are_given():
    assert controls_from({"strength": 0.5, "steps": 2}).indices == (25, 37)
    assert controls_from({"t_index_list": [32, 45]}).indices == (32, 45)


def test_schema_describes_every_field_once_with_its_default():
    described = schema()
    assert [spec.name for spec in described] == list(Controls.model_fields)
    assert all(spec.help and spec.group for spec in described)
    assert {spec.name: spec.default for spec in described}["strength"] == Controls().strength


def test_schema_takes_the_defaults_of_a_model():
    described = {spec.name: spec for spec in schema({"strength": 0.5, "prompts": "x"})}
    assert described["strength"].default == 0.5
    assert described["prompts"].default[0].text == "x"


def test_given_levels_rule_over_defaults_of_the_other_kind():
    assert controls_from({"t_index_list": [3]}, defaults={"strength": 0.5}).indices == (3,)
    assert controls_from({"strength": 0.5}, defaults={"t_index_list": [3]}).indices == (25,)
    both = {"t_index_list": [10, 30, 40]}
    assert controls_from({"strength": 0.5}, defaults=both).indices == (25, 33, 41)
    assert controls_from({"steps": 2}, defaults=both).indices == (10, 30)
    assert controls_from({"seed": 4}, defaults={"seeds": [1, 2]}).noises[0].number == 4


@pytest.mark.parametrize("values", [{}, {"t_index_list": [1, 2]}, {"steps": 3, "prompts": ["a"]}])
def test_controls_survive_being_plain_data(values):
    controls = controls_from(values)
    assert Controls.model_validate(controls.model_dump(mode="json")) == controls


def test_a_whole_set_of_controls_can_be_given_again():
    given = {"t_index_list": [5, 20], "seeds": [3, 4]}
    whole = controls_from(given).model_dump(mode="json")
    assert controls_from(given_again(whole)) == controls_from(given)
    plain = controls_from({"strength": 0.3, "steps": 2, "seed": 7}).model_dump(mode="json")
    assert given_again(plain) == plain
