"""The process that a build runs under: `python -m engines.build_process PROGRAM FOLDER NICE`.

It starts the worker that does the work, and ends it when its own standard input ends, because
whoever wanted the build is gone or wants it no more; then it leaves neither folder behind. It
imports nothing heavy, so that it is always awake. Standard output is the worker's, see there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread


def main(arguments: Sequence[str]) -> int:
    """Run the worker and return its exit code; one that a signal ended is told as JSON."""
    program, folder, nice = arguments
    if sys.platform != "win32":
        os.nice(int(nice))
        # All of the group are told to end below; this one has yet to tidy up.
        signal.signal(signal.SIGTERM, lambda number, frame: None)
    command = [sys.executable, "-P", "-m", "engines.build_worker", program, folder]
    # What compilers leave in a folder for temporary files goes with the program.
    temporary = Path(program) / "tmp"
    temporary.mkdir()
    environ = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}
    worker = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environ)
    unwanted = Event()
    watch = Thread(target=_watch, args=(worker, unwanted), daemon=True)
    watch.start()
    code = worker.wait()
    if unwanted.is_set():
        watch.join()
        for left in (program, folder):
            shutil.rmtree(Path(left), ignore_errors=True)
        return 1
    if code < 0:
        sys.stdout.write(json.dumps({"signal": -code}) + "\n")
        sys.stdout.flush()
    return code


def _watch(worker: subprocess.Popen[bytes], unwanted: Event) -> None:
    """Wait for the end of standard input, and end the worker and all that it has started."""
    while os.read(0, 64):  # not sys.stdin: its lock would be held when this process ends
        pass
    unwanted.set()
    if sys.platform != "win32":
        os.killpg(0, signal.SIGTERM)
    worker.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
