"""The other process of `prebuild`: builds networks into the cache and tells of it on stdout."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import IO, Any  # Any: JSON

from engines.cache import EngineCache
from engines.progress import BuildEvent
from streamgen.config import StreamConfig
from streamgen.models.prebuild import NICE


def main() -> None:
    """Do what one line on stdin asks for; end at once where stdin does."""
    if sys.platform != "win32":
        os.nice(NICE)
    asked = json.loads(sys.stdin.readline())
    Thread(target=_end_with, args=(sys.stdin,), name="parent", daemon=True).start()
    # What libraries print is no JSON: it goes where the log goes.
    told, sys.stdout = sys.stdout, sys.stderr
    from streamgen.models.engines import engines_of

    def tell(event: BuildEvent) -> None:
        _say(told, {"event": asdict(event)})

    try:
        config = StreamConfig(**asked["config"])
        cache = EngineCache(Path(asked["cache"]), max_bytes=asked["max_bytes"])
        engines = engines_of(config, cache)
        engines.networks.tell = tell
        for role, batch in asked["wanted"]:
            engines.build(role, batch)
    # Whatever a compiler comes up with is a sentence over there.
    except Exception as error:  # noqa: BLE001
        _say(told, {"failure": str(error) or repr(error)})
    else:
        _say(told, {"done": True})


def _end_with(parent: IO[str]) -> None:
    parent.read()
    os._exit(1)


def _say(told: IO[str], message: dict[str, Any]) -> None:
    told.write(json.dumps(message) + "\n")
    told.flush()


if __name__ == "__main__":
    main()
