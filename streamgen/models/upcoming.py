"""Better engines that are built while others draw; knows no streams.

stand-in draws ─────────────────────────▶ │ the wanted engines draw
wanted ones are built, verified, loaded ─▶ │ taken over between two ticks
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from engines.errors import BuildCancelled
from engines.progress import BuildEvent, Stage
from engines.registry import choose
from streamgen.lora.weights import Weights

if TYPE_CHECKING:
    from streamgen.models.engines import Engines

logger = logging.getLogger(__name__)

#: built: wait for every network. at_once: where some have to be built first, draw with torch
#: meanwhile.
Start = Literal["built", "at_once"]
REFERENCE = "torch"
#: How often weights of streams may not get into what is built: some that failed nobody wants now.
_MOST_REFUSALS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class UpcomingStatus:
    """How far engines are that shall take over.

    stage: of the network that is built now; message: which that is, and what is done to it.
    failure: why they will not come, None as long as they may.
    """

    backend: str
    precision: str
    stage: Stage
    message: str
    failure: str | None


class Upcoming:
    """Builds engines once, on an executor, and has them taken by who draws."""

    def __init__(self, engines: Engines, executor: Executor | None) -> None:
        """engines: not prepared yet. executor: where they are; None: in `begin` itself."""
        self._engines = engines
        self._executor = executor
        self._ready: Engines | None = None
        self._last = BuildEvent(role="", stage="waiting")
        self._failure: str | None = None
        self._giving: Future[None] | None = None
        self._refusals = 0
        self._wake: Callable[[], None] = lambda: None
        engines.networks.tell = self._hear

    def begin(self, wake: Callable[[], None]) -> None:
        """Build and load them; wake: told when they can be taken. Whatever fails is in `status`."""
        self._wake = wake
        if self._executor is None:
            self._prepare(wake)
        else:
            self._executor.submit(self._prepare, wake)

    def take(self, weights: Sequence[Weights] = ()) -> Engines | None:
        """Return the engines once they can draw, and only once; they are the caller's to close.

        weights: what streams are drawn with; those that the engines have not yet, they are given
        where they are built, and come later.
        """
        ready = self._ready
        if ready is not None and not all(map(ready.weights.has, weights)):
            if self._executor is None:
                self._give(weights)
            elif self._giving is None or self._giving.done():
                self._giving = self._executor.submit(self._give, weights)
            return None
        self._ready = None
        return ready

    def cancel(self) -> None:
        """Have no more of it; what is being built ends soon and leaves nothing."""
        self._engines.networks.cancel.set()
        if (ready := self.take()) is not None:
            ready.close()

    def status(self) -> UpcomingStatus:
        """Tell how far they are."""
        engines, last = self._engines, self._last
        return UpcomingStatus(
            backend=engines.choice.backend.name,
            precision=engines.described_precision,
            stage=last.stage,
            message=": ".join(part for part in (last.role, last.message) if part),
            failure=self._failure,
        )

    def _give(self, weights: Sequence[Weights]) -> None:
        """Have the engines ready for some weights; where that fails, others draw on."""
        ready = self._ready
        try:
            for each in weights:
                if ready is not None:
                    ready.weights.prepare(each)
        # Whatever a backend comes up with, as in `_prepare`.
        except Exception as error:  # noqa: BLE001
            self._refusals += 1
            logger.warning("weights cannot be given to what is built: %s", error)
            if self._refusals >= _MOST_REFUSALS:
                self._failure = str(error) or repr(error)
                self.cancel()
                return
        self._wake()

    def _hear(self, event: BuildEvent) -> None:
        self._last = event

    def _prepare(self, wake: Callable[[], None]) -> None:
        cancel = self._engines.networks.cancel
        try:
            if not cancel.is_set():
                self._engines.prepare()
        except BuildCancelled:
            pass
        # Whatever a compiler comes up with: those that draw go on, and the status tells why.
        except Exception as error:  # noqa: BLE001
            self._failure = str(error) or repr(error)
            name = self._engines.choice.backend.name
            logger.warning("%s will not draw here: %s", name, self._failure)
        if cancel.is_set() or self._failure is not None:
            self._engines.close()
            return
        self._ready = self._engines
        wake()


def standing_in(wanted: Engines, executor: Executor | None) -> Engines:
    """Return engines on torch that draw until the wanted ones are built, on an executor."""
    device = wanted.choice.device
    choice = choose(REFERENCE, device=device)
    can = choice.backend.precisions(device)
    precision = wanted.precision if wanted.precision in can else can[0]
    config = replace(wanted.config, backend=REFERENCE, precision=precision)
    choice = replace(choice, rejected=wanted.choice.rejected)
    engines = type(wanted)(wanted.model, config, choice=choice, cache=wanted.networks.cache)
    engines.shelf = wanted.shelf
    engines.prepare()
    engines.upcoming = Upcoming(wanted, executor)
    name = wanted.choice.backend.name
    logger.info("%s: %s draws until %s is built", config.model, REFERENCE, name)
    return engines
