"""Everything that may change between two frames; `control_schema` describes it to the outside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from streamgen.schedule import GRID, t_index_list

Guidance = Literal["none", "full", "self", "initialize"]
Noise = Literal["fixed", "fresh", "moving"]
Carry = Literal["flow", "still"]
Blend = Literal["linear", "slerp"]
Denoising = Literal["stream", "sequential"]
Switch = Literal["off", "on"]
Share = Annotated[float, Ge(0.0), Le(1.0)]
MAX_STEPS = 8
MAX_TEXT = 2000
MAX_SEED = 2**63 - 1
MAX_WEIGHT = 10.0
MAX_SCALE = 4.0
MAX_LORAS = 8
#: Seconds that a change may take to get there.
MAX_OVER_S = 60.0


class Prompt(BaseModel):
    """A sentence and how much it counts beside the others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    text: str = Field(max_length=MAX_TEXT)
    weight: float = Field(default=1.0, ge=0.0, le=MAX_WEIGHT)


class Seed(BaseModel):
    """A number behind a noise and how much that noise counts beside the others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    number: int = Field(ge=0, le=MAX_SEED)
    weight: float = Field(default=1.0, ge=0.0, le=MAX_WEIGHT)


class LoraScale(BaseModel):
    """A LoRA by its name and how much of it: 1 as trained, 0 none, below 0 the contrary."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=MAX_TEXT)
    scale: float = Field(default=1.0, ge=-MAX_SCALE, le=MAX_SCALE)


def _items(key: str, *alone: type) -> BeforeValidator:
    """Return what takes items, plain or whole; alone: types of one that needs no list."""

    def read(value: object) -> object:
        items = [value] if isinstance(value, alone) else value
        if not isinstance(items, list | tuple):
            return items
        whole = (Mapping, BaseModel)
        return tuple(item if isinstance(item, whole) else {key: item} for item in items)

    return BeforeValidator(read)


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

    prompts: Annotated[tuple[Prompt, ...], _items("text", str, Mapping, Prompt)] = _control(
        (Prompt(text=""),), "prompt", "What to draw; several are blended by weight."
    )
    prompt_blend: Blend = _control(
        "linear", "advanced", "How several prompts are mixed: on a line, or on the sphere."
    )
    negative_prompt: Annotated[str, MaxLen(MAX_TEXT)] = _control(
        "", "prompt", "What to keep away from; needs a guidance scale above 1."
    )
    loras: Annotated[
        tuple[LoraScale, ...], _items("name", str, Mapping, LoraScale), MaxLen(MAX_LORAS)
    ] = _control((), "look", "LoRAs put into the model, by name, each with its scale.")
    strength: Share = _control(
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
    image_guidance_scale: Annotated[float, Ge(1.0), Le(20.0)] = _control(
        1.0,
        "advanced",
        "How hard to follow the picture, for models that were trained for it; 1 is plain.",
        transition="linear",
    )
    noise: Noise = _control(
        "fixed", "time", "The same noise for every frame, new noise, or noise that moves along."
    )
    temporal_strength: Share = _control(
        0.0,
        "time",
        "How much of the last picture is kept where the input has not changed; 0 is off.",
        transition="linear",
    )
    temporal_motion: Carry = _control(
        "flow", "time", "What is kept moves with the picture, or stays where it was."
    )
    cut_detection: Switch = _control(
        "on", "time", "Whether everything is forgotten where one scene ends and another begins."
    )
    colour_anchor: Share = _control(
        0.0,
        "time",
        "How firmly colours and contrast are held where they were; 0 is off.",
        transition="linear",
    )
    bank_strength: Share = _control(
        0.0,
        "time",
        "How much the model looks at what it drew before; 0 is off.",
        transition="linear",
    )
    bank_fusion: Share = _control(
        0.0,
        "time",
        "How much the model mixes in what it drew before where that is alike; 0 is off.",
        transition="linear",
    )
    bank_interval: Annotated[int, Ge(1), Le(64)] = _control(
        4, "time", "Every how many pictures the model takes one to remember."
    )
    motion_strength: Share = _control(
        0.0, "time", "How much motion modules count; 0 is off.", transition="linear"
    )
    reuse: Switch = _control(
        "off", "time", "Whether parts of the picture that have not changed are left as drawn."
    )
    seed: Annotated[int, Ge(0), Le(MAX_SEED)] = _control(0, "look", "Number behind the noise.")
    seeds: Annotated[tuple[Seed, ...], _items("number")] | None = _control(
        None, "advanced", "Several noises blended by weight, in place of the seed."
    )
    denoising: Denoising = _control(
        "stream",
        "speed",
        "stream: one call of the model a frame, steps - 1 frames late; sequential: no delay.",
    )
    similarity_filter: Switch = _control(
        "off", "still", "Whether frames that look like the last one drawn are skipped."
    )
    similarity_threshold: Annotated[float, Ge(0.0), Le(1.0)] = _control(
        0.98, "still", "How alike two frames are, in their least alike part, to be the same."
    )
    max_skip_frame: Annotated[int, Ge(1), Le(100_000)] = _control(
        10, "still", "Frames skipped in a row before one is drawn all the same."
    )

    @model_validator(mode="after")
    def _check(self) -> Controls:
        if self.t_index_list is not None:
            self._check_t_index_list(self.t_index_list)
        if not self.prompts or sum(prompt.weight for prompt in self.prompts) <= 0:
            raise ValueError("prompts: give at least one with a weight above 0")
        names = [lora.name for lora in self.loras]
        if len(set(names)) < len(names):
            raise ValueError(f"loras {names}: give each of them once")
        if self.seeds is not None and sum(seed.weight for seed in self.seeds) <= 0:
            raise ValueError("seeds: give at least one with a weight above 0")
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
    def noises(self) -> tuple[Seed, ...]:
        """Return the seeds that are blended, each once; one where `seeds` is not given."""
        weights: dict[int, float] = {}
        for seed in self.seeds or (Seed(number=self.seed),):
            weights[seed.number] = weights.get(seed.number, 0.0) + seed.weight
        # Built without the limits: those are on what was given, not on its sum.
        return tuple(
            Seed.model_construct(number=number, weight=weight)
            for number, weight in weights.items()
            if weight > 0
        )

    @property
    def is_guided(self) -> bool:
        """Whether a negative takes part at all; at scale 1 guidance is the identity."""
        if self.guidance == "none":
            return False
        return self.guides_by_image or not math.isclose(self.guidance_scale, 1.0)

    @property
    def guides_by_image(self) -> bool:
        """Whether the model is also asked without its picture."""
        return not math.isclose(self.image_guidance_scale, 1.0)

    @property
    def uses_bank(self) -> bool:
        """Whether the model is shown features of pictures that it drew before."""
        return self.bank_strength > 0 or self.bank_fusion > 0

    @property
    def uses_adapter(self) -> bool:
        """Whether motion modules take part, which look back at the frames before."""
        return self.motion_strength > 0

    @property
    def uses_motion(self) -> bool:
        """Whether a frame is compared with the last one drawn: for all that is kept between two."""
        keeps = self.temporal_strength > 0 or self.colour_anchor > 0 or self.uses_bank
        return keeps or self.uses_adapter or self.noise == "moving"
