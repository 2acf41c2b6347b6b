"""Who else was at work while a tree of processes was measured; Linux tells, others do not."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from benchmarks.machine import Load, read_load

_PROC = Path("/proc")


def read_tree_load() -> Load | None:
    """Read the processor times of now; own: of this process and of all that it started."""
    load = read_load()
    return None if load is None else replace(load, own_s=tree_s(os.getpid()))


def share_since(before: Load | None) -> float | None:
    """Return the share of the machine that strangers used since `before`, None if nobody tells."""
    now = read_tree_load()
    return None if before is None or now is None else round(now.others_since(before), 3)


def tree_s(root: int) -> float:
    """Return the seconds of processor time of a process and its descendants, ended ones too."""
    ticks, parents = _processes()
    return sum(ticks[pid] for pid in {root, *descendants(root, parents)} if pid in ticks) / (
        os.sysconf("SC_CLK_TCK")
    )


def descendants(root: int, parents: dict[int, int]) -> list[int]:
    """Return the processes below one. parents: of each process the one that started it."""
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _processes() -> tuple[dict[int, int], dict[int, int]]:
    """Return of every process its ticks, with those of ended children, and its parent."""
    ticks, parents = {}, {}
    for folder in _PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it ended meanwhile
            continue
        # After the name, which may hold anything: state, parent, …; 14 to 17 of the manual's list
        # are user, system and both of the children.
        fields = text.rpartition(")")[2].split()
        pid = int(folder.name)
        parents[pid] = int(fields[1])
        ticks[pid] = sum(map(int, fields[11:15]))
    return ticks, parents
