"""Sets of networks with weights of their own: one is drawn with while another is made ready.

drawn with now   ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓░░░░ free
made ready       ░░░░░ swap ▓▓▓▓▓▓▓▓▓ drawn with from here on
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from threading import Lock

from streamgen.errors import ConfigError
from streamgen.lora.weights import Weights
from streamgen.models.denoisers import Denoisers
from streamgen.models.workshop import UNETS

#: Stacks of LoRAs that are in use at once, the model's own weights apart; each takes the memory of
#: a UNet.
MOST = 16


class WeightPool:
    """Has weights ready that revisions are drawn with, and takes back those that nobody uses."""

    def __init__(
        self, first: Denoisers, another: Callable[[int], Denoisers], *, most: int = MOST
    ) -> None:
        """another(number): returns a set of networks with the model's weights, fast; raises
        ConfigError where there is no memory for one."""
        self._another = another
        self._most = most
        self._sets: tuple[Denoisers, ...] = (first,)
        # Graphs are kept by the number of a set, so none has that of one that was given back.
        self._numbers = count(1)
        # Held while weights are made ready; who draws never waits for it.
        self._lock = Lock()
        self._is_closed = False

    @property
    def sets(self) -> tuple[Denoisers, ...]:
        """The sets of networks that there are."""
        return self._sets

    def has(self, weights: Weights) -> bool:
        """Tell whether weights are ready to be drawn with."""
        return any(each.holds(weights) for each in self._sets)

    def prepare(self, weights: Weights) -> None:
        """Have weights ready, for as long as the object lives; slow.

        Raises ModelError and EngineError where that cannot be, ConfigError where too many others
        are in use.
        """
        # Without the lock first: the loop asks, too, on the way of a transition.
        if self.has(weights):
            return
        with self._lock:
            if self.has(weights) or self._is_closed:
                return
            self._free_for(weights).take(weights)
            self._give_back()

    def holding(self, weights: Weights) -> Denoisers:
        """Return the networks with some weights; makes them ready where that was not done."""
        if (found := self._find(weights)) is None:
            self.prepare(weights)
            found = self._find(weights)
        assert found is not None, "they were made ready"
        return found

    def close(self) -> None:
        """Give all networks back."""
        self._is_closed = True
        for each in self._sets:
            each.ports.close()

    def _find(self, weights: Weights) -> Denoisers | None:
        return next((each for each in self._sets if each.holds(weights)), None)

    def _free_for(self, weights: Weights) -> Denoisers:
        """Return networks that nobody is drawn with: best those with these weights, then others."""
        self._check_room(weights)
        free = [each for each in self._sets if each.is_free]
        same = (each for each in free if each.key == weights.key)
        if (found := next(same, free[-1] if free else None)) is not None:
            return found
        made = self._another(next(self._numbers))
        try:
            # Compiled here, so that the one who draws need not.
            for role, size in _sizes(self._sets):
                made.ports.prepare(role, size)
        except BaseException:
            made.ports.close()
            raise
        self._sets = (*self._sets, made)
        if self._is_closed:  # meanwhile: `close` did not see it
            made.ports.close()
        return made

    def _check_room(self, weights: Weights) -> None:
        """Raise ConfigError for one stack too many; there is always room for the model's own."""
        used = sum(bool(each.key) and not each.is_free for each in self._sets)
        if weights.key and used >= self._most:
            raise ConfigError(
                f"loras: {self._most} different sets of them are in use here, which is all that"
                " there is room for: take one that another stream has, or wait"
            )

    def _give_back(self) -> None:
        """Close networks that nobody uses; as many are kept as are used, for the next changes.

        The first stay, as the autoencoder is among them.
        """
        free = [each for each in self._sets if each.is_free]
        kept = max(len(self._sets) - len(free), 2)
        gone = [each for each in free if each is not self._sets[0]][kept:]
        self._sets = tuple(each for each in self._sets if each not in gone)
        for each in gone:
            each.ports.close()


def _sizes(sets: Iterable[Denoisers]) -> list[tuple[str, int]]:
    """Return the networks, and their batch sizes, that are drawn with."""
    ready = {key for each in sets for key in each.ports.ready if key[0] in UNETS}
    return sorted(ready)
