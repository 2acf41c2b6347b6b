"""The protocol of the data channels: what a page may say, how much of it, and what it is told.

JSON text, one object a message. `control` is ordered and reliable and takes every kind; `live`
loses and reorders, takes patches alone and answers only what it refuses.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NoReturn  # Any: controls as plain data

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from server.limits import Bucket, Rate, check_plain
from server.nouns import Output, SessionError
from streamgen.controls import MAX_OVER_S

CONTROL, LIVE = "control", "live"
MAX_BYTES = 16 * 1024
MESSAGES = Rate(per_minute=3600, burst=120)
#: Messages that may be wrong, before the peer is closed.
WRONG = Rate(per_minute=10, burst=10)
MAX_NESTING = 8

Number = Annotated[int, Field(ge=0, lt=2**53)]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class PatchMessage(_Said):
    """Change controls, as `SessionPatch` does."""

    type: Literal["patch"]
    id: Number = 0
    changes: dict[str, Any]
    over_s: float = Field(default=0.0, ge=0.0, le=MAX_OVER_S)
    sequence: Number | None = None


class OutputMessage(_Said):
    """Show something else."""

    type: Literal["output"]
    id: Number = 0
    mode: Output


class SizeMessage(_Said):
    """Draw pictures of another size."""

    type: Literal["size"]
    id: Number = 0
    width: Annotated[int, Field(ge=1, le=8192)]
    height: Annotated[int, Field(ge=1, le=8192)]


class PingMessage(_Said):
    """The heartbeat; t comes back."""

    type: Literal["ping"]
    t: float


class ByeMessage(_Said):
    """The visitor goes."""

    type: Literal["bye"]


Message = PatchMessage | OutputMessage | SizeMessage | PingMessage | ByeMessage
_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


class BadMessage(SessionError):
    """A message that cannot be used; id: of the message, 0 where it has none."""

    def __init__(self, says: str, number: int = 0) -> None:
        super().__init__(says)
        self.id = number


class TooManyBad(SessionError):
    """A peer sends what cannot be used, again and again."""


class Reader:
    """Reads the messages of one peer, and loses patience with one that floods or babbles."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._messages = Bucket(MESSAGES, clock())
        self._wrong = Bucket(WRONG, clock())

    def read(self, label: str, data: str | bytes) -> Message:
        """Return what was said; BadMessage, or TooManyBad where it is time to close."""
        try:
            if not self._messages.take(self._clock()):
                raise BadMessage("too many messages: send 60 a second at most")
            return read(label, data)
        except BadMessage as error:
            if not self._wrong.take(self._clock()):
                raise TooManyBad("too many messages that cannot be used") from error
            raise


def read(label: str, data: str | bytes) -> Message:
    """Return what a message says; BadMessage where it cannot be used."""
    if not isinstance(data, str):
        raise BadMessage("send JSON as text")
    if len(data) > MAX_BYTES or len(data.encode(errors="replace")) > MAX_BYTES:
        raise BadMessage(f"the message is too large: {MAX_BYTES} bytes are allowed")
    try:
        said = json.loads(data, parse_constant=_no_number, parse_float=_finite)
        check_plain(said, MAX_NESTING)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"this is no JSON that can be used: {error}"[:200]) from error
    number = said.get("id") if isinstance(said, dict) else None
    number = number if isinstance(number, int) and 0 <= number < 2**53 else 0
    try:
        message = _MESSAGE.validate_python(said)
    except ValidationError as error:
        raise BadMessage(_sentence(error), number) from error
    if label == LIVE and not isinstance(message, PatchMessage):
        raise BadMessage(f"{message.type}: this channel takes patches alone", number)
    return message


def patched(number: int, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a patch; answer: of the desk."""
    told = {key: answer[key] for key in ("revision", "controls")}
    return {"type": "patched", "id": number, "stale": answer["is_stale"], **told}


def refused(number: int, says: str) -> dict[str, Any]:
    return {"type": "refused", "id": number, "says": says}


def notice(level: Literal["info", "warning", "error"], says: str, *, key: str) -> dict[str, Any]:
    return {"type": "notice", "level": level, "says": says, "key": key}


def closed(says: str) -> dict[str, Any]:
    return {"type": "closed", "says": says}


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    known = "patch, output, size, ping, bye"
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"type: choose {known}"
    # The first part is the kind of message; names that nobody knows may be of any length.
    where = ".".join(str(part) for part in first["loc"][1:])[:60] or "message"
    if first["type"] == "extra_forbidden":
        return f"{where}: this field is not known"
    return f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}"
