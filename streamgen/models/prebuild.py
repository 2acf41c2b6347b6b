"""Networks of a model built into the cache by another process, while this one draws.

An export patches torch's modules for the whole process while it lasts: a network that another
thread runs meanwhile would fail. So the other process loads the model, too.

    here ── wanted, as JSON, on stdin ──▶ there: loads the model, builds, verifies
         ◀── events and the end, JSON lines ──
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any, Protocol  # Any: JSON

from engines.cache import EngineCache
from engines.errors import BuildCancelled, BuildError
from engines.progress import BuildEvent, Tell
from streamgen.config import StreamConfig

NICE = 10
_LOOK_S = 0.1
_HOME = Path(__file__).parents[2]

#: Networks by role and batch size.
Wanted = Sequence[tuple[str, int]]


class Prebuild(Protocol):
    """A way to get networks into the cache that are not there."""

    def __call__(
        self,
        config: StreamConfig,
        wanted: Wanted,
        *,
        cache: EngineCache,
        tell: Tell,
        cancel: Event,
    ) -> None:
        """Raises BuildError where one cannot be built, BuildCancelled once `cancel` is set."""


def prebuild(
    config: StreamConfig, wanted: Wanted, *, cache: EngineCache, tell: Tell, cancel: Event
) -> None:
    """Build in another process, which stands back for others and ends when this one does."""
    told = {
        "config": asdict(config),
        "wanted": list(wanted),
        "cache": str(cache.root),
        "max_bytes": cache.max_bytes,
    }
    path = os.pathsep.join(part for part in (str(_HOME), os.environ.get("PYTHONPATH")) if part)
    environ = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": path}
    # -P: nothing is imported from wherever this happens to run.
    command = [sys.executable, "-P", "-m", "streamgen.models.prebuild_process"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environ) as process:
        assert process.stdin is not None and process.stdout is not None, "they are pipes"
        # Its stdin stays open: when that ends, so does the process.
        process.stdin.write(json.dumps(told).encode() + b"\n")
        process.stdin.flush()
        Thread(target=_kill_once, args=(cancel, process), name="cancel-build", daemon=True).start()
        answer = _heard(process.stdout, tell)
    if cancel.is_set():
        raise BuildCancelled(f"{config.model}: its build was cancelled")
    if "failure" in answer:
        raise BuildError(answer["failure"])
    if "done" not in answer:
        raise BuildError(_ending(process.returncode))


def _heard(lines: IO[bytes], tell: Tell) -> dict[str, Any]:
    """Pass the events on, and return the last thing that was said."""
    for line in lines:
        if not line.endswith(b"\n"):  # killed in the middle of a word
            break
        said: dict[str, Any] = json.loads(line)
        if "event" not in said:
            return said
        tell(BuildEvent(**said["event"]))
    return {}


def _kill_once(cancel: Event, process: subprocess.Popen[bytes]) -> None:
    """Kill the process once somebody cancels; what it leaves, the cache sweeps away."""
    while process.returncode is None:
        if cancel.wait(_LOOK_S):
            process.kill()
            return


def _ending(code: int) -> str:
    """Return what the end of a process without a word means."""
    if code < 0:
        return f"the build ended by signal {-code}, probably out of memory: try a smaller size"
    return f"the build ended with code {code}: its reason is in the log"
