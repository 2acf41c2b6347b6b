"""Measures the cases in order, as far as the budget goes; every result is on disk at once."""

from __future__ import annotations

import gc
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.cases import AMOUNTS, SCALES, Case, all_cases
from benchmarks.gpu.measure import Result, measure_case
from benchmarks.gpu.peak import Peak, find_peak, peak_facts
from benchmarks.gpu.rig import Bench
from benchmarks.machine import machine_facts, versions
from engines.cache import EngineCache, cache_root
from engines.errors import EngineError
from engines.precision import resolve
from engines.registry import choose
from streamgen.errors import ConfigError, StreamgenError

logger = logging.getLogger(__name__)

Report = dict[str, Any]  # what JSON holds
_PEAK_SIDES = {"full": 8192, "tiny": 128}
_WIDTHS = {"full": 1.0, "tiny": 0.1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for. budget_s: None for as long as it takes; json: None to keep nothing."""

    cases: Sequence[Case]
    scale: str
    device: str
    precision: str = "auto"
    budget_s: float | None = None
    json: Path | None = None
    resume: bool = False


Measure = Callable[[Case, Bench, Peak], Result]


def run_suite(
    order: Order,
    *,
    measure: Measure = measure_case,
    now_s: Callable[[], float] = time.monotonic,
    tell: Callable[[str], None] = logger.info,
) -> Report:
    """Measure what is not there yet and return the report, which is on disk after every case.

    A case that cannot be measured is a result with an error, and tried again by a later resume.
    """
    began, pace = now_s(), 1.0
    bench, report = _begun(order)
    peak = find_peak(
        bench.device,
        bench.precision,
        name=report["machine"]["gpu"],
        side=_PEAK_SIDES[order.scale],
    )
    report["peak"] = dict(peak_facts(peak))
    ledger = Ledger(report, order)
    for case in order.cases:
        if ledger.has(case):
            tell(f"{case.name}: there already")
            continue
        estimate_s, spent_s = case.estimate_s * pace, now_s() - began
        if order.budget_s is not None and spent_s + estimate_s > order.budget_s:
            ledger.leave_out(case, f"takes about {estimate_s:.0f} s, after {spent_s:.0f} s")
            tell(f"{case.name}: left out, it takes about {estimate_s:.0f} s")
            continue
        tell(f"{case.name}: about {estimate_s:.0f} s")
        found = _measured(case, bench, peak, measure)
        took_s = now_s() - began - spent_s
        if found["error"] is None:
            # A machine that is slower than we guessed is slower for the next case, too.
            pace = max(1.0, took_s / case.estimate_s)
        ledger.add(case, {"took_s": round(took_s, 1)} | found)
    return report


class Ledger:
    """A report that is on disk, whole, after every change; and what was there before."""

    def __init__(self, report: Report, order: Order) -> None:
        self.report = report
        self.path = order.json
        facts = _identity(report)
        #: In order of value.
        self.hashes = {case.name: case.hash(facts) for case in all_cases(order.scale)}
        before = read_results(order.json) if order.resume and order.json is not None else []
        known = set(self.hashes.values())
        self.found = {
            str(each["hash"]): each
            for each in before
            if each.get("hash") in known and not each.get("error")
        }
        report["results"] = self._sorted()

    def has(self, case: Case) -> bool:
        """Tell whether this very case was measured before, on such a device, without an error."""
        return self.hashes[case.name] in self.found

    def add(self, case: Case, result: Result) -> None:
        """Take up a result and write the report."""
        key = self.hashes[case.name]
        commit = self.report["versions"]["commit"]
        told = {"name": case.name, "hash": key, "commit": commit, "config": case.config()}
        self.found[key] = told | result
        self.report["results"] = self._sorted()
        self._save()

    def leave_out(self, case: Case, reason: str) -> None:
        """Note that a case did not fit into the budget and write the report."""
        self.report["left_out"].append({"name": case.name, "reason": reason})
        self._save()

    def _sorted(self) -> list[Result]:
        return [self.found[key] for key in self.hashes.values() if key in self.found]

    def _save(self) -> None:
        if self.path is not None:
            write_atomically(self.report, self.path)


def check_device(device: str, scale: str) -> str:
    """Return the device that is meant; raise ConfigError where the suite cannot run on it."""
    if scale not in SCALES:
        raise ConfigError(f"--scale {scale!r}: choose {', '.join(SCALES)}")
    if device == "cpu" and scale == "full":
        raise ConfigError("--scale full takes hours on a cpu: add --scale tiny, or use a GPU")
    kind = device.split(":")[0]
    if kind not in ("auto", "cuda", "cpu"):
        raise ConfigError(f"--device {device!r}: --suite gpu takes cuda, cuda:1, … or cpu")
    if kind == "cpu":
        return device
    if not torch.cuda.is_available():
        raise ConfigError(
            f"--suite gpu needs an NVIDIA GPU, and torch {torch.__version__} sees none: install a"
            " torch that was built for CUDA, or try the suite by --device cpu --scale tiny"
        )
    return "cuda" if device == "auto" else device


def read_results(path: Path) -> list[Result]:
    """Return the results of a report that was written before; none where there is no file.

    Raises ConfigError for a file that is something else.
    """
    if not path.exists():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        results = content["results"] if content["suite"] == "gpu" else None
    except (OSError, ValueError, KeyError, TypeError):
        results = None
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise ConfigError(f"--resume: '{path}' holds no results of --suite gpu: name another file")
    return results


def write_atomically(report: Report, path: Path) -> None:
    """Write a report so that there is always a whole one; ConfigError if it cannot be written."""
    text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False)
    beside = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        beside.write_text(text + "\n", encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigError(f"--json '{path}' cannot be written: {error.strerror}") from error


def _begun(order: Order) -> tuple[Bench, Report]:
    plain = choose("torch", device=order.device).backend
    precision = resolve(order.precision, plain, order.device)
    bench = Bench(
        device=order.device,
        precision=precision,
        scale=_WIDTHS[order.scale],
        cache=EngineCache(cache_root(os.environ)),
    )
    report: Report = {
        "suite": "gpu",
        "scale": order.scale,
        "weights": "random",
        "config": {"device": order.device, "precision": precision, **_amount(order.scale)},
        "machine": machine_facts(order.device),
        "versions": {"cuda": torch.version.cuda, "triton": _triton(), **versions()},
        "results": [],
        "left_out": [],
    }
    return bench, report


def _triton() -> str | None:
    try:
        return metadata.version("triton")
    except metadata.PackageNotFoundError:
        return None


def _amount(scale: str) -> dict[str, object]:
    amount = AMOUNTS[scale]
    return {"frames": amount.frames, "runs": amount.runs, "warmup": amount.warmup}


def _identity(report: Report) -> Mapping[str, object]:
    """Return what makes the same case another measurement."""
    machine, config = report["machine"], report["config"]
    return {
        "scale": report["scale"],
        "device": machine["gpu"] or machine["cpu"],
        "precision": config["precision"],
        "torch": report["versions"]["torch"],
    }


def _measured(case: Case, bench: Bench, peak: Peak, measure: Measure) -> Result:
    """Measure a case, or say why it cannot be; what it held is given back."""
    try:
        return {"error": None, **measure(case, bench, peak)}
    # torch tells of too little memory, and of much else on a GPU, by a RuntimeError.
    except (EngineError, StreamgenError, RuntimeError) as error:
        logger.warning("%s: %s", case.name, error)
        return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"}
    finally:
        gc.collect()
