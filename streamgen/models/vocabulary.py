"""What a model says that it understands, read from a file beside its weights; knows no networks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from streamgen.errors import ModelError
from streamgen.models.registry import ModelRow

FILE = "understands.json"


def _one_line(text: str) -> str:
    """Refuse what would break a line or steer a terminal."""
    if not text.isprintable():
        raise ValueError("text of one line, without control characters")
    return text


Line = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_one_line)]
#: Relative to the model's folder, and in no other one.
Thumbnail = Annotated[str, Field(pattern=r"^thumbnails/[a-z0-9-]+\.webp$")]
Steered = Literal["strength", "steps", "guidance_scale"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Word(_Data):
    """A word of a prompt, and others that mean the same."""

    name: Line
    synonyms: tuple[Line, ...]


class StyleWord(Word):
    """A style; beyond_colour_table: it needs drawing, no exchange of colours can imitate it."""

    description: Line
    beyond_colour_table: bool
    thumbnail: Thumbnail


class Range(_Data):
    """Between which values a control does something useful."""

    low: float
    high: float
    about: Line

    @model_validator(mode="after")
    def _check(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g}: at most high {self.high:g}")
        return self


class Vocabulary(_Data):
    """Everything that a page needs to offer a model's styles.

    original: thumbnail of the picture that those of the styles are drawn from.
    sizes: sides in pixels between which the model is good.
    """

    model: Line
    styles: tuple[StyleWord, ...] = Field(min_length=1)
    palettes: tuple[Word, ...]
    lights: tuple[Word, ...]
    combining: Line
    examples: tuple[Line, ...]
    empty_prompt: Line
    useful: dict[Steered, Range]
    sizes: Range
    original: Thumbnail

    def as_json(self) -> str:
        """Return the text of the file."""
        return self.model_dump_json(indent=2) + "\n"


def read_vocabulary(row: ModelRow) -> Vocabulary:
    """Return what a model understands; raise ModelError where nothing, or nonsense, is known."""
    unknown = f"model {row.name!r}: nothing is known about what it understands"
    if isinstance(row.location, str):
        raise ModelError(f"{unknown}: try prompts, its own card may help")
    path = row.location / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ModelError(f"{unknown}: its folder has no {FILE}") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"'{path}' cannot be read: {error}") from error
    try:
        return Vocabulary.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ModelError(f"'{path}' is not as it should be: {place}: {first['msg']}") from error
