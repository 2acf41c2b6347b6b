"""What the suite measures, the most valuable first; measures nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Literal

from streamgen.errors import ConfigError
from streamgen.sources import Size

#: Another number makes all results measured before it results of something else.
SCHEMA = 1
SCALES = ("full", "tiny")

Kind = Literal["speed", "stability"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """A way to run the networks. graph: all of a step as one CUDA graph, where there is CUDA."""

    backend: str
    graph: bool


MODES: Mapping[str, Mode] = {
    "eager": Mode(backend="torch", graph=False),
    "eager-graph": Mode(backend="torch", graph=True),
    "inductor": Mode(backend="inductor", graph=True),
}
#: What every other mode is measured against, in turns.
PLAIN = "eager"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One measurement. estimate_s: what it takes, all in all; a wrong one harms nobody.

    shape: name of the networks; streams: pictures a tick; frames: ticks of a run.
    """

    shape: str
    size: Size
    steps: int
    streams: int
    mode: str
    frames: int
    runs: int
    warmup: int
    estimate_s: float
    kind: Kind = "speed"

    @property
    def name(self) -> str:
        """What `--only` takes for it."""
        side = self.size.width
        size = f"{side}" if side == self.size.height else str(self.size)
        many = "stream" if self.streams == 1 else "streams"
        name = f"{self.shape}-{size}-{self.steps}step-{self.streams}{many}-{self.mode}"
        return name if self.kind == "speed" else f"{name}-{self.kind}"

    def config(self) -> dict[str, object]:
        """Return what was asked for as plain data."""
        asked = asdict(self) | {"size": str(self.size)} | asdict(MODES[self.mode])
        del asked["estimate_s"]
        return asked

    def hash(self, facts: Mapping[str, object]) -> str:
        """Hash what was asked for and the facts beside it, to find a result again."""
        told = {"schema": SCHEMA, **self.config(), **facts}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How large and how much, at one scale.

    divisor: of the sides of the pictures; pace: of the seconds that were guessed for "full".
    """

    divisor: int
    pace: float
    frames: int
    runs: int
    warmup: int
    stable_frames: int


AMOUNTS: Mapping[str, Amount] = {
    "full": Amount(divisor=1, pace=1.0, frames=200, runs=3, warmup=20, stable_frames=10_000),
    "tiny": Amount(divisor=8, pace=0.2, frames=2, runs=2, warmup=1, stable_frames=20),
}
#: shape, width and height, steps, streams, modes; the most valuable first.
_ORDER: Sequence[tuple[str, tuple[int, int], int, int, tuple[str, ...]]] = (
    ("sd-turbo", (512, 512), 1, 1, ("eager", "inductor")),
    ("sd-turbo", (512, 512), 1, 8, ("eager", "inductor")),
    ("sd-1.5", (512, 512), 4, 1, ("eager", "inductor")),
    ("sd-1.5", (512, 512), 4, 8, ("inductor",)),
    ("sd-1.5", (512, 512), 1, 1, ("inductor",)),
    ("sd-1.5", (512, 512), 2, 1, ("inductor",)),
    ("sdxl-turbo", (512, 512), 1, 1, ("eager", "inductor")),
    ("sd-turbo", (768, 512), 1, 1, ("eager", "inductor")),
    ("sd-turbo", (512, 512), 1, 2, ("inductor",)),
    ("sd-turbo", (512, 512), 1, 4, ("inductor",)),
)
#: Of one measurement at full scale, guessed: loading and warming up, and compiling where it does.
_SECONDS = {"sd-turbo": 25.0, "sd-1.5": 30.0, "sdxl-turbo": 75.0}
_BUILD_SECONDS = {"sd-turbo": 150.0, "sd-1.5": 150.0, "sdxl-turbo": 300.0}
_STABILITY_SECONDS = 120.0


def all_cases(scale: str) -> list[Case]:
    """Return every case of a scale, the most valuable first."""
    speed = [
        _case(scale, shape, Size(*size), (steps, streams), mode)
        for shape, size, steps, streams, modes in _ORDER
        for mode in modes
    ]
    first = ("sd-turbo", Size(512, 512), (1, 1))
    stable = _case(scale, *first, "inductor", kind="stability")
    return [*speed, stable, _case(scale, *first, "eager-graph")]


def chosen_cases(cases: Sequence[Case], only: Iterable[str]) -> list[Case]:
    """Return the cases of these names, in which * stands for anything; all where there are none.

    Raises ConfigError for a name that no case has.
    """
    wanted = list(only)
    for pattern in wanted:
        if not any(fnmatchcase(case.name, pattern) for case in cases):
            names = ", ".join(case.name for case in cases)
            raise ConfigError(f"--only {pattern!r}: choose among {names}; * stands for anything")
    if not wanted:
        return list(cases)
    return [case for case in cases if any(fnmatchcase(case.name, each) for each in wanted)]


def _case(
    scale: str,
    shape: str,
    size: Size,
    much: tuple[int, int],
    mode: str,
    *,
    kind: Kind = "speed",
) -> Case:
    amount, (steps, streams) = AMOUNTS[scale], much
    is_stability = kind == "stability"
    estimate_s = _SECONDS[shape] * (1 + streams * steps / 8)
    estimate_s += _STABILITY_SECONDS if is_stability else 0.0
    estimate_s += _BUILD_SECONDS[shape] if mode == "inductor" else 0.0
    return Case(
        shape=shape,
        size=Size(size.width // amount.divisor, size.height // amount.divisor),
        steps=steps,
        streams=streams,
        mode=mode,
        frames=amount.stable_frames if is_stability else amount.frames,
        runs=1 if is_stability else amount.runs,
        warmup=amount.warmup,
        estimate_s=round(estimate_s * amount.pace, 1),
        kind=kind,
    )
