import pytest

from streamgen.control_schema import controls_from
from streamgen.temporal.likeness import likeness
from streamgen.transitions import between

INK = controls_from({"prompts": "ink", "negative_prompt": "mud"})


@pytest.mark.parametrize(
    "other",
    [
        {"prompts": "oil"},
        {"seed": 5},
        {"steps": 2},
        {"guidance": "self"},
        {"negative_prompt": "rain"},
        {"noise": "fresh"},
        {"strength": 0.2},
        {"guidance_scale": 6.0},
    ],
)
def test_another_picture_is_not_alike(other):
    asked = {"prompts": "ink", "negative_prompt": "mud", **other}
    assert likeness(INK, controls_from(asked)) == 0.0


def test_what_the_picture_is_not_made_of_changes_nothing():
    asked = {
        "prompts": "ink",
        "negative_prompt": "mud",
        "temporal_strength": 0.5,
        "max_skip_frame": 3,
    }
    assert likeness(INK, controls_from(asked)) == 1.0


def test_steps_of_a_fade_are_nearly_alike_and_small_ones_more_so():
    end = controls_from({"prompts": "oil", "negative_prompt": "mud", "seed": 3})
    fine = likeness(between(INK, end, 0.50), between(INK, end, 0.52))
    coarse = likeness(between(INK, end, 0.50), between(INK, end, 0.70))

    assert fine == pytest.approx(0.98, abs=0.01)
    assert 0 < coarse < 0.8
