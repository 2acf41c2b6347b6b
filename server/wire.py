"""What goes over HTTP as JSON, field by field; the description of the interface is made of this.

Unknown fields, NaN and infinities are refused. Knows no routes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal  # Any: a control's default, as many types as kinds

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from server.limits import MAX_BODY_BYTES, check_plain
from server.nouns import Output, State
from streamgen.controls import MAX_OVER_S
from streamgen.models.vocabulary import Vocabulary

MAX_NESTING = 6


class Wire(BaseModel):
    """Plain data of this interface."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _finite(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    check_plain(value, MAX_NESTING)
    return value


Given = Annotated[dict[str, JsonValue], AfterValidator(_finite)]
Name = Annotated[str, Field(max_length=32)]
Secret = Annotated[str, Field(max_length=200, pattern=r"^[\w\-.]*$")]


class ErrorBody(Wire):
    """Every error, whatever its status."""

    error: str = Field(description="A short key for programs, as `too-large`.")
    says: str = Field(description="One sentence for people: what is wrong and what is allowed.")


class SizeBody(Wire):
    """Of a picture."""

    width: int = Field(ge=8, le=8192, description="In pixels.")
    height: int = Field(ge=8, le=8192, description="In pixels.")


class EngineBody(Wire):
    """What shall draw; what is left out stays. The old one goes on until the new one can."""

    size: SizeBody | None = Field(default=None, description="One of `sizes.allowed`.")
    backend: Name | None = Field(default=None, description="As `openvino`, or `auto`.")
    precision: Name | None = Field(default=None, description="As `bf16`, or `auto`.")


class OfferBody(Wire):
    """An offer of WebRTC, and what the visitor would like."""

    sdp: str = Field(
        min_length=1,
        max_length=MAX_BODY_BYTES,
        description="The offer: one video section that sends and receives, data channels.",
    )
    type: Literal["offer"] = Field(description="Always `offer`.")
    controls: Given = Field(
        default_factory=dict,
        description="Controls by name, over the model's defaults, or over those that come back.",
    )
    size: SizeBody | None = Field(
        default=None, description="One of `sizes.allowed` of /v1/about; else the server's own."
    )
    resume: Secret | None = Field(
        default=None, description="Token of an earlier session, whose controls are wanted back."
    )
    ticket: Secret | None = Field(
        default=None, description="From the answer 202, when its seat is ready."
    )
    name: str | None = Field(
        default=None,
        max_length=100,
        description="Of the stream, 1 to 40 of a-z, 0-9, _ and -; where it has none, it is its id.",
    )
    mirror: bool = Field(default=False, description="Flip the picture left to right, as a mirror.")


class PatchBody(Wire):
    """Changes to a running session; what is left out stays."""

    controls: Given | None = Field(
        default=None, description="Merge-patch (RFC 7396): null means the default."
    )
    over_s: float = Field(
        default=0.0, ge=0.0, le=MAX_OVER_S, description="Seconds that numbers take to get there."
    )
    sequence: int | None = Field(
        default=None, ge=0, lt=2**63, description="Rises with every patch; older ones are ignored."
    )
    hand: str = Field(
        default="api", pattern=r"^[a-z0-9-]{1,32}$", description="Who counts in `sequence`."
    )
    output: Output | None = Field(default=None, description="What is shown.")
    size: SizeBody | None = Field(default=None, description="As `engine.size`.")
    engine: EngineBody | None = Field(default=None, description="What shall draw.")

    @model_validator(mode="after")
    def _check(self) -> PatchBody:
        given = (self.controls, self.output, self.size, self.engine)
        if all(each is None for each in given):
            raise ValueError("give controls, output, size or engine")
        if self.size is not None and self.engine is not None and self.engine.size is not None:
            raise ValueError("give size or engine.size, not both")
        return self


class ControlBody(Wire):
    """One control: what a slider, a field or a list needs to know."""

    name: str = Field(description="Its name in `controls`.")
    kind: Literal[
        "number", "integer", "choice", "text", "prompts", "seeds", "integers", "loras"
    ] = Field(description="What kind of widget it wants.")
    group: str = Field(description="Controls of a group belong together.")
    unit: str = Field(description="Of its value, may be empty.")
    default: Any = Field(description="With this model.")
    minimum: float | None = Field(description="Lowest number, null where it is none.")
    maximum: float | None = Field(description="Highest number, null where it is none.")
    choices: tuple[str, ...] = Field(description="What may be chosen, empty where it is free.")
    help: str = Field(description="One sentence for people.")
    transition: str = Field(description="How it gets to a new value in `over_s` seconds.")


