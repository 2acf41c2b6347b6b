"""A real child process with the built-in model, killed and stopped while it draws."""

from __future__ import annotations

import os
import re
import signal
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamgen.child import ChildOptions
from streamgen.config import StreamConfig
from streamgen.errors import ConfigError
from streamgen.frame import Frame, Stamp
from streamgen.process import WorkerProcess, child_threads

CONFIG = StreamConfig(model="tiny", width=64, height=64, backend="torch", precision="fp32")
PATIENCE_S = 120
MEMORY = Path("/dev/shm")


def picture(index, value=100):
    pixels = np.full((64, 64, 3), value, np.uint8)
    stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=index)
    return Frame(pixels=pixels, stamp=stamp)


@pytest.fixture
def child():
    options = ChildOptions(threads=1, max_streams=3, min_fps=0)
    with WorkerProcess(options, silent_s=1.5) as process:
        yield process


def draw_until(child, names, is_enough, first=0):
    """Put frames into streams and take pictures until `is_enough(pictures by stream)`."""
    seen = {name: [] for name in names}
    until = time.monotonic() + PATIENCE_S
    index = first
    while not is_enough(seen):
        assert time.monotonic() < until, {name: child.status(name) for name in names}
        for value, name in enumerate(names):
            child.put(name, picture(index, 60 + 60 * value))
            if (frame := child.take(name)) is not None:
                seen[name].append(frame)
        index += 1
        time.sleep(0.02)
    return seen, index


def all_have(count):
    return lambda seen: all(len(frames) >= count for frames in seen.values())


def own_memory():
    """Return the names of the shared memory that this process has; Linux only."""
    maps = Path("/proc/self/maps")
    return set(re.findall(r"/dev/shm/(\S+)", maps.read_text())) if maps.exists() else set()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_child_that_dies_or_stands_still_is_replaced_with_all_its_streams(child, number):
    names = ["a", "b", "c"]
    for name in names:
        child.open(name, CONFIG, {"prompts": "watercolor"})
    _, index = draw_until(child, names, all_have(2))
    child.patch("b", {"prompts": "thermal", "steps": 2})
    pid, shared = child.pid, own_memory()

    os.kill(pid, number)

    until = time.monotonic() + PATIENCE_S
    while child.restarts == 0:
        assert time.monotonic() < until
        child.put("a", picture(index))
        index += 1
        time.sleep(0.02)
    seen, _ = draw_until(child, names, all_have(2), first=index)

    assert child.restarts == 1 and child.pid != pid
    assert not Path(f"/proc/{pid}").exists()
    assert [each.stamp.index >= index for frames in seen.values() for each in frames[-1:]]
    status = child.status("b")
    assert (status["state"], status["controls"]["steps"]) == ("live", 2)
    assert status["controls"]["prompts"] == [{"text": "thermal", "weight": 1.0}]
    assert child.status("a")["dropped"].get("lost", 0) > 0
    shared |= own_memory()
    for name in names:
        last = child.close(name)
        assert last["accepted"] == last["shown"] + sum(last["dropped"].values())
    assert shared or not MEMORY.is_dir()
    assert [each for each in shared if (MEMORY / each).exists()] == []


def test_what_the_worker_refuses_is_refused_here_with_the_same_sentence(child):
    child.open("a", CONFIG, {})
    with pytest.raises(ConfigError, match="stream 'a' is open already"):
        child.open("a", CONFIG, {})
    with pytest.raises(ConfigError, match="stream 'b' is not open"):
        child.take("b")
    with pytest.raises(ValueError, match="frame 8x8: this stream has 64x64"):
        pixels = np.zeros((8, 8, 3), np.uint8)
        child.put("a", Frame(pixels=pixels, stamp=picture(0).stamp))
    draw_until(child, ["a"], all_have(1))
    with pytest.raises(ConfigError, match="strength 2: give a number from 0 to 1"):
        child.patch("a", {"strength": 2})
    [group] = child.groups()
    assert (group["backend"], group["precision"], group["streams"]) == ("torch", "fp32", 1)


def test_the_edge_keeps_a_core():
    assert [child_threads(cores) for cores in (1, 2, 8)] == [1, 1, 7]


def test_a_child_draws_at_once_and_goes_over_to_what_another_process_builds(monkeypatch, tmp_path):
    pytest.importorskip("openvino", reason="openvino is not installed: pip install openvino")
    monkeypatch.setenv("STREAMGEN_CACHE", str(tmp_path))
    config = StreamConfig(model="tiny", width=64, height=64, backend="openvino", precision="fp32")
    options, said = ChildOptions(threads=1, max_streams=1, min_fps=0), []

    def is_done(seen):
        [group] = child.groups()
        said.append(group)
        assert group["failure"] is None and child.restarts == 0
        assert group["upcoming"] is None or group["upcoming"]["failure"] is None
        return group["backend"] == "openvino" and seen["a"]

    with WorkerProcess(options, silent_s=30) as child:
        child.open("a", config, {"steps": 2})
        seen, index = draw_until(child, ["a"], is_done)
        more, _ = draw_until(child, ["a"], all_have(2), first=index)
        status = child.status("a")
    told = [group for group in said if group["backend"] == "torch"]
    assert {group["upcoming"]["backend"] for group in told} == {"openvino"}
    assert "building" in {group["upcoming"]["stage"] for group in told}
    assert said[-1]["upcoming"] is None
    assert set(status["dropped"]) <= {"overtaken", "unseen"}
    shown = [frame.stamp.index for frame in (*seen["a"], *more["a"])]
    assert shown == sorted(set(shown))
