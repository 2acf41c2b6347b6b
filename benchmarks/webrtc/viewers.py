"""What one more viewer of a stream costs the server: the picture is encoded once for all of them.

    python -m benchmarks.webrtc.viewers [--seconds 20] [--json PATH]

A publisher of OBS's shape streams to a server that gives pictures back as they are; viewers come
in a process of their own. Prints the processor time of the server's edge, where all encoding is
done, for each number of viewers; the process that draws is another one and does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import machine_facts, versions
from benchmarks.webrtc.obs import Publisher, Viewer
from benchmarks.webrtc.pictures import pictures
from benchmarks.webrtc.serving import Served, serving
from streamgen.sources import Size

COUNTS = (0, 1, 2, 4)
SIZE, FPS = Size(512, 512), 30.0
SETTLE_S = 3.0
_PASSTHROUGH = ("--debug-worker", "streamgen.passthrough:make_passthrough_worker")


async def watch(url: str, count: int) -> None:
    """Be so many viewers until this process is ended."""
    viewers = [Viewer(url=f"{url}whep/show") for _ in range(count)]
    for viewer in viewers:
        answer = await viewer.start()
        assert answer.status == 201, answer.body
    await asyncio.gather(*(viewer.until(1) for viewer in viewers))
    sys.stdout.write("there\n")
    sys.stdout.flush()
    while True:
        await asyncio.sleep(1)
        for viewer in viewers:
            viewer.pictures.clear()


async def publish(url: str) -> None:
    """Be the publisher until this process is ended."""
    publisher = Publisher(url=f"{url}whip/show", film=pictures(SIZE, count=8), fps=FPS)
    answer = await publisher.start()
    assert answer.status == 201, answer.body
    sys.stdout.write("there\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def used_s(pid: int) -> float:
    """Return the processor time that a process has used; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(served: Served, count: int, seconds: float) -> float:
    """Return the share of a core that the server uses with so many viewers."""
    viewers = _beside(served, "watch", str(count)) if count else None
    try:
        time.sleep(SETTLE_S)
        began, before = time.monotonic(), used_s(served.pid)
        time.sleep(seconds)
        return (used_s(served.pid) - before) / (time.monotonic() - began)
    finally:
        if viewers is not None:
            _end(viewers)


def run(seconds: float) -> dict[str, float]:
    """Return the share of a core by number of viewers, as JSON has its keys."""
    options = (*_PASSTHROUGH, "--size", str(SIZE))
    with serving(*options) as served:
        publisher = _beside(served, "publish")
        try:
            return {str(count): round(measured(served, count, seconds), 4) for count in COUNTS}
        finally:
            _end(publisher)


def _beside(served: Served, role: str, *more: str) -> subprocess.Popen[str]:
    """Start a part of the measurement in a process of its own, and wait until it is there."""
    command = (sys.executable, "-m", "benchmarks.webrtc.viewers", "--role", role, served.url, *more)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None, "it was asked for"
    assert process.stdout.readline() == "there\n", f"{role} did not begin"
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None, "it was asked for"
    process.stdout.close()


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--role", choices=("watch", "publish"), help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "watch":
        asyncio.run(watch(args.rest[0], int(args.rest[1])))
    elif args.role == "publish":
        asyncio.run(publish(args.rest[0]))
    else:
        found = run(args.seconds)
        for count, share in found.items():
            sys.stdout.write(f"{count} viewers: {100 * share:.0f} % of a core\n")
        if args.json is not None:
            setting = {"size": str(SIZE), "fps": FPS, "seconds": args.seconds}
            report = {"cores": found, **setting, "machine": machine_facts("cpu")}
            args.json.write_text(json.dumps({**report, "versions": versions()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
