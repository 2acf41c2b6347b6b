"""What goes over HTTP as JSON about streams, their guests, recordings and passes; no routes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from server.limits import MAX_BODY_BYTES
from server.nouns import State
from server.rights import MAX_TTL_S, Right
from server.wire import JoinedBody, Wire

#: A name, or the id of a session that was given none.
StreamKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]


class StreamRowBody(Wire):
    """One stream in a list of all."""

    name: str = Field(description="For the addresses under /v1/streams and /whep.")
    state: State = Field(description="In one word.")
    viewers: int = Field(description="Guests that watch it.")
    is_recording: bool = Field(description="Whether the server records it.")
    says: str = Field(description="One sentence for people, empty where all is well.")


class StreamListBody(Wire):
    """Every stream that runs."""

    streams: tuple[StreamRowBody, ...] = Field(description="May be empty.")


class GuestBody(Wire):
    """An offer of WebRTC by somebody who watches a stream, and may steer it."""

    sdp: str = Field(
        min_length=1,
        max_length=MAX_BODY_BYTES,
        description="The offer: one video section that receives, data channels where it steers.",
    )
    type: Literal["offer"] = Field(default="offer", description="Always `offer`.")


class AttachedBody(JoinedBody):
    """A guest of a stream."""

    id: str = Field(description="The guest's, for DELETE; nobody can guess it.")
    may_control: bool = Field(description="Whether the guest may steer; else it only watches.")


class RecordingBody(Wire):
    """A recording of a stream, on the server."""

    name: str = Field(description="Of the stream.")
    state: Literal["waiting", "recording", "ended"] = Field(
        description="`waiting` for the first picture."
    )
    file: str | None = Field(description="Name of the newest file, null until there is one.")
    files: tuple[str, ...] = Field(description="Of all of them: each size of picture has its own.")
    seconds: float = Field(description="That all files have.")
    bytes: int = Field(description="That all files have.")
    why_ended: str = Field(description="A sentence where it did not end because it was told to.")


class AskBody(Wire):
    """What a pass is to allow."""

    stream: StreamKey = Field(description="Its name; the stream need not run yet.")
    rights: tuple[Right, ...] = Field(
        min_length=1, max_length=8, description="Who may `control` may `view`, too."
    )
    ttl_s: int = Field(
        default=MAX_TTL_S, ge=1, le=MAX_TTL_S, description="For how many seconds it is good."
    )


class PassBody(Wire):
    """A pass to one stream."""

    token: str = Field(description="For `Authorization: Bearer`; OBS calls it Bearer Token.")
    expires_s: int = Field(description="For so many seconds it is good.")