class UpcomingBody(Wire):
    """What will draw as soon as it is built."""

    backend: str = Field(description="Its name.")
    precision: str = Field(description="That it will draw in.")
    stage: str = Field(description="As `building` or `verifying`.")
    message: str = Field(description="Which network that is; may be empty.")
    failure: str | None = Field(description="Why it will not come; null as long as it may.")


class StreamBody(Wire):
    """What draws a session's pictures."""

    model: str = Field(description="Name of the model.")
    width: int = Field(description="In pixels.")
    height: int = Field(description="In pixels.")
    backend: str | None = Field(description="Null until the model is loaded.")
    precision: str | None = Field(description="Null until the model is loaded.")
    motion: str | None = Field(description="Name of the motion adapter, null where there is none.")
    upcoming: UpcomingBody | None = Field(
        description="What will draw as soon as it is built; null where nothing is to come."
    )


class JoinedBody(Wire):
    """What somebody is told who has come to a stream, as its visitor or as a guest."""

    sdp: str = Field(description="The answer.")
    type: Literal["answer"] = Field(default="answer", description="Always `answer`.")
    name: str = Field(description="Of the stream, for the addresses under /v1/streams and /whep.")
    controls: dict[str, Any] = Field(description="All controls as they are now.")
    revision: int = Field(description="Number of these controls; it rises with every change.")
    output: Output = Field(description="What is shown.")
    stream: StreamBody = Field(description="What draws the pictures.")
    specs: tuple[ControlBody, ...] = Field(
        serialization_alias="schema", description="Every control."
    )
    understands: Vocabulary | None = Field(description="What the model says it understands.")


class OpenedBody(JoinedBody):
    """A session that has begun."""

    id: str = Field(description="For the addresses under /v1/sessions; nobody can guess it.")
    resume: str = Field(description="Secret that brings the controls back after a break.")


class WaitingBody(Wire):
    """All seats are taken: a place in the queue."""

    ticket: str = Field(description="For /v1/queue, and for the next offer.")
    position: int = Field(description="1 is the next.")
    retry_s: float = Field(description="Ask again after so many seconds, or the place is lost.")


class QueueBody(Wire):
    """Where a ticket stands."""

    position: int = Field(description="1 is the next.")
    ready: bool = Field(description="A seat is held: offer now, with the ticket.")
    retry_s: float = Field(description="Ask again after so many seconds, or the place is lost.")


class PatchedBody(Wire):
    """What became of a patch."""

    revision: int = Field(description="Number of the controls that are in force or coming.")
    stale: bool = Field(description="The same hand had said something newer: nothing changed.")
    controls: dict[str, Any] = Field(description="All controls as they were asked for last.")
    output: Output = Field(description="What is shown.")
    stream: StreamBody = Field(description="What draws the pictures.")


class StatusBody(Wire):
    """How a session is doing."""

    id: str = Field(description="Of the session.")
    name: str = Field(description="Of its stream.")
    state: State = Field(description="In one word.")
    says: str = Field(description="One sentence for people, empty where all is well.")
    fps: float = Field(description="Pictures a second.")
    frame_ms: float = Field(description="That the model needs for one picture.")
    dropped: dict[str, int] = Field(description="Frames that were not shown, by reason.")
    skipped: int = Field(description="Frames that looked like the one before.")
    stages_ms: dict[str, float] = Field(description="Of a late frame: queue, model, encode.")
    stream: StreamBody = Field(description="What draws the pictures.")
    revision: int = Field(description="Number of the controls in force.")
    output: Output = Field(description="What is shown.")
    streams: int = Field(description="That are drawn together with this one.")
    controls: dict[str, Any] = Field(description="All controls as they were asked for last.")
    viewers: int = Field(description="Guests that watch it.")
    is_recording: bool = Field(description="Whether the server records it.")
