"""Everything that may change between two frames, and the one description of it.

`schema` is what the command line, and later the page, REST, OSC and MIDI, are made from.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from streamgen.errors import ConfigError
from streamgen.schedule import GRID, t_index_list

Guidance = Literal["none", "full", "self", "initialize"]
Noise = Literal["fixed", "fresh"]
MAX_STEPS = 8
MAX_TEXT = 2000
MAX_SEED = 2**63 - 1


class Prompt(BaseModel):
    """A sentence and how much it counts beside the others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    text: str = Field(max_length=MAX_TEXT)
    weight: float = Field(default=1.0, ge=0.0, le=10.0)


def _as_prompts(value: object) -> object:
    """Take one sentence, or a list of sentences and prompts."""
    items = [value] if isinstance(value, str | Prompt | Mapping) else value
    if not isinstance(items, list | tuple):
        return items
    return tuple({"text": item} if isinstance(item, str) else item for item in items)


def _control(
    default: object, group: str, help: str, *, unit: str = "", transition: str = "step"
) -> Any:  # pydantic's Field is Any as well
    extra = {"group": group, "unit": unit, "transition": transition}
    return Field(default=default, description=help, json_schema_extra=dict(extra))


class Controls(BaseModel):
    """One snapshot of the controls; a frame is drawn with exactly one.

    `strength` and `steps` choose the noise levels, unless `t_index_list` names them. Raises
    pydantic's ValidationError; `controls_from` turns it into one sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompts: Annotated[tuple[Prompt, ...], BeforeValidator(_as_prompts)] = _control(
        (Prompt(text=""),), "prompt", "What to draw; several are blended by weight."
    )
    negative_prompt: Annotated[str, MaxLen(MAX_TEXT)] = _control(
        "", "prompt", "What to keep away from; needs a guidance scale above 1."
    )
    strength: Annotated[float, Ge(0.0), Le(1.0)] = _control(
        0.8, "look", "0 leaves the picture, 1 redraws it freely.", transition="linear"
    )
    steps: Annotated[int, Ge(1), Le(MAX_STEPS)] = _control(
        1, "speed", "Denoising steps per picture: more is finer and slower."
    )
    t_index_list: tuple[Annotated[int, Ge(0), Le(GRID - 1)], ...] | None = _control(
        None, "advanced", "Noise levels by number, rising, in place of strength and steps."
    )
    guidance: Guidance = _control(
        "full", "advanced", "How the negative is found: no pass, one a step, virtual, one in all."
    )
    guidance_scale: Annotated[float, Ge(0.0), Le(20.0)] = _control(
        1.0, "look", "How hard to follow the prompt; 1 is plain.", transition="linear"
    )
    delta: Annotated[float, Ge(0.0), Le(2.0)] = _control(
        1.0, "advanced", "Strength of the virtual negative.", transition="linear"
    )
    noise: Noise = _control("fixed", "time", "The same noise for every frame, or new noise.")
    seed: Annotated[int, Ge(0), Le(MAX_SEED)] = _control(0, "look", "Number behind the noise.")

    @model_validator(mode="after")
    def _check(self) -> Controls:
        if self.t_index_list is not None:
            self._check_t_index_list(self.t_index_list)
        if not self.prompts or sum(prompt.weight for prompt in self.prompts) <= 0:
            raise ValueError("prompts: give at least one with a weight above 0")
        return self

    def _check_t_index_list(self, indices: tuple[int, ...]) -> None:
        rising = all(a < b for a, b in zip(indices, indices[1:], strict=False))
        if not indices or len(indices) > MAX_STEPS or not rising:
            raise ValueError(
                f"t_index_list {list(indices)}: give 1 to {MAX_STEPS} rising whole numbers"
            )

    @property
    def indices(self) -> tuple[int, ...]:
        """Numbers of the noise levels, noisiest first; none at strength 0."""
        if self.t_index_list is not None:
            return self.t_index_list
        return t_index_list(self.strength, self.steps)

    @property
    def is_guided(self) -> bool:
        """Whether a negative takes part at all; at scale 1 guidance is the identity."""
        return self.guidance != "none" and not math.isclose(self.guidance_scale, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSpec:
    """One control as data: what a flag, a slider or an OSC address needs to know."""

    name: str
    kind: Literal["number", "integer", "choice", "text", "prompts", "integers"]
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
            return {"integers": f"rising whole numbers from 0 to {GRID - 1}"}.get(
                self.kind, f"give a text of at most {MAX_TEXT} characters"
            )
        number = "a whole number" if self.kind == "integer" else "a number"
        return f"give {number} from {self.minimum:g} to {self.maximum:g}"


def schema(defaults: Mapping[str, object] | None = None) -> tuple[ControlSpec, ...]:
    """Describe every control; `defaults` are those of a model (`ModelRow.controls`)."""
    properties = Controls.model_json_schema()["properties"]
    chosen = Controls(**dict(defaults or {}))  # type: ignore[arg-type]  # checked by pydantic
    return tuple(_spec(name, properties[name], getattr(chosen, name)) for name in properties)


def _spec(name: str, described: Mapping[str, Any], default: object) -> ControlSpec:
    choices = tuple(described.get("enum", ()))
    kinds = {"prompts": "prompts", "t_index_list": "integers"}
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

    Levels by number and levels by strength exclude each other: giving both is an error, and what
    is given rules over a default of the other kind. Raises ConfigError with a sentence that names
    the value and what is allowed.
    """
    by_strength = [name for name in ("strength", "steps") if name in given]
    if by_strength and given.get("t_index_list") is not None:
        raise ConfigError(f"t_index_list and {by_strength[0]}: give one of them, not both")
    numbers = {"t_index_list": None} if by_strength else {}
    try:
        return Controls(**{**dict(defaults or {}), **numbers, **given})  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from error


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        return str(first["ctx"]["error"]) if "ctx" in first else str(first["msg"])
    name = str(first["loc"][0])
    known = {spec.name: spec for spec in schema()}
    if name not in known:
        return f"control {name!r}: choose {', '.join(known)}"
    value = reprlib.repr(first["input"])
    if known[name].kind != "prompts":
        return f"{name} {value}: {known[name].allowed}"
    part = first["loc"][-1] if isinstance(first["loc"][-1], str) else "prompt"
    return f"{part} {value}: a prompt has a text of at most {MAX_TEXT} characters, weight 0 to 10"
