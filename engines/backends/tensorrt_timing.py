"""How long kernels took on a GPU, kept from one build to the next; builds are right without it."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any  # TensorRT's bindings carry no types

from engines.backends.tensorrt_library import Library
from engines.locks import file_lock

logger = logging.getLogger(__name__)


def timing_path(folder: Path, library: Library, gpu_name: str) -> Path | None:
    """Return where the times are that go with an artifact's folder: one file a version and GPU.

    None where the folder is in no cache of artifacts.
    """
    layers = folder.absolute().parents  # <root>/engines/v1/<role>/<first two letters>/<folder>
    if len(layers) < 5 or (layers[3].name, layers[2].name) != ("engines", "v1"):
        return None
    gpu = re.sub(r"[^a-z0-9]+", "-", gpu_name.lower()).strip("-")
    return layers[4] / "timing" / f"{library.version}-{gpu}.cache"


def use_times(config: Any, path: Path | None) -> None:
    """Have a build look up what was timed before; what is no good is left out."""
    for stored in (_read(path), b""):
        cache = config.create_timing_cache(stored)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return


def keep_times(config: Any, path: Path | None) -> None:
    """Keep what a build has timed, with what others have kept meanwhile."""
    made = config.get_timing_cache()
    if path is None or made is None:
        return
    try:
        with file_lock(path.with_suffix(".lock")):
            earlier = config.create_timing_cache(_read(path))
            if earlier is not None:
                made.combine(earlier, ignore_mismatch=False)
            temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
            with temporary.open("wb") as file:
                file.write(made.serialize())
            os.replace(temporary, path)
    except OSError as error:
        logger.warning("tensorrt: times of this build are not kept: %s", error)


def _read(path: Path | None) -> bytes:
    try:
        return path.read_bytes() if path else b""
    except OSError:
        return b""
