"""A motion adapter as streams are drawn with it: its modules, and the ring that each row has."""

from __future__ import annotations

from dataclasses import dataclass

from streamgen.motion.adapter import Adapter, read_adapter
from streamgen.motion.ring import Ring
from streamgen.motion.ring_file import ring_of
from streamgen.motion.table import adapter_folder, find_adapter


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveAdapter:
    """An adapter, and how many frames its modules see."""

    adapter: Adapter
    ring: Ring


def live_adapter(name: str, *, window: int | None, sinks: int | None) -> LiveAdapter:
    """Return an adapter by name, folder or hub id; window, sinks: as of `StreamConfig`.

    Raises ModelError for one that is not there or not sound, ConfigError for a ring that it cannot
    have.
    """
    row = find_adapter(name)
    folder = adapter_folder(row)
    adapter = read_adapter(folder, row.name)
    ring = ring_of(folder, window=window, sinks=sinks, length=adapter.layout.length)
    return LiveAdapter(adapter=adapter, ring=ring)
