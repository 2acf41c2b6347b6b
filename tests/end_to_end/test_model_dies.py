"""The process of the model is killed while somebody watches."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc, as on Linux"),
]


def model_process(server_pid: int) -> int:
    """Return the process that a server's model lives in."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if int(parent) == server_pid and b"spawn_main" in command:
            return int(folder.name)
    raise AssertionError("the server has no such process")


def test_the_picture_comes_back_with_the_same_controls(visit: Any, serve: Any, metric: Any) -> None:
    worker = "streamgen.passthrough:make_passthrough_worker"
    with serve("--debug-worker", worker) as served:
        visitor = visit(served)
        page = visitor.page
        visitor.start()
        page.fill("textarea", "comic, cool colors")
        visitor.until(
            lambda: visitor.status()["controls"]["prompts"][0]["text"] == "comic, cool colors"
        )
        os.kill(model_process(served.pid), signal.SIGKILL)
        visitor.until(lambda: metric(served, "streamgen_model_restarts_total") == 1)
        visitor.until(lambda: visitor.status()["state"] == "running")
        # The server repeats the last picture each second: more than that is new.
        video = page.locator(".output video:nth-of-type(2)")
        played = "video => video.getVideoPlaybackQuality().totalVideoFrames"
        before = video.evaluate(played)
        page.wait_for_timeout(2000)
        assert video.evaluate(played) > before + 6

        status = visitor.status()
        assert status["controls"]["prompts"][0]["text"] == "comic, cool colors"
        assert [told["id"] for told in visitor.opened] == [status["id"]]
        page.wait_for_selector("body[data-state=live]")
