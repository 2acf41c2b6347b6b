"""One visitor's session: a stream that stays, an owner who may come again, and the company.

Knows one session only; who may have one is decided by `sessions`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from server.aging import judged
from server.company import Company
from server.desk import Snapshot
from server.mailbox import Letter
from server.memory import Remembered
from server.messages import LIVE, notice
from server.notices import Notices
from server.nouns import Offer, Output, SessionStatus, Wish
from server.owner import Owner
from server.pace import Pace, frame_message
from server.report import Known, status_message, status_of
from server.steering import Ear, Steering
from server.stream import SessionStream, size_of
from server.surroundings import Surroundings
from server.tracks import Timing
from server.visit import Manner, Visit, VisitEvents
from streamgen.control_schema import given_again
from streamgen.frame import Frame

logger = logging.getLogger(__name__)


class Session:
    """Whoever makes one ends it."""

    def __init__(
        self,
        around: Surroundings,
        *,
        id: str,
        name: str | None,
        resume: str,
        over: Callable[[Session, str], object],
    ) -> None:
        """name: of its stream, None for its id. over: told that it should end, and why."""
        self.id, self.resume = id, resume
        self.name, self.is_named = name or id, name is not None
        self.output: Output = "live"
        self._around, self._over = around, over
        self._rules, self._clock = around.rules, around.clock
        self.stream = SessionStream(around.desk, around.rules, id, show=self._show)
        self.steering = Steering(self.stream, tell=self.tell)
        self.owner = Owner(self._made_visit, over=lambda why: over(self, why), clock=around.clock)
        self.company = Company(around, self.steering, name=self.name, output=self._turn)
        self._pace = Pace(around.clock)
        self._is_paused = False
        self._notices = Notices()

    async def begin(self, wish: Wish, remembered: Remembered | None) -> None:
        """Open the stream, with what is remembered or what is wished for."""
        size, controls = wish.size or self._rules.size, wish.controls
        if remembered is not None:
            size, controls = wish.size or remembered.size, remembered.controls
        await self.stream.open(size, controls)
        status = await self._around.desk.status(self.stream.names[0])
        self.steering.controls = status["controls"]
        if remembered is not None:
            self.show_output(remembered.output)
            if wish.controls:
                await self.steering.patch(wish.controls, hand="return")

    async def enter(self, offer: Offer, manner: Manner) -> str:
        """Let a peer in, as `Owner.enter` does; return the answer to its offer."""
        answer = await self.owner.enter(offer, manner)
        self.owner.set_mode(self.output)  # it may have changed meanwhile
        self._is_paused = False
        self._notices.forget()
        return answer

    def show_output(self, output: Output) -> None:
        """Show something else; works whatever the model does."""
        self.output = output
        self.company.set_mode(output)
        self.owner.set_mode(output)

    def tell(self, message: Mapping[str, object], besides: Ear | None = None) -> None:
        """Say something to the page, if it is there, and to all guests who may control."""
        self.owner.tell(message, besides)
        self.company.guests.tell(message, besides)

    def look(self, snapshot: Snapshot) -> None:
        """See to time-outs and to a change of engines, and tell the page how it goes."""
        verdict = judged(self.owner.ages(), self._rules)
        self._is_paused = verdict.is_paused
        if verdict.end is not None:
            self._over(self, verdict.end)
            return
        if verdict.is_lost:
            self.owner.lose("nothing was heard of the page")
        self.company.guests.look()
        self.steering.catch_up()
        why_not = self.stream.look(snapshot)
        if why_not is not None:
            self.tell(notice("error", why_not, key="size"))
        self._see_to_notices(verdict.is_blind, snapshot)
        self.owner.feed(self.stream.feeding)
        self.tell(status_message(self.status(snapshot)))

    def status(self, snapshot: Snapshot) -> SessionStatus:
        """Tell how it is doing."""
        known = Known(
            id=self.id,
            name=self.name,
            is_lost=not self.owner.is_here,
            rest_s=self._pace.rest_s,
            fps=self._pace.fps,
            stages_ms=self._pace.stages_ms,
            output=self.output,
            stream=self.stream.facts(snapshot),
            viewers=len(self.company.guests),
            is_recording=self.company.is_recording,
            lacks_key=self.owner.lacks_key,
        )
        there = {"controls": self.steering.controls, **self.stream.status(snapshot)}
        return status_of(known, stream=there, group=self.stream.group(snapshot))

    def remembered(self) -> Remembered:
        """Return what should come back with the visitor."""
        return Remembered(
            controls=given_again(self.steering.controls),
            output=self.output,
            size=size_of(self.stream.wanted),
        )

    async def end(self, why: str) -> None:
        """End it: the owner's visit and the guests', then the stream."""
        try:
            await self.owner.end(why)
        finally:
            try:
                await self.company.end(why)
            finally:
                await self.steering.end()
                await self.stream.close()

    def _made_visit(
        self, manner: Manner, *, lost: Callable[[], None], over: Callable[[str], None]
    ) -> Visit:
        hand = self.steering.hands.take()

        async def deal(letter: Letter) -> None:
            await self.steering.deal(letter, hand, visit)

        events = VisitEvents(
            put=self._put,
            deal=deal,
            output=lambda mode: self._turn(mode, visit),
            timing=self._timed,
            lost=lost,
            over=over,
            closed=hand.free,
        )
        size = self.stream.feeding
        visit = Visit(
            events, self._rules, self._around.pictures, size=size, manner=manner, clock=self._clock
        )
        visit.set_mode(self.output)
        return visit

    def _turn(self, output: Output, speaker: Ear) -> None:
        """Show what one of those who steer wants, and tell the others."""
        self.show_output(output)
        self.tell({"type": "output", "id": 0, "mode": output}, speaker)

    def _put(self, frame: Frame) -> None:
        """Take a frame of the visitor's; called by a thread of the pool."""
        output = self.output
        if output == "bypass":
            self.owner.show_input(frame)
            self.company.show_input(frame)
        if not self._is_paused and (output == "live" or self.stream.is_changing):
            self.stream.put(frame)

    def _show(self, frame: Frame) -> None:
        self._pace.shown()
        self.owner.show(frame)
        self.company.show(frame)

    def _timed(self, timing: Timing) -> None:
        if self._pace.timed(timing) and self.owner.is_here:
            self.owner.tell(frame_message(timing), label=LIVE)
            for name, ms in self._pace.stages_ms.items():
                self._around.stage(name, ms)

    def _see_to_notices(self, is_blind: bool, snapshot: Snapshot) -> None:
        facts, keep = self.company.recording, self._notices.keep
        if self.owner.is_publisher:
            blind, tell = "No picture comes from the publisher.", self.tell
        else:
            blind, tell = "No picture comes from you.", self.owner.tell
        keep("no-media", blind if is_blind else None, tell=tell)
        there = self.stream.status(snapshot)
        failure = there.get("control_failure")
        if failure is not None and self.steering.doubt(there["controls"]):
            self._notices.renew("controls")
        keep("controls", failure, tell=self.tell)
        keep("recording", facts.why_ended or None if facts else None, tell=self.tell)
