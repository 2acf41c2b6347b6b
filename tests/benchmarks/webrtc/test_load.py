"""Whose work the processors did."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.machine import Load, read_load
from benchmarks.webrtc.load import descendants, read_tree_load, share_since, tree_s

BURN = "import time\nwhile time.process_time() < 0.4: pass\ninput()"


def test_descendants_are_children_of_children_and_nobody_else():
    assert sorted(descendants(1, {2: 1, 3: 2, 4: 9, 5: 3})) == [2, 3, 5]


@pytest.mark.skipif(read_load() is None, reason="only Linux tells what processes used")
def test_the_work_of_a_child_is_ours_while_it_lives_and_after():
    before = tree_s(os.getpid())
    with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE) as child:
        while tree_s(os.getpid()) < before + 0.4:
            assert child.poll() is None
        child.communicate(b"\n")

    assert tree_s(os.getpid()) >= before + 0.4


def test_nobody_knows_where_the_system_does_not_tell():
    assert share_since(None) is None


@pytest.mark.skipif(read_load() is None, reason="only Linux tells what processes used")
def test_what_others_used_is_without_what_the_tree_used():
    now = read_tree_load()
    before = Load(total_s=now.total_s - 10, used_s=now.used_s - 6, own_s=now.own_s - 6)

    assert share_since(before) == pytest.approx(0.0, abs=0.05)
