"""Draws with a backend and with the one that "auto" would take in its place, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.backends import nearness
from benchmarks.clip import Clip
from benchmarks.frame_path import FramePath, Plan, Run, measure, median_run
from benchmarks.gpu.memory import Held, forget_peak, memory_facts
from benchmarks.machine import listen, load_facts, others_share, others_words, read_load
from engines.protocol import BackendOptions
from engines.registry import TABLE, Choice, backend
from streamgen.cli.engines_verify_checks import FAILED, PASSED, Check, NotRun, Subject
from streamgen.frame import Pixels
from streamgen.models.engines import Engines

NAME = "frames"
#: Pictures that are compared, and how near to the reference's they have to be on average. Rounding
#: in bf16 leaves more than 30 dB; below this it is another picture.
PICTURES = 6
LEAST_PSNR_DB = 25.0
_DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is drawn, how often, and by which clock."""

    clip: Clip
    plan: Plan
    now_ns: Callable[[], int] = time.perf_counter_ns


def reference_for(name: str, device: str) -> Choice:
    """Return what a backend is measured against: inductor on a GPU, else torch, never itself.

    Raises NotRun where there is none.
    """
    names = ("inductor", "torch") if device.startswith("cuda") else ("torch",)
    for other in names:
        made = backend(other, options=BackendOptions(), table=TABLE)
        if other != name and made.probe(device).ok:
            return Choice(backend=made, device=device)
    raise NotRun(f"{name} is itself what others are measured against on {device}")


def draw(subject: Subject, terms: Terms) -> Check:
    """Measure the frame path against the reference's, in turns, and compare the pictures.

    How fast it is decides nothing here; that the pictures are the same does.
    """
    engines, device = subject.engines, subject.engines.choice.device
    choice = reference_for(subject.backend, device)
    engines.networks.builder = subject.builder
    before = forget_peak(device)
    try:
        path = _path(engines, subject, terms)
        drawn = [frame.pixels for k in range(PICTURES) for frame in path.redraw(k)]
        memory = _memory(device, before)
        reference = _reference(subject, choice)
        try:
            facts = _compared(path, drawn, _path(reference, subject, terms), terms)
        finally:
            reference.close()
    finally:
        engines.close()
    told = f"{choice.backend.name} in {reference.described_precision}"
    facts |= {"reference": told, "memory": memory}
    return _judged(subject, facts)


def _judged(subject: Subject, facts: Mapping[str, object]) -> Check:
    near, ratio = facts["psnr_db"], facts["ratio"]
    said = (
        f"{facts['fps']} frames per second, {ratio} times {facts['reference']}"
        f" ({facts['reference_fps']}); {facts['how']}; pictures {near} dB apart"
    )
    is_same = isinstance(near, float) and near >= LEAST_PSNR_DB
    if not is_same:
        said = f"its pictures are others than the reference's: {said}; at least {LEAST_PSNR_DB:g}"
        return Check(name=NAME, verdict=FAILED, said=said, facts=facts)
    return Check(name=NAME, verdict=PASSED, said=said, facts=facts)


def _reference(subject: Subject, choice: Choice) -> Engines:
    """Return engines of the reference, in the subject's precision if it can do that."""
    engines = subject.engines
    can = choice.backend.precisions(choice.device)
    precision = engines.precision if engines.precision in can else can[0]
    config = replace(engines.config, backend=choice.backend.name, precision=precision)
    cache, builder = engines.networks.cache, subject.builder
    return Engines(engines.model, config, choice=choice, cache=cache, builder=builder)


def _path(engines: Engines, subject: Subject, terms: Terms) -> FramePath:
    engines.prepare()
    return FramePath(engines, subject.controls, clip=terms.clip, now_ns=terms.now_ns)


def _memory(device: str, before: Held) -> dict[str, object]:
    """Return what is held with the subject alone loaded; its own word on weights is elsewhere."""
    facts = memory_facts(device, before, weight_bytes=0)
    del facts["weights_mib"]
    return facts


def _compared(
    path: FramePath, drawn: Sequence[Pixels], reference: FramePath, terms: Terms
) -> dict[str, object]:
    wanted = [frame.pixels for k in range(PICTURES) for frame in reference.redraw(k)]
    share_before, load = listen(), read_load()
    runs = measure({"subject": path, "reference": reference}, terms.plan)
    loads = load_facts(share_before, others_share(load))
    return {**_speeds(runs, terms.plan, loads), **nearness(drawn, wanted)}


def _speeds(
    runs: Mapping[str, list[Run]], plan: Plan, loads: Mapping[str, object]
) -> dict[str, object]:
    own, other = (median_run(runs[name]).fps for name in ("subject", "reference"))
    how = f"in turns, median of {plan.runs} runs of {plan.frames} frames each"
    if loads["busy"]:
        how += f", on a busy machine: {others_words(loads)}"
    return {
        "fps": round(own, _DIGITS),
        "reference_fps": round(other, _DIGITS),
        "ratio": round(own / other, _DIGITS),
        "runs": [round(run.fps, _DIGITS) for run in runs["subject"]],
        "reference_runs": [round(run.fps, _DIGITS) for run in runs["reference"]],
        "how": how,
        **loads,
    }
