from __future__ import annotations

import pytest

from streamgen.control_schema import controls_from
from streamgen.controls import Controls
from streamgen.errors import ConfigError
from streamgen.evaluation.settings import SETTINGS, find_settings


def controls_of(name: str, **given: object) -> Controls:
    return controls_from(SETTINGS[name].controls(given))


def test_fresh_and_fixed_remember_nothing_whatever_was_asked_for() -> None:
    for name in ("fresh", "fixed", "moving"):
        given = {"temporal_strength": 0.9, "bank_strength": 0.9, "motion_strength": 0.9}
        controls = controls_of(name, **given)
        assert not controls.uses_bank
        assert not controls.uses_adapter
        assert controls.temporal_strength == 0

    assert [controls_of(name).noise for name in ("fresh", "fixed", "moving")] == [
        "fresh",
        "fixed",
        "moving",
    ]


def test_each_setting_switches_on_what_it_is_called_after() -> None:
    on = {
        name: (controls_of(name).temporal_strength > 0, controls_of(name).uses_bank)
        for name in ("latent", "bank", "latent+bank", "latent+moving")
    }

    assert on == {
        "latent": (True, False),
        "bank": (False, True),
        "latent+bank": (True, True),
        "latent+moving": (True, False),
    }


def test_motion_modules_take_part_in_the_settings_called_after_them_alone() -> None:
    on = [name for name in SETTINGS if controls_of(name).uses_adapter]

    assert on == ["motion", "latent+motion"]
    assert controls_of("latent+motion").temporal_strength > 0
    assert controls_of("motion").temporal_strength == 0
    assert controls_of("motion", motion_strength=0.5).motion_strength == 0.5


def test_settings_of_motion_are_left_out_without_an_adapter_and_refused_by_name() -> None:
    without = find_settings((), has_adapter=False)

    assert SETTINGS.keys() - without.keys() == {"motion", "latent+motion"}
    assert find_settings(("fixed", "motion"), has_adapter=True).keys() == {"fixed", "motion"}
    with pytest.raises(ConfigError, match="'latent.motion': there is no motion adapter: add --mot"):
        find_settings(("fixed", "latent+motion"), has_adapter=False)


def test_what_was_given_says_how_far_a_setting_goes() -> None:
    assert controls_of("latent", temporal_strength=0.25).temporal_strength == 0.25
    assert controls_of("latent", strength=0.5).strength == 0.5


def test_no_setting_leaves_out_frames() -> None:
    assert {controls_of(name, similarity_filter="on").similarity_filter for name in SETTINGS} == {
        "off"
    }


def test_the_default_is_what_ships() -> None:
    assert controls_of("default") == Controls()


def test_an_unknown_setting_is_refused_with_those_there_are() -> None:
    assert list(find_settings(("fixed", "fresh"), has_adapter=False)) == ["fixed", "fresh"]
    assert find_settings((), has_adapter=True) == SETTINGS
    with pytest.raises(ConfigError, match="setting 'latnt': choose from fresh, fixed, latent"):
        find_settings(("latnt",), has_adapter=False)
