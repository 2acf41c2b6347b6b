"""How a session is doing, in one word and one sentence, from what the desk told; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any  # plain data, as JSON has it

from server.nouns import Output, SessionStatus, State, StreamFacts

#: Without a picture for so long, a stream rests.
REST_S = 1.5
_SAYS: Mapping[State, str] = {
    "loading": "Loading the model.",
    "restarting": "The model stopped and is being restarted; the picture comes back by itself.",
    "failed": "The model cannot be used.",
    "lost": "The connection was lost; the place is kept for a moment.",
}
_LACKS_KEY = "Waiting for a key frame: in OBS set the keyframe interval to 1 s."


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a session knows of itself.

    rest_s: seconds since the last picture, None before the first. stages_ms: of the last one.
    lacks_key: of what its publisher sends nothing can be decoded yet. name, viewers, is_recording:
    of its stream.
    """

    id: str
    name: str
    is_lost: bool
    rest_s: float | None
    fps: float
    stages_ms: Mapping[str, float]
    output: Output
    stream: StreamFacts
    viewers: int = 0
    is_recording: bool = False
    lacks_key: bool = False


def status_of(
    known: Known, *, stream: Mapping[str, Any], group: Mapping[str, Any]
) -> SessionStatus:
    """Return a session's status; stream, group: as the desk told them, empty where it did not."""
    state = _state(known, stream.get("state"))
    says = _SAYS.get(state, "")
    if state == "failed" and stream.get("failure"):
        says = str(stream["failure"])
    elif known.lacks_key and not says:
        says = _LACKS_KEY
    dropped = dict(stream.get("dropped", {}))
    skipped = dropped.pop("still", 0)
    return SessionStatus(
        id=known.id,
        name=known.name,
        state=state,
        says=says,
        fps=round(known.fps, 1),
        frame_ms=round(group.get("frame_ms", 0.0), 2),
        dropped=dropped,
        skipped=skipped,
        stages_ms=known.stages_ms,
        stream=known.stream,
        revision=stream.get("revision", 0),
        output=known.output,
        streams=group.get("streams", 0),
        controls=stream.get("controls", {}),
        viewers=known.viewers,
        is_recording=known.is_recording,
    )


def status_message(status: SessionStatus) -> dict[str, object]:
    """Return a status as the page is told it; controls have a message of their own."""
    said = asdict(status)
    del said["controls"], said["id"]
    return {"type": "status", **said.pop("stream"), **said}


def _state(known: Known, told: str | None) -> State:
    if known.is_lost:
        return "lost"
    if told is None:  # it does not answer
        return "loading" if known.rest_s is None else "restarting"
    if told != "live":
        return "loading" if told == "loading" else "failed" if told == "failed" else "restarting"
    is_moving = known.rest_s is not None and known.rest_s < REST_S
    return "running" if is_moving else "resting"
