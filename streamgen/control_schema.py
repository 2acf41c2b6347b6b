"""The one description of the controls, and the one way from plain data to them.

`schema` is what the command line, and later the page, REST, OSC and MIDI, are made from.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from streamgen.controls import MAX_LORAS, MAX_SCALE, MAX_SEED, MAX_TEXT, Controls
from streamgen.errors import ConfigError
from streamgen.schedule import GRID, strength_and_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSpec:
    """One control as data: what a flag, a slider or an OSC address needs to know."""

    name: str
    kind: Literal["number", "integer", "choice", "text", "prompts", "seeds", "integers", "loras"]
    group: str
    unit: str
    default: Any  # as many types as kinds
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    help: str
    transition: str

    @property
    def allowed(self) -> str:
        """Say in words what may be given."""
        if self.choices:
            return "choose " + ", ".join(self.choices)
        if self.minimum is None:
            return {
                "integers": f"rising whole numbers from 0 to {GRID - 1}",
                "loras": f"give at most {MAX_LORAS}, each by its name or as {{name, scale}}, scales"
                f" from {-MAX_SCALE:g} to {MAX_SCALE:g}",
                "seeds": f"give whole numbers from 0 to {MAX_SEED}, weights from 0 to 10",
            }.get(self.kind, f"give a text of at most {MAX_TEXT} characters")
        number = "a whole number" if self.kind == "integer" else "a number"
        return f"give {number} from {self.minimum:g} to {self.maximum:g}"


def schema(defaults: Mapping[str, object] | None = None) -> tuple[ControlSpec, ...]:
    """Describe every control; `defaults` are those of a model (`ModelRow.controls`)."""
    properties = Controls.model_json_schema()["properties"]
    chosen = Controls(**dict(defaults or {}))  # type: ignore[arg-type]  # checked by pydantic
    return tuple(_spec(name, properties[name], getattr(chosen, name)) for name in properties)


def _spec(name: str, described: Mapping[str, Any], default: object) -> ControlSpec:
    choices = tuple(described.get("enum", ()))
    kinds = {
        "prompts": "prompts",
        "t_index_list": "integers",
        "seeds": "seeds",
        "loras": "loras",
    }
    by_type = {"number": "number", "integer": "integer", "string": "choice" if choices else "text"}
    return ControlSpec(
        name=name,
        kind=kinds.get(name) or by_type[described["type"]],  # type: ignore[arg-type]
        group=described["group"],
        unit=described["unit"],
        default=default,
        minimum=described.get("minimum"),
        maximum=described.get("maximum"),
        choices=choices,
        help=described["description"],
        transition=described["transition"],
    )


def controls_from(
    given: Mapping[str, object], *, defaults: Mapping[str, object] | None = None
) -> Controls:
    """Validate plain data that somebody gave over defaults that nobody gave.

    Levels by number and levels by strength exclude each other, as do one seed and several: giving
    both is an error, and what is given rules over a default of the other kind; of strength and
    steps, the one that is not given is that of the default's levels. Raises ConfigError with a
    sentence that names the value and what is allowed.
    """
    before = dict(defaults or {})
    chosen = {
        **_undone(given, "t_index_list", ("strength", "steps")),
        **_undone(given, "seeds", ("seed",)),
        **given,
    }
    if "t_index_list" in chosen and chosen["t_index_list"] is None and before.get("t_index_list"):
        before["strength"], before["steps"] = strength_and_steps(before["t_index_list"])  # type: ignore[arg-type]  # validated before it became a default
    try:
        return Controls(**{**before, **chosen})  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from error


def given_again(controls: Mapping[str, object]) -> dict[str, object]:
    """Return a whole set of controls as `controls_from` takes it: of two kinds the one in force."""
    without: set[str] = set()
    if controls.get("t_index_list") is not None:
        without |= {"strength", "steps"}
    if controls.get("seeds") is not None:
        without |= {"seed"}
    return {name: value for name, value in controls.items() if name not in without}


def _undone(given: Mapping[str, object], special: str, plain: tuple[str, ...]) -> dict[str, None]:
    """Return the special control set to None where a plain one that it stands for was given."""
    named = [name for name in plain if name in given]
    if named and given.get(special) is not None:
        raise ConfigError(f"{special} and {named[0]}: give one of them, not both")
    return {special: None} if named else {}


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        return str(first["ctx"]["error"]) if "ctx" in first else str(first["msg"])
    name = str(first["loc"][0])
    known = {spec.name: spec for spec in schema()}
    if name not in known:
        return f"control {name!r}: choose {', '.join(known)}"
    value = reprlib.repr(first["input"])
    spec, part = known[name], first["loc"][-1]
    if spec.kind == "loras" and isinstance(part, str) and part != name:
        name = f"{name}: {part}"
    if spec.kind != "prompts":
        return f"{name} {value}: {spec.allowed}"
    part = part if isinstance(part, str) else "prompt"
    return f"{part} {value}: a prompt has a text of at most {MAX_TEXT} characters, weight 0 to 10"
