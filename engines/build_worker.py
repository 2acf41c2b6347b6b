"""Builds one program from disk: `python -m engines.build_worker PROGRAM FOLDER`.

PROGRAM is what `jobs.py` has written. Standard output is JSON, a line for each event, and last
what there is to say in the manifest, or why there is no artifact. What libraries print goes to
standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import TextIO

from engines import registry
from engines.building import BuildJob, build_here
from engines.errors import EngineError
from engines.programs import load_program
from engines.progress import BuildEvent
from engines.protocol import ArtifactBackend, BackendOptions
from engines.verify import Limits

#: Beside the program: backend, options, device, limits.
JOB = "job.json"


def main(arguments: Sequence[str]) -> int:
    """Build, telling of it on standard output; returns the exit code."""
    program, folder = map(Path, arguments)
    out = _own_output()

    def say(message: Mapping[str, object]) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    def tell(event: BuildEvent) -> None:
        say({"event": asdict(event)})

    try:
        say({"info": build_here(_job(program), folder, tell=tell, cancel=Event())})
    except EngineError as error:
        say({"error": str(error)})
        return 1
    except OSError as error:
        say({"error": error.strerror or str(error), "errno": error.errno})
        return 1
    return 0


def _own_output() -> TextIO:
    """Return standard output, and have what anybody else prints there go to standard error."""
    sys.stdout.flush()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _job(program: Path) -> BuildJob:
    told = json.loads((program / JOB).read_text(encoding="utf-8"))
    backend = registry.backend(told["backend"], options=BackendOptions(**told["options"]))
    if not isinstance(backend, ArtifactBackend):
        raise EngineError(f"backend {backend.name!r} builds nothing")
    spec, module, calibration = load_program(program)
    return BuildJob(
        spec=spec,
        module=module,
        backend=backend,
        device=told["device"],
        limits=Limits(**told["limits"]) if told["limits"] else None,
        calibration=calibration,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
