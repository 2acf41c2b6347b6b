"""What is kept of a stream on this side of a pipe: enough to give it to another process."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any  # plain data, as JSON has it

from streamgen.config import StreamConfig
from streamgen.frame import Frame
from streamgen.shared import BUFFERS, FrameSlot


@dataclass(slots=True, kw_only=True, eq=False)
class RemoteStream:
    """A stream that is drawn in another process; `pictures` are the newest that nobody took yet.

    dropped: what became of frames outside of the process that draws now: unseen, or lost with one
    that died. since: what the revisions of that process, which begin at 0, are counted on from.
    """

    name: str
    config: StreamConfig
    controls: Mapping[str, object]
    inbox: FrameSlot
    outbox: FrameSlot
    pictures: deque[Frame] = field(default_factory=deque)
    accepted: int = 0
    shown: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    failure: str | None = None
    since: int = 0
    revision: int = 0

    def put(self, frame: Frame) -> None:
        """Make a frame the newest for the other side."""
        self.inbox.write(frame)
        self.accepted += 1

    def receive(self) -> bool:
        """Take the next picture of the other side; False where there is no new one.

        A tick may give some at once; as many are kept for who takes them.
        """
        read = self.outbox.read(in_order=True)
        if read is None:
            return False
        frame, passed = read
        if len(self.pictures) == BUFFERS:
            self.pictures.popleft()
            passed += 1
        self.dropped["unseen"] += passed
        stamp = replace(frame.stamp, revision=self.since + frame.stamp.revision)
        self.pictures.append(replace(frame, stamp=stamp))
        return True

    def patched(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Note what was asked for last, and return the answer with this side's revision."""
        number = self.since + int(answer["revision"])
        if not answer["is_stale"] and number >= self.revision:
            self.revision, self.controls = number, answer["controls"]
        return {**answer, "revision": number}

    def take_back(self, there: Mapping[str, Any], asked: int) -> None:
        """Forget controls that did not come into force: another process is given those that did.

        there: a status. asked: the revision of the controls that were asked for last before it.
        """
        if there.get("control_failure") and asked == self.revision:
            self.controls = there["controls"]

    def take(self) -> Frame | None:
        """Return the next picture once."""
        frame = self.pictures.popleft() if self.pictures else None
        self.shown += frame is not None
        return frame

    def lose(self) -> None:
        """Book what a process that died had, and make new slots, as it may have been writing."""
        known = self.shown + sum(self.dropped.values()) + len(self.pictures)
        self.dropped["lost"] += self.accepted - known
        # The next process is given what was asked for last, as its first revision.
        self.since = self.revision
        self.close()
        size = (self.config.width, self.config.height)
        self.inbox, self.outbox = (FrameSlot.create(*size) for _ in range(2))

    def merged(self, there: Mapping[str, Any]) -> dict[str, Any]:
        """Add what happened on this side to what the process tells of the stream."""
        dropped = Counter(there.get("dropped", {})) + self.dropped
        return {
            **there,
            "name": self.name,
            "accepted": self.accepted,
            "shown": self.shown,
            "dropped": dict(dropped),
            "under_way": self.accepted - self.shown - sum(dropped.values()),
            "revision": self.since + there.get("revision", 0),
            "controls": there.get("controls", dict(self.controls)),
            "failure": self.failure or there.get("failure"),
        }

    def close(self) -> None:
        """Remove the shared memory."""
        self.inbox.close()
        self.outbox.close()
