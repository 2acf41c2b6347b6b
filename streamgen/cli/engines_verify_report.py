"""`engines verify --report`: all that is looked at of a backend, what came of it, and its proof."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any  # what JSON holds

import torch

from engines.errors import EngineError
from engines.graphs import Recorder, recorder_for
from engines.proof import withdraw_proof, write_proof
from engines.registry import AUTO, TABLE, BackendRow
from streamgen.cli.engines_verify_checks import (
    FAILED,
    NOT_RUN,
    PASSED,
    Check,
    NotRun,
    Subject,
    attempted,
)
from streamgen.cli.engines_verify_frames import NAME as FRAMES
from streamgen.cli.engines_verify_frames import Terms, draw
from streamgen.cli.engines_verify_graph import NAME as GRAPH
from streamgen.cli.engines_verify_graph import replay
from streamgen.cli.engines_verify_networks import Checked, check
from streamgen.cli.engines_verify_swap import NAME as LORA
from streamgen.cli.engines_verify_swap import swap

NETWORKS, PROOF = "networks", "proof"
#: Below this part of the reference's speed with every model, "auto" is better off with that.
LEAST_RATIO = 0.95

Tell = Callable[[str, Check], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What came of one subject."""

    subject: Subject
    networks: Sequence[Checked]
    checks: Sequence[Check]

    @property
    def has_failed(self) -> bool:
        """Whether something is not as it has to be."""
        return any(each.verdict == FAILED for each in self.checks)

    @property
    def is_auto(self) -> bool:
        """Whether all networks are in the precision that "auto" means."""
        choice = self.subject.engines.choice
        auto = choice.backend.precisions(choice.device)[0]
        return {each.precision for each in self.networks} == {auto}

    @property
    def ratio(self) -> float | None:
        """Speed over the reference's, None where that was not measured."""
        facts = next((each.facts for each in self.checks if each.name == FRAMES), {})
        found = facts.get("ratio")
        return found if isinstance(found, float) else None

    def told(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        engines = self.subject.engines
        return {
            "model": engines.config.model,
            "size": f"{engines.config.width}x{engines.config.height}",
            "backend": self.subject.backend,
            "precision": engines.described_precision,
            "device": engines.choice.device,
            "networks": [asdict(each) for each in self.networks],
            "checks": [asdict(each) for each in self.checks],
        }


def examine(
    subject: Subject,
    terms: Terms,
    *,
    recorder: Callable[[torch.device], Recorder | None] = recorder_for,
    tell: Tell = lambda title, check: None,
) -> Examined:
    """Look at everything of a subject, one after the other; its engines are closed then.

    tell: hears of each check as it ends.
    """
    networks: list[Checked] = []
    checks: list[Check] = []
    for name, look in _looks(subject, terms, networks, recorder):
        found = attempted(name, look)
        tell(subject.title, found)
        checks.append(found)
        if name == NETWORKS and found.verdict == FAILED:
            missing = "the networks have failed"
            rest = (GRAPH, FRAMES, LORA)
            checks += [Check(name=each, verdict=NOT_RUN, said=missing) for each in rest]
            break
    return Examined(subject=subject, networks=networks, checks=checks)


def _looks(
    subject: Subject,
    terms: Terms,
    networks: list[Checked],
    recorder: Callable[[torch.device], Recorder | None],
) -> Iterator[tuple[str, Callable[[], Check]]]:
    yield NETWORKS, partial(_compare, subject, networks)
    yield GRAPH, partial(replay, subject, recorder, now_ns=terms.now_ns)
    yield FRAMES, partial(draw, subject, terms)
    # The last one: with torch, what was exchanged is what all others draw with.
    yield LORA, partial(swap, subject, now_ns=terms.now_ns)


def _compare(subject: Subject, networks: list[Checked]) -> Check:
    networks += check(subject.engines, subject.networks, subject.builder)
    failures = [f"{each.role} x{each.batch}: {each.failure}" for each in networks if each.failure]
    said = f"{len(networks) - len(failures)} of {len(networks)} are as exact as they have to be"
    if failures:
        return Check(name=NETWORKS, verdict=FAILED, said="; ".join([said, *failures]))
    return Check(name=NETWORKS, verdict=PASSED, said=said)


def settle(examined: Sequence[Examined], table: Sequence[BackendRow] = TABLE) -> dict[str, Check]:
    """Keep proofs of the backends that need one for "auto", or take them back; return by name.

    Only what was looked at in the precision that "auto" means, decides.
    """
    needy = {row.name for row in table if row.needs_proof}
    names = dict.fromkeys(each.subject.backend for each in examined)
    return {
        name: attempted(
            PROOF, partial(_settled, [e for e in examined if e.subject.backend == name])
        )
        for name in names
        if name in needy
    }


def _settled(examined: Sequence[Examined]) -> Check:
    """Keep the proof of the one backend that these are of, or take it back."""
    choice = examined[0].subject.engines.choice
    root = examined[0].subject.engines.networks.cache.root
    backend, device = choice.backend, choice.device
    meant = [each for each in examined if each.is_auto]
    if not meant:
        auto = backend.precisions(device)[0]
        raise NotRun(f"{AUTO} would take {backend.name} in {auto}, which was not looked at")
    if why := why_not(meant):
        withdraw_proof(root, backend, device)
        raise NotRun(f"{AUTO} will not take {backend.name} here: {why}")
    ratios = {each.subject.engines.model.row.name: each.ratio for each in meant}
    write_proof(root, backend, device, told={"ratios": ratios})
    said = f"kept: {AUTO} may take {backend.name} on this {device} from now on"
    return Check(name=PROOF, verdict=PASSED, said=said)


def why_not(meant: Sequence[Examined]) -> str:
    """Return why these are no proof; "" where they are one."""
    for each in meant:
        for found in each.checks:
            if found.verdict == FAILED:
                return f"{found.name} failed"
            if found.verdict == NOT_RUN and found.is_needed:
                return f"{found.name} did not run: {found.said}"
    ratios = [each.ratio for each in meant if each.ratio is not None]
    if ratios and max(ratios) < LEAST_RATIO:
        return f"it has {max(ratios):g} of the reference's speed at best"
    return ""


def raise_failures(examined: Sequence[Examined], proofs: Iterable[Check]) -> None:
    """Raise EngineError naming the first check that failed, where one did."""
    failed = [
        f"{each.subject.title}, {found.name}: {found.said}"
        for each in examined
        for found in each.checks
        if found.verdict == FAILED
    ]
    failed += [f"{each.name}: {each.said}" for each in proofs if each.verdict == FAILED]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise EngineError(failed[0] + more)
