"""Options that would be accepted and ignored: they are errors that say what to add instead."""

from __future__ import annotations

import math
from collections.abc import Mapping

from streamgen.cli.options import flag
from streamgen.controls import Controls
from streamgen.errors import ConfigError

# The guidance modes in which a control does anything; all of them need a scale that is not 1.
_MODES: Mapping[str, tuple[str, ...]] = {
    "negative_prompt": ("full", "initialize"),
    "delta": ("self", "initialize"),
    "guidance": ("full", "self", "initialize"),
    "guidance_scale": ("full", "self", "initialize"),
    "image_guidance_scale": ("full",),
}


def check_effects(given: Mapping[str, object], controls: Controls) -> None:
    """Raise ConfigError for a control that was given and that the others make idle."""
    for name, modes in _MODES.items():
        if name in given and not _asks_for_nothing(name, controls):
            _check_guidance(name, modes, controls)
    for name in ("similarity_threshold", "max_skip_frame"):
        if name in given and controls.similarity_filter == "off":
            raise ConfigError(f"{flag(name)} has no effect: add --similarity-filter on")
    if "prompt_blend" in given and len(controls.prompts) == 1:
        raise ConfigError("--prompt-blend has no effect with one prompt: add another --prompt")
    levels = len(controls.indices)
    if "steps" in given and 0 < levels < controls.steps:
        raise ConfigError(
            f"--steps {controls.steps}: at --strength {controls.strength:g} there are {levels}"
            f" noise levels: give 1 to {levels}, or more strength"
        )


def _asks_for_nothing(name: str, controls: Controls) -> bool:
    return {
        "negative_prompt": not controls.negative_prompt,
        "guidance": controls.guidance == "none",
        "guidance_scale": math.isclose(controls.guidance_scale, 1),
        "image_guidance_scale": not controls.guides_by_image,
    }.get(name, False)


def _check_guidance(name: str, modes: tuple[str, ...], controls: Controls) -> None:
    fixes = []
    if controls.guidance not in modes:
        fixes.append(f"--guidance {' or '.join(modes)}")
    if math.isclose(controls.guidance_scale, 1) and not controls.guides_by_image:
        fixes.append("--guidance-scale 1.5 or another that is not 1")
    if fixes:
        raise ConfigError(
            f"{flag(name)} has no effect with --guidance {controls.guidance} and"
            f" --guidance-scale {controls.guidance_scale:g}: add {' and '.join(fixes)}"
        )
