"""Builds in a process of their own, which may be cancelled, and may die, without harm."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any, NoReturn  # Any: JSON

from engines.build_worker import JOB
from engines.building import BuildJob
from engines.errors import BuildError
from engines.programs import save_program
from engines.progress import BuildEvent, Tell
from engines.protocol import BackendOptions

LOG = "build.log"
KEPT_LOGS = 20
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildApart:
    """A `building.Builder` that exports the module here and builds it in another process.

    options: of the backend there, which is found in the registry by its name. nice: how far it
    stands back for others, 0 to 19. What it prints becomes `build.log` of the artifact; of a build
    that fails it is kept as the job's log, which the error names.
    """

    options: BackendOptions = field(default_factory=BackendOptions)
    nice: int = 10

    def __call__(
        self, job: BuildJob, folder: Path, *, tell: Tell, cancel: Event
    ) -> Mapping[str, object]:
        """As of `Builder`; a cancelled build ends within a second, the export apart."""
        job.check(cancel)
        tell(job.event("exporting"))
        program = folder.with_name(f"{folder.name}.program")  # removed with it if we die here
        program.mkdir()
        try:
            self._write(job, program)
            job.check(cancel)
            answer = self._answer(job, program, folder, tell=tell, cancel=cancel)
            if "info" not in answer:
                job.check(cancel)
                _fail(job, answer, program / LOG)
            shutil.move(program / LOG, folder / LOG)
        finally:
            shutil.rmtree(program, ignore_errors=True)
        info: Mapping[str, object] = answer["info"]
        return info

    def _write(self, job: BuildJob, program: Path) -> None:
        save_program(job.spec, job.module, program, job.calibration)
        told = {
            "backend": job.backend.name,
            "options": asdict(self.options),
            "device": job.device,
            "limits": asdict(job.limits) if job.limits else None,
        }
        (program / JOB).write_text(json.dumps(told), encoding="utf-8")

    def _answer(
        self, job: BuildJob, program: Path, folder: Path, *, tell: Tell, cancel: Event
    ) -> dict[str, Any]:
        """Return the last thing that the process said, or how it ended."""
        answer: dict[str, Any] = {}
        # -P: nothing is imported from wherever this happens to run.
        command = [sys.executable, "-P", "-m", "engines.build_process"]
        command += [str(program), str(folder), str(self.nice)]
        with (
            (program / LOG).open("wb") as log,
            _running(command, log) as process,
            _closed_once(cancel, _of(process.stdin)),
        ):
            for line in _of(process.stdout):
                if not line.endswith(b"\n"):  # killed in the middle of a word
                    break
                said = json.loads(line)
                if "event" in said:
                    tell(BuildEvent(**said["event"]))
                else:
                    answer |= said
        return answer or {"code": process.returncode}


@contextmanager
def _running(command: list[str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process with a group of its own; of all in it nothing is left afterwards."""
    home = str(Path(__file__).parents[1])
    path = os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH")) if part)
    # Nobody waits for a build: the threads of OpenMP need not spin.
    environ = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": path}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=log, env=environ, start_new_session=True
    )
    try:
        yield process
    finally:
        _of(process.stdin).close()  # it ends the worker, if that is still at work
        with _of(process.stdout) as rest:
            rest.read()  # until all who could say something are gone
        if sys.platform != "win32":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _closed_once(cancel: Event, pipe: IO[bytes]) -> Iterator[None]:
    """Close the pipe as soon as the event is set."""
    done = Event()

    def watch() -> None:
        while not done.is_set():
            if cancel.wait(_LOOK_S):
                pipe.close()
                return

    thread = Thread(target=watch, name="build-cancel", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _fail(job: BuildJob, answer: Mapping[str, Any], log: Path) -> NoReturn:
    """Raise what the process has said; the log is kept where the error says."""
    if "errno" in answer:
        raise OSError(answer["errno"], answer["error"])
    said = answer.get("error") or f"{job.spec.role}: {_ending(answer, log)}"
    if job.log is None:
        raise BuildError(said)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(log, job.log)
    for old in sorted(job.log.parent.glob("*.log"), key=_age)[:-KEPT_LOGS]:
        old.unlink(missing_ok=True)
    raise BuildError(f"{said} (log: {job.log})")


def _ending(answer: Mapping[str, Any], log: Path) -> str:
    number = answer.get("signal") or max(0, -int(answer.get("code", 0)))
    if number:
        guess = ", probably out of memory" if number == 9 else ""
        return f"its build was ended by signal {number}{guess}"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
    return f"its build ended without an answer: {last.strip()}"


def _age(path: Path) -> float:
    return path.stat().st_mtime


def _of(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # all of them were asked for
    return pipe
