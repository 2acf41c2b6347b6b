"""What hands ask of a stream before its model is there; knows neither models nor frames.

A patch is answered at once, by a hub without a model, and kept: the stream's own hub hears it when
the model is ready, before the first frame.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from streamgen.controls import Controls
from streamgen.errors import ConfigError
from streamgen.hub import ControlHub, Patched
from streamgen.rows import Revision

logger = logging.getLogger(__name__)

#: Patches that are kept for a model; loading may take minutes, and a hand may play all the while.
MOST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    changes: Mapping[str, object]
    hand: str
    sequence: int | None


class EarlyPatches:
    """Answers the patches of one stream until its own hub can; its caller holds the lock."""

    def __init__(self, controls: Controls) -> None:
        self._hub = ControlHub(_revision(controls, 0), revise=_revision, check=lambda controls: ())
        self._said: list[_Said] = []

    def patch(
        self, changes: Mapping[str, object], *, hand: str, sequence: int | None, over_s: float
    ) -> Patched:
        """Validate and keep a patch; over_s is forgotten, as nothing is shown that could move."""
        if len(self._said) >= MOST:
            raise ConfigError(f"controls {sorted(changes)}: too many changes: wait for the model")
        patched = self._hub.patch(changes, hand=hand, sequence=sequence, over_s=over_s)
        if not patched.is_stale:
            self._said.append(_Said(changes=dict(changes), hand=hand, sequence=sequence))
        return patched

    def target(self) -> Controls:
        """Return what was asked for last."""
        return self._hub.target()

    def take(self) -> list[_Said]:
        """Return what was kept, oldest first, and keep it no longer."""
        said, self._said = self._said, []
        return said


def retold(said: list[_Said], hub: ControlHub) -> str | None:
    """Tell a hub what was said before it was there; return the last refusal, None without one."""
    refusal = None
    for each in said:
        try:
            hub.patch(each.changes, hand=each.hand, sequence=each.sequence)
        except ConfigError as error:
            refusal = str(error)
            logger.warning("controls asked for before the model was ready: %s", refusal)
    return refusal


def _revision(controls: Controls, number: int) -> Revision:
    nothing = torch.empty(0)
    return Revision(number=number, controls=controls, levels=(), text=nothing, negative_text=None)
