"""Measures one case and returns it as plain data."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.gpu.cases import MODES, PLAIN, Case
from benchmarks.gpu.count import total
from benchmarks.gpu.memory import forget_peak, memory_facts, stability_facts, watched
from benchmarks.gpu.networks import Networks, counted, make_networks
from benchmarks.gpu.peak import Peak
from benchmarks.gpu.rig import Bench, Rig
from benchmarks.machine import listen, load_facts, others_share, read_load
from benchmarks.rivals import why_no_ratio
from engines.verify import snr_db
from streamgen.errors import ModelError
from streamgen.metrics import percentiles

Result = dict[str, Any]  # what JSON holds
_DIGITS = 3


class Turns:
    """Runs of a rig, and how long each tick of them took."""

    def __init__(
        self, rig: Rig, case: Case, *, now_ns: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self.rig = rig
        self.case = case
        self.now_ns = now_ns
        self.number = 0
        self.laps_ms: list[list[float]] = []

    def run(self, ticks: int) -> list[float]:
        """Draw that many ticks and return the milliseconds of each."""
        laps = []
        for _ in range(ticks):
            began = self.now_ns()
            self.rig.tick(self.number)
            laps.append((self.now_ns() - began) / 1e6)
            self.number += 1
        return laps

    def turn(self) -> None:
        """Make one run that counts."""
        self.laps_ms.append(self.run(self.case.frames))

    @property
    def rates(self) -> list[float]:
        """Pictures a second of all streams together, by run."""
        return [1e3 * self.case.streams * len(laps) / sum(laps) for laps in self.laps_ms]

    def facts(self) -> Result:
        """Return the figures of all runs; fps: the median."""
        laps = asdict(percentiles([each for run in self.laps_ms for each in run]))
        return {
            "fps": round(statistics.median(self.rates), _DIGITS),
            "runs": [round(rate, _DIGITS) for rate in self.rates],
            "tick_ms": {name: round(value, _DIGITS) for name, value in laps.items()},
        }


def measure_case(case: Case, bench: Bench, peak: Peak) -> Result:
    """Measure a case; whatever cannot be had is raised as its own error."""
    networks = make_networks(case, bench.precision, scale=bench.scale, device=bench.device)
    before = forget_peak(bench.device)
    with Rig(networks, case=case, mode=MODES[case.mode], bench=bench) as rig:
        turns = _warmed_up(rig, case)
        # Not before: compilers are other processes, and they are ours.
        share_before, load = listen(), read_load()
        result: Result = {"graph": dict(rig.graph_facts), "ready_s": round(rig.ready_s, 1)}
        if case.kind == "stability":
            result |= {"stability": _stability(turns, bench.device)}
        else:
            turns.turn()
        result["memory"] = memory_facts(bench.device, before, weight_bytes=rig.weight_bytes)
        against = None
        if case.kind == "speed" and case.mode != PLAIN:
            against = _in_turns(turns, networks, bench)
        for _ in range(case.runs - len(turns.laps_ms)):
            turns.turn()
        result |= turns.facts() | load_facts(share_before, others_share(load))
    result["against"] = None if against is None else _with_ratio(against, result)
    result["roofline"] = _roofline(case, bench, peak, turns)
    return result


def _warmed_up(rig: Rig, case: Case) -> Turns:
    """Fill the ring, and raise ModelError where what is to be measured would be no picture."""
    turns = Turns(rig, case)
    turns.run(max(case.warmup, case.steps))
    if not bool(torch.isfinite(rig.step.latent).all()):
        raise ModelError(f"{case.name}: drew NaN or infinity: try --precision fp32")
    return turns


def _in_turns(turns: Turns, networks: Networks, bench: Bench) -> Result:
    """Make the runs that are left, in turns with as many of the plain mode; return its figures."""
    case = turns.case
    with Rig(networks, case=case, mode=MODES[PLAIN], bench=bench) as rig:
        plain = _warmed_up(rig, case)
        plain.turn()
        for _ in range(case.runs - 1):
            turns.turn()
            plain.turn()
        agreement_db = _agreement_db(turns.rig, rig)
        return {"mode": PLAIN, **plain.facts(), "agreement_db": round(agreement_db, 1)}


def _with_ratio(against: Result, result: Result) -> Result:
    """Add how many times faster we are than the plain mode, or why that cannot be told."""
    reason = why_no_ratio(result)
    ratio = None if reason else round(float(result["fps"]) / float(against["fps"]), _DIGITS)
    return {**against, "ratio": ratio, "reason": reason}


def _agreement_db(rig: Rig, plain: Rig) -> float:
    """Return the SNR of one's last latents against the other's, made of the same pictures."""
    levels = len(rig.step.x)
    for number in range(levels):
        rig.tick(number)
        plain.tick(number)
    return snr_db(rig.step.latent, plain.step.latent)


def _stability(turns: Turns, device: str) -> Result:
    """Draw many pictures and watch what is held; tick_ms: the median of each part."""
    frames = turns.case.frames

    def part(ticks: int) -> None:
        turns.laps_ms.append(turns.run(ticks))

    looks = watched(frames, run=part, device=device)
    medians = [round(statistics.median(laps), _DIGITS) for laps in turns.laps_ms]
    return {**stability_facts(looks, frames), "tick_ms": medians}


def _roofline(case: Case, bench: Bench, peak: Peak, turns: Turns) -> Result:
    """Return what a tick has to do at least, and how near it came to the least time for that."""
    by_role = counted(case, bench.precision, scale=bench.scale)
    every = [each for work in by_role.values() for each in work]
    least_s = sum(each.seconds(peak.flops, peak.bytes) for each in every)
    whole = total(every)
    tick_s = percentiles([each for run in turns.laps_ms for each in run]).p50 / 1e3
    return {
        "gflop": {role: round(total(work).flops / 1e9, 3) for role, work in by_role.items()},
        "gbyte": {role: round(total(work).bytes / 1e9, 4) for role, work in by_role.items()},
        "least_ms": round(least_s * 1e3, 4),
        "share": round(least_s / tick_s, 4),
        "share_of_flops": round(whole.flops / tick_s / peak.flops, 4),
        "share_of_bytes": round(whole.bytes / tick_s / peak.bytes, 4),
    }
