"""All who see a stream besides its owner: guests and a recorder, for whom it is encoded once.

Knows no session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from server.audience import Audience
from server.guests import Guests
from server.nouns import Output, UnknownSession, UnknownStream
from server.recorder_writer import RecordingFacts
from server.recording import Recorder, begin_recording
from server.steering import Ear, Steering
from server.surroundings import Surroundings
from streamgen.frame import Frame


class Company:
    """Whoever makes one ends it. Made on the loop."""

    def __init__(
        self,
        around: Surroundings,
        steering: Steering,
        *,
        name: str,
        output: Callable[[Output, Ear], None],
    ) -> None:
        """name: of the stream. output: told what a guest wants to be shown, and by whom."""
        self._audience = Audience(around.pictures, encoder=around.encoder)
        self.guests = Guests(
            self._audience, steering, around.rules, output=output, clock=around.clock
        )
        self._name, self._place = name, around.recordings
        self._recorder: Recorder | None = None
        self._recording = asyncio.Lock()
        self._is_ended = False

    @property
    def recording(self) -> RecordingFacts | None:
        """How the newest recording is doing; None before the first."""
        return None if self._recorder is None else self._recorder.facts

    @property
    def is_recording(self) -> bool:
        """Whether somebody records what is shown."""
        return self._recorder is not None and self._recorder.facts.state != "ended"

    def show(self, frame: Frame) -> None:
        """Offer an answer of the model."""
        self._audience.out.show(frame)

    def show_input(self, frame: Frame) -> None:
        """Offer a frame as it came; from any thread."""
        self._audience.out.show_input(frame)

    def set_mode(self, output: Output) -> None:
        """Show something else."""
        self._audience.out.set_mode(output)

    async def record(self) -> RecordingFacts:
        """Record from now on, or tell how that is doing where it is recorded already."""
        async with self._recording:
            if self._is_ended:
                raise UnknownStream("this stream has ended")
            recorder = self._recorder
            if recorder is None or recorder.facts.state == "ended":
                recorder = self._recorder = self._begun()
            return recorder.facts

    async def end_recording(self) -> RecordingFacts:
        """End the recording, and wait until its file is whole; UnknownSession without one."""
        async with self._recording:
            if self._recorder is None:
                raise UnknownSession("nothing was recorded of this stream: begin a recording")
            return await self._recorder.close()

    async def end(self, why: str) -> None:
        """Let everybody go, make the recording whole, and encode no more."""
        self._is_ended = True
        try:
            await self.guests.end(why)
            async with self._recording:
                if self._recorder is not None:
                    await self._recorder.close()
        finally:
            await self._audience.close()

    def _begun(self) -> Recorder:
        recorder = begin_recording(
            self._place,
            self._name,
            ended=lambda: self._audience.leave(recorder),
            ask_for_key=self._audience.ask_for_key,
        )
        self._audience.join(recorder)
        return recorder
