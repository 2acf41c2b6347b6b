"""One visitor's session: a stream that stays, and a visit that comes and may come again.

Knows one session only; who may have one is decided by `sessions`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from server.aging import Ages, judged
from server.desk import Desk, Snapshot
from server.mailbox import Letter
from server.memory import Remembered
from server.messages import LIVE, notice
from server.nouns import NegotiationTimedOut, Offer, Output, SessionStatus, UnknownSession
from server.pace import Pace, frame_message
from server.report import Known, status_message, status_of
from server.rules import SessionRules
from server.steering import Steering
from server.stream import SessionStream, size_of
from server.tracks import Timing
from server.visit import Visit, VisitEvents
from streamgen.control_schema import given_again
from streamgen.frame import Frame
from streamgen.sources.geometry import Size

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every session is given; pictures: pool for converting. stage: told of sampled ms."""

    desk: Desk
    rules: SessionRules
    pictures: Executor
    clock: Callable[[], float]
    stage: Callable[[str, float], None]


class Session:
    """Whoever makes one ends it."""

    def __init__(
        self, around: Surroundings, *, id: str, resume: str, over: Callable[[Session, str], object]
    ) -> None:
        """over: told that the session should end, and why."""
        self.id, self.resume = id, resume
        self.output: Output = "live"
        self.is_ended = False
        self._around, self._over = around, over
        self._rules, self._clock = around.rules, around.clock
        self.stream = SessionStream(around.desk, around.rules, id, show=self._show)
        self.steering = Steering(self.stream, tell=self.tell)
        self._pace = Pace(around.clock)
        self._entering = asyncio.Lock()
        self._visit: Visit | None = None
        self._visits = 0
        self._opened_s = self._clock()
        self._lost_s: float | None = None
        self._is_paused = False
        self._noticed: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, size: Size, controls: Mapping[str, object], output: Output) -> None:
        """Open the stream."""
        await self.stream.open(size, controls)
        status = await self._around.desk.status(self.stream.names[0])
        self.steering.controls, self.output = status["controls"], output

    async def enter(self, offer: Offer, *, mirror: bool) -> str:
        """Let a peer in, in place of one that was here; return the answer to its offer."""
        async with self._entering:
            if self.is_ended:
                raise UnknownSession("this session has ended: start a new one")
            await self._leave("this session goes on elsewhere")
            self._visits += 1
            visit = self._made_visit(self._visits, mirror)
            try:
                async with asyncio.timeout(self._rules.negotiation_s):
                    answer = await visit.answer(offer)
            except TimeoutError as error:
                await visit.close()
                seconds = self._rules.negotiation_s
                raise NegotiationTimedOut(f"no connection in {seconds:g} s: try again") from error
            except BaseException:
                await visit.close()
                raise
            self._visit, self._lost_s, self._is_paused = visit, None, False
            self._noticed.clear()
            return answer

    def show_output(self, output: Output) -> None:
        """Show something else; works whatever the model does."""
        self.output = output
        if self._visit is not None:
            self._visit.out.set_mode(output)

    def tell(self, message: Mapping[str, object]) -> None:
        """Say something to the page, if it is there."""
        if self._visit is not None:
            self._visit.tell(message)

    def look(self, snapshot: Snapshot) -> None:
        """See to time-outs and to a change of engines, and tell the page how it goes."""
        verdict = judged(self._ages(), self._rules)
        self._is_paused = verdict.is_paused
        if verdict.end is not None:
            self._over(self, verdict.end)
            return
        if verdict.is_lost:
            self._lose(self._visit, "nothing was heard of the page")
        self._notice("no-media", "No picture comes from you." if verdict.is_blind else None)
        why_not = self.stream.look(snapshot)
        if why_not is not None:
            self.tell(notice("error", why_not, key="size"))
        self._notice("controls", self.stream.status(snapshot).get("control_failure"))
        if self._visit is not None:
            self._visit.feed(self.stream.feeding)
        self.tell(status_message(self.status(snapshot)))

    def status(self, snapshot: Snapshot) -> SessionStatus:
        """Tell how it is doing."""
        known = Known(
            id=self.id,
            is_lost=self._visit is None,
            rest_s=self._pace.rest_s,
            fps=self._pace.fps,
            stages_ms=self._pace.stages_ms,
            output=self.output,
            stream=self.stream.facts(snapshot),
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
        """End it: the visit, then the stream."""
        self.is_ended = True
        async with self._entering:
            await self._leave(why)
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.stream.close()

    async def _leave(self, why: str) -> None:
        visit, self._visit = self._visit, None
        if visit is not None:
            self._lost_s = self._clock()
            await visit.close(why)

    def _made_visit(self, number: int, mirror: bool) -> Visit:
        """Return a visit; its callbacks are bound to it, so that an old one changes nothing."""
        events = VisitEvents(
            put=self._put,
            deal=partial(self._deal, number),
            output=self.show_output,
            timing=self._timed,
            lost=partial(self._lost, number),
            over=partial(self._asked_over, number),
        )
        size = self.stream.feeding
        visit = Visit(
            events, self._rules, self._around.pictures, size=size, mirror=mirror, clock=self._clock
        )
        visit.out.set_mode(self.output)
        return visit

    def _put(self, frame: Frame) -> None:
        """Take a frame of the visitor's; called by a thread of the pool."""
        visit, output = self._visit, self.output
        if visit is not None and output == "bypass":
            visit.out.show_input(frame)
        if not self._is_paused and (output == "live" or self.stream.is_changing):
            self.stream.put(frame)

    def _show(self, frame: Frame) -> None:
        self._pace.shown()
        if self._visit is not None:
            self._visit.out.show(frame)

    def _timed(self, timing: Timing) -> None:
        if self._pace.timed(timing) and self._visit is not None:
            self._visit.tell(frame_message(timing), label=LIVE)
            for name, ms in self._pace.stages_ms.items():
                self._around.stage(name, ms)

    async def _deal(self, number: int, letter: Letter) -> None:
        await self.steering.deal(letter, f"{letter.label}:{number}")

    def _asked_over(self, number: int, why: str) -> None:
        if number == self._visits:
            self._over(self, why)

    def _lost(self, number: int) -> None:
        if number == self._visits:
            self._lose(self._visit)

    def _lose(self, visit: Visit | None, says: str | None = None) -> None:
        """Keep the place of a peer that is gone, for a moment from when it was heard last."""
        if visit is None or visit is not self._visit:
            return
        self._visit, self._lost_s = None, visit.heard_s
        task = asyncio.create_task(visit.close(says), name="close-visit")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ages(self) -> Ages:
        now, visit = self._clock(), self._visit
        if visit is not None:
            visit.look()
        return Ages(
            opened_s=now - self._opened_s,
            silent_s=now - visit.heard_s if visit else 0.0,
            blind_s=now - visit.seen_s if visit else 0.0,
            lost_s=None if visit or self._lost_s is None else now - self._lost_s,
        )

    def _notice(self, key: str, says: str | None) -> None:
        """Tell the page once of something that goes on."""
        if says is None:
            self._noticed.discard(key)
        elif key not in self._noticed:
            self._noticed.add(key)
            self.tell(notice("warning", says, key=key))
