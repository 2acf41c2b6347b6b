from __future__ import annotations

import pytest

from streamgen.cli.effects import check_effects
from streamgen.control_schema import controls_from
from streamgen.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ({"negative_prompt": "fog"}, "add --guidance-scale 1.5"),
        (
            {"negative_prompt": "fog", "guidance": "none"},
            "--guidance full or initialize and --guid",
        ),
        (
            {"negative_prompt": "fog", "guidance": "self", "guidance_scale": 2},
            "add --guidance full or initialize",
        ),
        ({"delta": 0.5, "guidance_scale": 2}, "add --guidance self or initialize"),
        ({"delta": 0.5, "guidance": "self"}, "add --guidance-scale 1.5"),
        ({"guidance": "self"}, "add --guidance-scale 1.5"),
        ({"guidance": "none", "guidance_scale": 2}, "add --guidance full or self or initialize"),
        ({"steps": 4, "strength": 0.04}, "give 1 to 2, or more strength"),
        ({"similarity_threshold": 0.9}, "add --similarity-filter on"),
        ({"max_skip_frame": 5}, "add --similarity-filter on"),
        ({"prompt_blend": "slerp"}, "add another --prompt"),
        ({"image_guidance_scale": 1.5, "guidance": "none"}, "add --guidance full"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused_with_the_fix(given, fix):
    with pytest.raises(ConfigError, match=fix):
        check_effects(given, controls_from(given))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"negative_prompt": ""},
        {"guidance": "none"},
        {"guidance_scale": 1.0},
        {"negative_prompt": "fog", "guidance_scale": 0.5},
        {"negative_prompt": "fog", "guidance": "initialize", "guidance_scale": 2, "delta": 0.5},
        {"guidance": "self", "guidance_scale": 2, "delta": 0.5},
        {"steps": 8},
        {"similarity_filter": "on", "max_skip_frame": 5},
        {"prompt_blend": "slerp", "prompts": ["a", "b"]},
        {"steps": 2, "strength": 0},
    ],
)
def test_options_that_count_pass(given):
    check_effects(given, controls_from(given))
