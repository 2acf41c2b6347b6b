"""Networks compiled in one mode and the step that they make, fed from the host and read back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

import torch
from torch import Tensor

from benchmarks.gpu.cases import Case, Mode
from benchmarks.gpu.networks import Networks
from benchmarks.gpu.peak import wait
from benchmarks.gpu.step import Step
from engines.cache import EngineCache
from engines.graphs import Graph, recorder_for
from engines.protocol import CompiledModule
from engines.registry import choose
from engines.store import NetworkStore
from streamgen.models.ports import parts_of

#: Pictures that are put in, one after the other, again and again.
_PICTURES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all cases are measured on. scale: of the widths of the networks."""

    device: str
    precision: str
    scale: float
    cache: EngineCache


class Rig:
    """One mode of a case at work; `close` gives its memory back."""

    def __init__(self, networks: Networks, *, case: Case, mode: Mode, bench: Bench) -> None:
        self.device = bench.device
        self.compiled, self.ready_s = _compiled(networks, mode, bench)
        self.step = Step(networks, self.compiled, case=case, device=bench.device)
        recorder = recorder_for(torch.device(bench.device))
        self.graph = Graph(self.step.run, recorder) if mode.graph else None
        self.run = self.step.run if self.graph is None else self.graph.run
        self.pictures = _pictures(self.step.pixels, bench.device)
        self.drawn = torch.empty_like(
            self.step.drawn, device="cpu", pin_memory=bench.device.startswith("cuda")
        )

    def tick(self, number: int) -> None:
        """Put a picture of each stream in, draw, and have what was drawn on the host."""
        self.step.pixels.copy_(self.pictures[number % _PICTURES], non_blocking=True)
        self.run()
        self.drawn.copy_(self.step.drawn, non_blocking=True)
        wait(self.device)

    @property
    def weight_bytes(self) -> int:
        """What the networks say that they hold; batch sizes of eager torch share it."""
        networks = {id(each): each for parts in self.compiled.values() for each in parts}
        return sum(each.memory().weight_bytes for each in networks.values())

    @property
    def graph_facts(self) -> Mapping[str, object]:
        """Say whether the step is one graph, and if not, why."""
        if self.graph is None:
            return {"asked": False, "captured": False, "reason": None}
        reason = self.graph.reason or None
        return {"asked": True, "captured": self.graph.is_captured, "reason": reason}

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for parts in self.compiled.values():
            for each in parts:
                each.close()


def _compiled(
    networks: Networks, mode: Mode, bench: Bench
) -> tuple[dict[str, list[CompiledModule]], float]:
    """Compile the networks in the batch sizes of the backend; return the seconds, too."""
    backend = choose(mode.backend, device=bench.device).backend
    store = NetworkStore(backend=backend, cache=bench.cache, device=bench.device)
    began = time.perf_counter()
    compiled = {}
    for role, part in networks.parts.items():
        sizes = parts_of(part.rows, backend.batch_sizes)
        made = {size: store.compile(part.spec_for(size), part.module) for size in set(sizes)}
        compiled[role] = [made[size] for size in sizes]
    return compiled, time.perf_counter() - began


def _pictures(like: Tensor, device: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    made = [
        torch.randint(0, 256, like.shape, generator=generator, dtype=torch.uint8)
        for _ in range(_PICTURES)
    ]
    return [each.pin_memory() for each in made] if device.startswith("cuda") else made
