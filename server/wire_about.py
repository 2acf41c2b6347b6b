"""What goes over HTTP as JSON about the server itself, field by field; knows no routes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from server.wire import ControlBody, SizeBody, Wire
from streamgen.models.vocabulary import Vocabulary


class SizesBody(Wire):
    """Which sizes there are."""

    allowed: tuple[SizeBody, ...] = Field(description="Smallest first.")
    default: SizeBody = Field(description="Where none is asked for.")


class SeatsBody(Wire):
    """How full it is."""

    all: int = Field(description="Seats in all.")
    free: int = Field(description="That a newcomer could take now.")
    waiting: int = Field(description="How many wait for one.")


class LoraBody(Wire):
    """A LoRA that the control `loras` takes by its name."""

    name: str = Field(description="Of its file, without the ending.")
    state: Literal["ready", "broken"] = Field(
        description="Whether its file looks like a LoRA; a model may refuse it all the same."
    )
    says: str = Field(description="What is wrong with it, empty where all is well.")


class LorasBody(Wire):
    """Which LoRAs there are."""

    loras: tuple[LoraBody, ...] = Field(description="By name; may be empty.")


class AboutBody(Wire):
    """What this server is; only version and needs_token where a token is wanted and missing."""

    version: str = Field(description="Of streamgen.")
    needs_token: bool = Field(description="Whether requests need `Authorization: Bearer`.")
    model: str | None = Field(default=None, description="That draws here.")
    models: tuple[str, ...] | None = Field(default=None, description="That could be asked for.")
    motion: str | None = Field(
        default=None, description="Motion adapter that draws with it, null where there is none."
    )
    specs: tuple[ControlBody, ...] | None = Field(
        default=None,
        serialization_alias="schema",
        description="Every control; without a motion adapter not its strength.",
    )
    understands: Vocabulary | None = Field(
        default=None, description="What the model says it understands, null where it says nothing."
    )
    loras: tuple[LoraBody, ...] | None = Field(
        default=None, description="That may be chosen from; /v1/loras tells them afresh."
    )
    sizes: SizesBody | None = Field(default=None, description="Of the pictures that are drawn.")
    seats: SeatsBody | None = Field(default=None, description="How full it is.")


class IceServerBody(Wire):
    """One STUN or TURN server, as RTCPeerConnection takes it."""

    urls: tuple[str, ...] = Field(description="Its addresses.")
    username: str | None = Field(default=None, description="For TURN.")
    credential: str | None = Field(default=None, description="For TURN; good for an hour.")


class IceBody(Wire):
    """What goes into RTCPeerConnection's configuration."""

    servers: tuple[IceServerBody, ...] = Field(
        serialization_alias="iceServers", description="May be empty."
    )


class HealthBody(Wire):
    """Whether the server is there, or ready."""

    status: Literal["alive", "ready"] = Field(description="In one word.")
