"""The numbers in the README of motion adapters are those that the code has."""

import re
from pathlib import Path

import pytest

import streamgen.motion
from streamgen.config import MOTION_MEMORY_MB
from streamgen.models.remembering import LEAST_SLOTS
from streamgen.motion.budget import MotionMemory, fitting, row_bytes
from streamgen.motion.layouts import layout_of
from streamgen.motion.ring import Ring
from streamgen.motion.table import TABLE

README = (Path(streamgen.motion.__file__).parent / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+)², (\d+) \| (\d+) \| (\d+) \| (\w+).* \| (\d+) \|$", README, re.M)
MIB = 2**20
PLACES = layout_of({"use_motion_mid_block": False}).places


def test_there_are_rows_for_several_sizes():
    assert len(ROWS) == 6


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_memory_is_as_the_table_says(row):
    side, window, half, byte, kind, taken = row
    ring = Ring(sinks=int(window) // 2, rolling=int(window) - 1 - int(window) // 2)
    latent = (int(side) // 8, int(side) // 8)

    def size(memory):
        return round(row_bytes(PLACES, memory, latent=latent) / MIB)

    assert size(MotionMemory(rings=(ring,) * 4, kind="float16")) == int(half)
    assert size(MotionMemory(rings=(ring,) * 4, kind="int8")) == int(byte)
    budget = MOTION_MEMORY_MB * MIB // LEAST_SLOTS
    chosen = fitting(PLACES, ring, latent=latent, budget=budget)
    assert (chosen.kind, size(chosen)) == (kind, int(taken))


def test_every_adapter_of_the_table_is_there():
    assert [row.name for row in TABLE if f"| `{row.name}` |" not in README] == []
