"""However visitors leave, nothing of them stays behind in the server."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.webrtc.browser import Sending, measuring
from streamgen.sources import Size

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in /proc, as on Linux"),
]

CROWD = Path(__file__).with_name("crowd.py")
#: Of a round; with STREAMGEN_SOAK=1 there are 100 visits, else 12.
OF_A_KIND = 4
KINDS = 3
#: A lost peer's seat is kept for 20 s.
GONE_S = 60.0
#: The pool that speaks to the model starts its threads one by one.
THREADS_OF_A_POOL = 2


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a server holds on to."""

    threads: int
    files: int
    tasks: float


def held_by(served: Any, metric: Any) -> Held:
    process = Path(f"/proc/{served.pid}")
    return Held(
        threads=len(list((process / "task").iterdir())),
        files=len(list((process / "fd").iterdir())),
        tasks=metric(served, "streamgen_loop_tasks"),
    )


def shared_memory(pid: int) -> set[str]:
    """Name the shared memory that a process looks at."""
    return set(re.findall(r"/dev/shm/(\S+)", Path(f"/proc/{pid}/maps").read_text()))


def until(is_so: Callable[[], object], what: str) -> None:
    give_up = time.monotonic() + GONE_S
    while not is_so():
        assert time.monotonic() < give_up, what
        time.sleep(0.25)


def crowd(served: Any, count: int, *, leaves: bool) -> None:
    """Have peers come; they leave as one should, or are killed, which is a network that is lost."""
    command = [sys.executable, str(CROWD), served.url, str(count)]
    command += ["--leave"] if leaves else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        if leaves:
            assert process.wait(60) == 0
        else:
            process.kill()


def kill_tab(browser: Any, served: Any) -> None:
    """Have a page come whose process is killed."""
    from playwright.sync_api import Error

    with pytest.raises(Error), measuring(browser, served.url, sends()) as measurement:
        measurement.wait_for_numbers(3)
        measurement.page.goto("chrome://crash", timeout=5000)


def sends() -> Sending:
    return Sending(size=Size(256, 256))


def test_nothing_stays_behind_however_visitors_leave(
    launch: Any, serve: Any, metric: Any, amount: Any
) -> None:
    """100 visits with STREAMGEN_SOAK=1, else 12: a third leaves, a third is killed or lost each."""
    browser, names = launch(), set[str]()
    worker = "streamgen.passthrough:make_passthrough_worker"
    with serve("--max-sessions", "64", "--debug-worker", worker) as served:

        def all_seats_are_free() -> bool:
            return metric(served, 'streamgen_seats{kind="free"}') == 64

        crowd(served, OF_A_KIND, leaves=True)
        until(all_seats_are_free, "seats of those who left are not free")
        before = held_by(served, metric)
        for _ in range(-(-amount.visits // (KINDS * OF_A_KIND))):
            crowd(served, OF_A_KIND, leaves=True)
            crowd(served, OF_A_KIND, leaves=False)
            for _ in range(OF_A_KIND):
                kill_tab(browser, served)
            names |= shared_memory(served.pid)
        assert names
        until(all_seats_are_free, "seats of those who were lost are not free")

        def is_as_before() -> bool:
            now = held_by(served, metric)
            return (
                now.threads <= before.threads + THREADS_OF_A_POOL
                and now.files <= before.files
                and now.tasks <= before.tasks
            )

        until(is_as_before, f"{before} became {held_by(served, metric)}")
        assert [name for name in names if Path("/dev/shm", name).exists()] == []
