"""The only writer of one stream's controls: patches of many hands in, one revision a frame out.

Knows nothing of frames, devices, or where a hand comes from; makes no thread and reads no clock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import RLock

from streamgen.control_schema import controls_from
from streamgen.controls import MAX_OVER_S, Controls
from streamgen.errors import ConfigError
from streamgen.rows import Revision
from streamgen.transitions import Move, between, on_the_way

logger = logging.getLogger(__name__)

NOISES = frozenset({"seed", "seeds"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patched:
    """What became of a patch.

    revision: the number that it got, or the one in force where it is stale. is_stale: the same hand
    has said something newer, so nothing was changed. controls: what is now asked for.
    """

    revision: int
    is_stale: bool
    controls: Controls


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A patch on its way: the controls that it leads to and the names that it moves there."""

    number: int
    controls: Controls
    names: frozenset[str]
    over_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """The newest revision that could be drawn with, and the patches that it is made of."""

    revision: Revision
    asked: tuple[_Asked, ...]


class ControlHub:
    """Validates and orders what many hands ask for; the loop asks for one revision a frame.

    Hands may be on any thread, the loop on one other; the loop never waits for them.
    """

    def __init__(
        self,
        revision: Revision,
        *,
        revise: Callable[[Controls, int], Revision],
        check: Callable[[Controls], object],
        executor: Executor | None = None,
    ) -> None:
        """revision: the first one; its controls are the defaults that None in a patch means.

        revise: reads new sentences, may be slow, runs on `executor`; without one, in `patch`. On
        the way of a transition the loop calls it too, with sentences that were read before.
        check: fast. Both raise ConfigError for what the model cannot do.
        """
        self._revise = revise
        self._check = check
        self.executor = executor
        self._defaults = revision.controls
        # Under the lock: what hands and the executor write. Reentrant, as work that is done at
        # once settles inside `patch`.
        self._lock = RLock()
        self._newest = revision.number
        self._asked: dict[int, _Asked] = {}
        self._sequences: dict[str, int] = {}
        self._ready = _Ready(revision=revision, asked=())
        self._failure: str | None = None
        self._is_closed = False
        # Written by the loop alone.
        self._end = revision
        self._drawn = revision
        self._moves: tuple[Move, ...] = ()

    def patch(
        self,
        changes: Mapping[str, object],
        *,
        hand: str = "api",
        sequence: int | None = None,
        over_s: float = 0.0,
    ) -> Patched:
        """Change the named controls; None puts one back to its default (RFC 7396).

        sequence: rises with every message of a hand. over_s: how long the named controls take to
        get there, 0 to 60 seconds, from when their sentences are read; others go on as they were.
        Raises ConfigError, which leaves everything as it was.
        """
        with self._lock:
            if self._is_closed:
                raise ConfigError(f"controls {sorted(changes)}: this stream is closed")
            last = self._sequences.get(hand)
            if sequence is not None and last is not None and sequence <= last:
                number = self._ready.revision.number
                return Patched(revision=number, is_stale=True, controls=self.target())
            asked = self._merged(changes, over_s)
            # Here what fails is the caller's to know, so nothing is written down before.
            revision = self._made_ready(asked) if self.executor is None else None
            self._newest = asked.number
            self._asked[asked.number] = asked
            self._failure = None
            if sequence is not None:
                self._sequences[hand] = sequence
            if revision is not None:
                self._accept(revision)
            elif self.executor is not None:
                future = self.executor.submit(self._prepare, asked)
                future.add_done_callback(partial(self._settle, asked))
            return Patched(revision=asked.number, is_stale=False, controls=asked.controls)

    def revision(self, now_ns: int) -> Revision:
        """Return what the next frame is drawn with; asked by the loop, once a frame."""
        # Without the lock, which a hand may hold: `_ready` is replaced as a whole and read once.
        ready = self._ready
        if ready.revision is not self._end:
            self._begin(ready, now_ns)
        if self._moves:
            self._moves = tuple(move for move in self._moves if move.share(now_ns) < 1)
        self._drawn = self._under_way(now_ns) if self._moves else self._end
        return self._drawn

    def target(self) -> Controls:
        """Return what was asked for last, ready or not."""
        with self._lock:
            if self._asked:
                return self._asked[max(self._asked)].controls
            return self._ready.revision.controls

    def failure(self) -> str | None:
        """Return why the last patch did not come into force; None where it did or still may."""
        with self._lock:
            return self._failure

    def close(self) -> None:
        """Take no more patches and forget those that are not ready; the executor stays open."""
        with self._lock:
            self._is_closed = True
            self._asked.clear()

    def _merged(self, changes: Mapping[str, object], over_s: float) -> _Asked:
        if not 0 <= over_s <= MAX_OVER_S:
            raise ConfigError(f"over_s {over_s}: give 0 to {MAX_OVER_S:g} seconds")
        before = self.target()
        defaults = dict(self._defaults)
        undone = {name: defaults.get(name) for name, value in changes.items() if value is None}
        given = {name: value for name, value in changes.items() if value is not None}
        controls = controls_from(given, defaults={**dict(before), **undone})
        self._check(controls)
        names = set(changes) | {name for name, value in controls if value != getattr(before, name)}
        if names & NOISES:  # a fade of one is written in the other
            names |= NOISES
        return _Asked(
            number=self._newest + 1,
            controls=controls,
            names=frozenset(names),
            over_ns=round(over_s * 1e9),
        )

    def _prepare(self, asked: _Asked) -> Revision | None:
        """Make a revision ready; None where a newer one is asked for, which holds this one too."""
        is_newest = asked.number == self._newest
        return self._made_ready(asked) if is_newest and not self._is_closed else None

    def _made_ready(self, asked: _Asked) -> Revision:
        revision = self._revise(asked.controls, asked.number)
        if asked.over_ns:
            # The way may need a sentence that its end does not, the negative of a guidance that
            # fades out: it is read here, so that the loop need not.
            with suppress(ConfigError):
                middle = between(self._drawn.controls, asked.controls, 0.5)
                self._revise(middle, asked.number)
        return revision

    def _settle(self, asked: _Asked, future: Future[Revision | None]) -> None:
        with self._lock:
            if future.cancelled():
                self._settled(asked.number)
            elif (error := future.exception()) is not None:
                self._give_up(asked, error)
            elif (revision := future.result()) is not None:
                self._accept(revision)

    def _accept(self, revision: Revision) -> None:
        """Offer a revision to the loop, unless a newer one is ready or has failed."""
        if revision.number not in self._asked:
            return
        old = [asked for asked in self._ready.asked if asked.number > self._end.number]
        new = self._settled(revision.number)
        self._ready = _Ready(revision=revision, asked=(*old, *new))
        self._failure = None

    def _give_up(self, asked: _Asked, error: BaseException) -> None:
        """Forget a patch and the ones before it that it holds; what is ready stays in force."""
        if asked.number not in self._asked:
            return
        self._settled(asked.number)
        self._failure = str(error) or repr(error)
        number = self._ready.revision.number
        logger.warning("controls %d failed, %d stay: %s", asked.number, number, self._failure)

    def _settled(self, number: int) -> list[_Asked]:
        """Take out the patches up to a number, oldest first."""
        return [self._asked.pop(known) for known in sorted(self._asked) if known <= number]

    def _begin(self, ready: _Ready, now_ns: int) -> None:
        """Set out from the controls of this moment; a patch takes over what it names."""
        start = on_the_way(self._moves, self._end.controls, now_ns)
        moves = list(self._moves)
        for asked in ready.asked:
            if asked.number > self._end.number:
                moves = [move.without(asked.names) for move in moves]
                moves.append(
                    Move(names=asked.names, start=start, from_ns=now_ns, over_ns=asked.over_ns)
                )
        self._moves = tuple(move for move in moves if move.names and move.over_ns)
        self._end = ready.revision

    def _under_way(self, now_ns: int) -> Revision:
        controls = on_the_way(self._moves, self._end.controls, now_ns)
        for known in (self._end, self._drawn):
            if controls == known.controls and known.number == self._end.number:
                return known
        try:
            return self._revise(controls, self._end.number)
        except ConfigError as error:
            logger.warning("controls %d jump to their end: %s", self._end.number, error)
            self._moves = ()
            return self._end
