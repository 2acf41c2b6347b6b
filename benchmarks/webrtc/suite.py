"""Measures glass to glass: through a server with no model, a slow one, a real one.

    turns of:  pass-through, echo, pass-through, echo  (in a browser, and by an aiortc peer)
    then:      a model of 200 ms;  the built-in one

Every client sends numbered pictures of the model's size and notes when it first sees each again.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeVar  # Any: JSON

from benchmarks.machine import listen, load_average, load_facts, machine_facts, versions
from benchmarks.report import Report
from benchmarks.rivals import why_no_ratio
from benchmarks.webrtc.ages import Turn, figures, turn_of
from benchmarks.webrtc.browser import Sending, launched, measuring
from benchmarks.webrtc.load import read_tree_load, share_since
from benchmarks.webrtc.pictures import COUNT, FPS, as_jpegs, pictures
from benchmarks.webrtc.serving import echoing, serving
from streamgen.errors import StreamgenError
from streamgen.passthrough import SLOW_S
from streamgen.sources import Size

if TYPE_CHECKING:
    from playwright.sync_api import Browser

logger = logging.getLogger(__name__)

SIZE = Size(256, 256)
TURNS = 2
BROWSER, PEER = "browser", "peer"
_WORKERS = {
    "passthrough": "streamgen.passthrough:make_passthrough_worker",
    "slow_model": "streamgen.passthrough:make_slow_worker",
}
_PACKAGES = ("aiortc", "playwright")
_FACTS = ("model", "backend", "precision", "width", "height")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long each subject is watched by each client, in all turns together, and what is before.

    warmup_s: of each turn, until the encoders' bit rates have settled.
    """

    seconds: float = 60.0
    warmup_s: float = 3.0


@dataclass(slots=True, kw_only=True)
class Seen:
    """All turns so far by subject and client, and what went on besides.

    shares: of the machine that strangers used, turn by turn. facts: what a server said of itself.
    """

    turns: dict[tuple[str, str], list[Turn]] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, subject: str, client: str, turn: Turn) -> None:
        """Add a turn; StreamgenError where nothing came back."""
        if not turn.first:
            raise StreamgenError(f"{subject}: no picture came back to the {client}")
        self.turns.setdefault((subject, client), []).append(turn)
        logger.info("%s, %s: %s", subject, client, figures([turn]))


def measure_webrtc(plan: Plan) -> tuple[Report, Seen]:
    """Measure everything; return the report, and every turn for whoever draws it."""
    from playwright.sync_api import sync_playwright  # of those who develop

    seen, averages, before = Seen(), load_average(), listen()
    with sync_playwright() as driver:
        browser = launched(driver)
        try:
            _take_turns(browser, plan, seen)
            for subject, options in (("slow_model", _debug("slow_model")), ("tiny", _BARCODE)):
                with serving(*options) as served:
                    _watch(browser, served.url, subject, plan.seconds, plan, seen)
            found = versions() | {name: metadata.version(name) for name in _PACKAGES}
            found["chromium"] = browser.version
        finally:
            browser.close()
    during = max(seen.shares) if seen.shares else None
    machine = machine_facts("cpu") | {"load_average": averages, **load_facts(before, during)}
    return make_report(seen, plan=plan, machine=machine, versions=found), seen


def make_report(
    seen: Seen,
    *,
    plan: Plan,
    machine: Mapping[str, Any],
    versions: Mapping[str, object],
) -> Report:
    """Return all figures, ratios only where the machine was idle."""
    report: Report = {}
    for (subject, client), turns in seen.turns.items():
        place = report if client == BROWSER else report[subject]
        place[subject if client == BROWSER else client] = figures(turns)
    for subject, facts in seen.facts.items():
        report[subject] |= facts
    reason = why_no_ratio(machine)
    ours, echo = report["passthrough"], report["echo"]
    ours["ratio_to_echo"] = None if reason else _ratio(ours, echo)
    if PEER in ours:
        ours[PEER]["ratio_to_echo"] = None if reason else _ratio(ours[PEER], echo[PEER])
    if "slow_model" in report:
        most = 1000 * SLOW_S + ours["p95_ms"] + 1000 / FPS
        report["slow_model"]["allowed_age_ms"] = round(most, 3)
    report["reason"] = reason
    report["config"] = {
        "suite": "webrtc",
        "size": str(SIZE),
        "fps": FPS,
        "seconds": plan.seconds,
        "warmup_s": plan.warmup_s,
        "turns": TURNS,
    }
    return report | {"machine": dict(machine), "versions": dict(versions)}


_BARCODE = ("--debug-barcode", "--size", str(SIZE))


def _debug(subject: str) -> tuple[str, ...]:
    return (*_BARCODE, "--debug-worker", _WORKERS[subject])


def _take_turns(browser: Browser, plan: Plan, seen: Seen) -> None:
    """Watch ours and the echo A B A B …, so that both meet the same load."""
    seconds = plan.seconds / TURNS
    with ExitStack() as stack:
        ours = stack.enter_context(serving(*_debug("passthrough")))
        echo = stack.enter_context(echoing())
        subjects = {"passthrough": ours.url, "echo": echo.url}
        for _ in range(TURNS):
            for subject, url in subjects.items():
                _watch(browser, url, subject, seconds, plan, seen)
        for _ in range(TURNS):
            for subject, url in subjects.items():
                turn = _noting_load(seen, lambda: _peer_turn(url, seconds, plan))  # noqa: B023
                seen.note(subject, PEER, turn)


def _watch(
    browser: Browser, url: str, subject: str, seconds: float, plan: Plan, seen: Seen
) -> None:
    """Watch one server in the browser for one turn."""
    sending = Sending(size=SIZE, pictures=tuple(as_jpegs(pictures(SIZE, count=COUNT))))
    with measuring(browser, url, sending) as measurement:
        times = _noting_load(
            seen, lambda: measurement.watch(warmup_s=plan.warmup_s, seconds=seconds)
        )
        turn = measurement.finish(*times)
        status = measurement.status()
        seen.facts[subject] = {name: status[name] for name in _FACTS if name in status}
    seen.note(subject, BROWSER, turn)


def _peer_turn(url: str, seconds: float, plan: Plan) -> Turn:
    command = [sys.executable, "-m", "benchmarks.webrtc.peer", url, "--size", str(SIZE)]
    command += ["--seconds", str(seconds), "--warmup", str(plan.warmup_s)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 180)
    if done.returncode != 0:
        raise StreamgenError(f"the aiortc peer failed: {done.stderr.strip()[-600:]}")
    return _turn_in(json.loads(done.stdout))


def _turn_in(told: Mapping[str, Any]) -> Turn:
    drawn: Sequence[tuple[int, float]] = told["drawn"]
    shown: Sequence[tuple[int | None, float]] = told["shown"]
    return turn_of(drawn, shown, begin_ms=told["begin_ms"], end_ms=told["end_ms"])


def _noting_load(seen: Seen, work: Callable[[], T]) -> T:
    """Do some work and note what strangers used of the machine meanwhile."""
    before = read_tree_load()
    result = work()
    share = share_since(before)
    if share is not None:
        seen.shares.append(share)
    return result


def _ratio(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float:
    ratio: float = round(ours["p50_ms"] / theirs["p50_ms"], 3)
    return ratio
