"""The settings that an ablation compares: what of the temporal memory each of them uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamgen.controls import Noise
from streamgen.errors import ConfigError

#: No memory of any kind, and no frame left out.
OFF: Mapping[str, object] = {
    "similarity_filter": "off",
    "temporal_strength": 0.0,
    "colour_anchor": 0.0,
    "bank_strength": 0.0,
    "bank_fusion": 0.0,
    "motion_strength": 0.0,
    "reuse": "off",
}
_LATENT: Mapping[str, object] = {"temporal_strength": 0.6}
_BANK: Mapping[str, object] = {"bank_strength": 0.5, "bank_fusion": 0.5}
_MOTION: Mapping[str, object] = {"motion_strength": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """noise: None for what was given. uses: what it switches on, and how far unless told."""

    noise: Noise | None
    uses: Mapping[str, object] = field(default_factory=dict)

    @property
    def needs_adapter(self) -> bool:
        """Whether it is a setting of motion modules."""
        return "motion_strength" in self.uses

    def controls(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return the controls of this setting, the others as given."""
        noise = {} if self.noise is None else {"noise": self.noise}
        uses = {name: given.get(name, value) for name, value in self.uses.items()}
        return {**given, **OFF, **noise, **uses}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped(Setting):
    """What one gets without asking for anything, but that no frame is left out."""

    noise: Noise | None = None

    def controls(self, given: Mapping[str, object]) -> dict[str, object]:
        return {**given, "similarity_filter": "off"}


SETTINGS: Mapping[str, Setting] = {
    "fresh": Setting(noise="fresh"),
    "fixed": Setting(noise="fixed"),
    "latent": Setting(noise="fixed", uses=_LATENT),
    "bank": Setting(noise="fixed", uses=_BANK),
    "latent+bank": Setting(noise="fixed", uses={**_LATENT, **_BANK}),
    "moving": Setting(noise="moving"),
    "latent+moving": Setting(noise="moving", uses=_LATENT),
    "motion": Setting(noise="fixed", uses=_MOTION),
    "latent+motion": Setting(noise="fixed", uses={**_LATENT, **_MOTION}),
    "default": Shipped(),
}


def find_settings(names: tuple[str, ...], *, has_adapter: bool) -> dict[str, Setting]:
    """Return the named settings, or all that can be drawn with; ConfigError for others.

    has_adapter: whether a motion adapter is loaded with the model.
    """
    for name in names:
        if name not in SETTINGS:
            raise ConfigError(f"setting {name!r}: choose from {', '.join(SETTINGS)}")
        if SETTINGS[name].needs_adapter and not has_adapter:
            raise ConfigError(f"setting {name!r}: there is no motion adapter: add --motion NAME")
    possible = [name for name in SETTINGS if has_adapter or not SETTINGS[name].needs_adapter]
    return {name: SETTINGS[name] for name in names or possible}
