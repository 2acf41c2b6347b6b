"""What a passed `engines verify --report` leaves behind, so that "auto" may take a backend here.

A proof is of one backend on one device, and holds as long as nothing differs that the networks
were made with: versions, the GPU, its driver, and the code that exports and builds.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # what JSON holds

from engines.errors import CacheUnusable
from engines.manifest import sync
from engines.protocol import Availability, EngineBackend

SCHEMA = 1
#: What networks pass through on their way to a backend, beside the backend's own files.
_EXPORTERS = ("export.py", "narrowing.py", "typed_*.py", "onnx_*.py", "marking.py", "swap.py")
_CODE = "code"
_DRIVER = Path("/sys/module/nvidia/version")
_ASK_DRIVER = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")

Facts = Mapping[str, str]


def proof_of(root: Path, backend: EngineBackend, device: str) -> Availability:
    """Tell whether a backend was proven on this device as it is now; never raises.

    root: of the cache. The versions are those that were proven.
    """
    where = f" --device {device}" if ":" in device else ""
    hint = f"streamgen engines verify --backend {backend.name}{where} --report"
    now = facts_of(backend, device)
    proven = _read(proof_path(root, backend.name)).get(now["device"])
    if not isinstance(proven, dict) or not isinstance(proven.get("facts"), dict):
        return Availability(ok=False, reason="never verified here", hint=hint)
    before: dict[str, str] = proven["facts"]
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if names:
        told = ", ".join(_change(name, before.get(name), now.get(name)) for name in names)
        reason = f"since it was verified here, this has changed: {told}"
        return Availability(ok=False, reason=reason, hint=hint, versions=before)
    return Availability(ok=True, versions=before)


def write_proof(
    root: Path, backend: EngineBackend, device: str, *, told: Mapping[str, object] | None = None
) -> Path:
    """Keep that a backend has passed on this device, all of it at once; return the file.

    told: plain data that is kept beside it for who looks there. Raises CacheUnusable.
    """
    path, facts = proof_path(root, backend.name), facts_of(backend, device)
    proofs = {**_read(path), facts["device"]: {"facts": dict(facts), "told": dict(told or {})}}
    _write(path, proofs)
    return path


def withdraw_proof(root: Path, backend: EngineBackend, device: str) -> bool:
    """Take back what was kept of a backend on this device; tell whether there was something."""
    path, name = proof_path(root, backend.name), facts_of(backend, device)["device"]
    proofs = _read(path)
    if name not in proofs:
        return False
    _write(path, {other: proof for other, proof in proofs.items() if other != name})
    return True


def proof_path(root: Path, name: str) -> Path:
    """Return where the proofs of a backend lie."""
    return root / "proofs" / f"{name}.json"


def facts_of(backend: EngineBackend, device: str) -> dict[str, str]:
    """Return what a proof is about, in words: a change in any of them ends it."""
    versions = dict(backend.probe(device).versions)
    return {**gpu_facts(device), **versions, _CODE: _code_of(backend)}


def gpu_facts(device: str) -> dict[str, str]:
    """Return name and generation of a GPU, and its driver's first number; of a CPU only "cpu"."""
    if not device.startswith("cuda"):
        return {"device": device.partition(":")[0]}
    import torch  # not above: who lists backends needs none of it

    gpu = torch.cuda.get_device_properties(device)
    major = driver_version().partition(".")[0]
    return {"device": gpu.name, "sm": f"{gpu.major}.{gpu.minor}", "driver": major or "unknown"}


def driver_version() -> str:
    """Return the version of the NVIDIA driver, as 570.86.15; "" where nobody tells."""
    try:
        return _DRIVER.read_text(encoding="ascii").strip()
    except OSError:  # not on Windows, nor where the system's folders are hidden
        pass
    try:
        done = subprocess.run(_ASK_DRIVER, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""


def _code_of(backend: EngineBackend) -> str:
    """Hash the files of a backend, those named after the one of its class, and the exporter's."""
    own = Path(inspect.getfile(type(backend)))
    here = Path(__file__).parent
    files = [*own.parent.glob(f"{own.stem}*.py"), *(f for it in _EXPORTERS for f in here.glob(it))]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _change(name: str, before: str | None, now: str | None) -> str:
    if name == _CODE:  # hashes tell nobody anything
        return "the code that builds and runs its networks"
    return f"{name} from {before or 'none'} to {now or 'none'}"


def _read(path: Path) -> dict[str, Any]:
    """Return what is kept, by device; nothing where it cannot be read or is of another form."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(kept, dict) or kept.get("schema") != SCHEMA:
        return {}
    proofs = kept.get("proofs")
    return proofs if isinstance(proofs, dict) else {}


def _write(path: Path, proofs: Mapping[str, object]) -> None:
    text = json.dumps({"schema": SCHEMA, "proofs": proofs}, indent=1, sort_keys=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.tmp-")
        temporary = Path(name)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            sync(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync(path.parent)
    except OSError as error:
        raise CacheUnusable(
            f"proof '{path}' cannot be written: {error.strerror or error}: set STREAMGEN_CACHE to a"
            " folder that can be written and has room"
        ) from error
