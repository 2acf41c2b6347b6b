"""Builds in a process of their own, by OpenVINO, of one small network."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
import torch
from torch import nn

from engines import registry
from engines.cache import CacheEntry, EngineCache
from engines.calibration import Calibration
from engines.errors import BuildCancelled, BuildError
from engines.jobs import BuildApart
from engines.manifest import verified_manifest
from engines.progress import BuildEvent, Tell
from engines.spec import EngineSpec, TensorSpec
from engines.store import NetworkStore
from engines.verify import Limits, sample_inputs

SpecOf = Callable[[str], EngineSpec]
LIMITS = Limits(min_snr_db=60.0)

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")


def store_of(cache: EngineCache, tell: Tell, cancel: Event | None = None) -> NetworkStore:
    backend = registry.backend("openvino")
    builder = BuildApart(nice=1)
    return NetworkStore(backend=backend, cache=cache, builder=builder, tell=tell, cancel=cancel)


def build_processes(of: Path) -> dict[str, int]:
    """Return the module that each build process runs whose command names a folder, and its id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text(encoding="utf-8").split("\0")
        except OSError:  # it has ended meanwhile
            continue
        if any(word.startswith(str(of)) for word in words) and "-m" in words:
            found[words[words.index("-m") + 1]] = int(folder.name)
    return found


def left_in(cache: EngineCache) -> list[str]:
    """Return the names of all files but locks."""
    paths = (path.relative_to(cache.root) for path in cache.root.rglob("*") if path.is_file())
    return sorted(path.name for path in paths if path.parts[0] != "locks")


def test_a_network_built_apart_is_the_one_that_would_be_built_here(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module, tmp_path: Path
) -> None:
    spec, events = spec_of("fp32"), list[BuildEvent]()
    store = store_of(cache, events.append)
    entry = store.build(spec, repaint, limits=LIMITS)
    apart = store.compile(spec, repaint, limits=LIMITS)
    here = NetworkStore(backend=store.backend, cache=EngineCache(tmp_path / "here"))

    drawn = []
    for network in (apart, here.compile(spec, repaint, limits=LIMITS)):
        binding = network.bind(sample_inputs(spec, seed=3))
        binding.run()
        drawn.append(binding.outputs)

    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])
    stages = ["exporting", "building", "verifying", "ready"]
    assert [event.stage for event in events][:4] == stages
    assert {event.role for event in events} == {spec.role}
    assert isinstance(entry, CacheEntry) and entry.info["computes_in"] == "fp32"
    assert {"build_seconds", "verified"} <= entry.info.keys()
    assert "build.log" in verified_manifest(entry.folder, entry.key)["files"]
    assert build_processes(cache.root) == {}


def test_a_cancelled_build_ends_its_processes_and_leaves_nothing(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    cancel, events = Event(), list[BuildEvent]()

    def tell(event: BuildEvent) -> None:
        events.append(event)
        if event.stage == "building":
            cancel.set()

    with pytest.raises(BuildCancelled, match="vae_decoder: its build was cancelled"):
        store_of(cache, tell, cancel).build(spec_of("fp32"), repaint)

    assert [event.stage for event in events] == ["exporting", "building", "cancelled"]
    assert left_in(cache) == []
    assert build_processes(cache.root) == {}


def test_ctrl_c_ends_the_processes_and_leaves_nothing(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    def tell(event: BuildEvent) -> None:
        if event.stage == "building":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_of(cache, tell).build(spec_of("fp32"), repaint)

    assert left_in(cache) == []
    assert build_processes(cache.root) == {}


def test_a_build_that_the_system_kills_says_so_and_keeps_its_log(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    def tell(event: BuildEvent) -> None:
        if event.stage == "building":
            os.kill(build_processes(cache.root)["engines.build_worker"], signal.SIGKILL)

    ended = r"vae_decoder: its build was ended by signal 9, probably out of memory \(log: (.*)\)"
    with pytest.raises(BuildError, match=ended) as caught:
        store_of(cache, tell).build(spec_of("fp32"), repaint)

    (log,) = left_in(cache)
    assert log.startswith("vae_decoder-") and log in str(caught.value)


def test_a_build_that_is_not_exact_enough_is_refused_by_the_process(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    events = list[BuildEvent]()

    with pytest.raises(BuildError, match="required: 998 dB: openvino is not exact enough here"):
        store_of(cache, events.append).build(
            spec_of("fp32"), repaint, limits=Limits(min_snr_db=998.0)
        )

    assert events[-1].stage == "failed" and "required: 998 dB" in events[-1].message
    assert [name.endswith(".log") for name in left_in(cache)] == [True]


def test_a_calibration_travels_with_the_program(cache: EngineCache, repaint: nn.Module) -> None:
    shapes = ((1, 3, 16, 16), (1, 8, 16, 16))
    made = [TensorSpec(name, shape, "float32") for name, shape in zip("xy", shapes, strict=True)]
    spec = EngineSpec("vae_encoder", (made[0],), (made[1],), "int8")
    torch.manual_seed(0)
    module = nn.Sequential(*(nn.Conv2d(3 if k == 0 else 8, 8, 3, padding=1) for k in range(4)))
    samples = [sample_inputs(spec, seed=seed) for seed in range(4)]
    calibration = Calibration(samples=lambda: samples, fingerprint="four")
    loose = Limits(min_snr_db=5.0)

    store = store_of(cache, lambda event: None)
    entry = store.build(spec, module, limits=loose, calibration=calibration)

    assert entry is not None and entry.info["computes_in"] == "int8"
    assert store.is_built(spec, module, limits=loose, calibration=calibration)


#: Builds, and says when the process that works for it is at work.
BUILD = """
import sys
from pathlib import Path

import torch

from engines import registry
from engines.cache import EngineCache
from engines.jobs import BuildApart
from engines.spec import EngineSpec, TensorSpec
from engines.store import NetworkStore

tensors = [TensorSpec(name, (1, 3, 16, 16), "float32") for name in "xy"]
spec = EngineSpec("unet", tensors[:1], tensors[1:], "fp32")
NetworkStore(
    backend=registry.backend("openvino"),
    cache=EngineCache(Path(sys.argv[1])),
    builder=BuildApart(),
    tell=lambda event: print(event.stage, flush=True),
).build(spec, torch.nn.Conv2d(3, 3, 3, padding=1))
"""


def test_the_build_of_a_process_that_is_killed_ends_and_leaves_nothing(cache: EngineCache) -> None:
    command = [sys.executable, "-c", BUILD, str(cache.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        said = [parent.stdout.readline() for _ in range(2)]
        processes = build_processes(cache.root)
        ends = [os.pidfd_open(pid) for pid in processes.values()]
        parent.kill()

    assert said == [b"exporting\n", b"building\n"]
    assert processes.keys() == {"engines.build_process", "engines.build_worker"}
    for end in ends:  # readable once the process has ended
        assert select.select([end], [], [], 60)[0] == [end]
        os.close(end)
    assert left_in(cache) == []
