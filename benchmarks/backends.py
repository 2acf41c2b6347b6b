"""Measures the frame path of one model with every backend and precision that runs here, in turns.

What each draws is compared with what torch draws in fp32, picture by picture.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.clip import Clip
from benchmarks.frame_path import FramePath, Plan, Run, measure, median_run
from benchmarks.machine import listen, load_average, load_facts, others_share, read_load
from engines.errors import EngineError
from engines.probing import Probed, probe
from engines.registry import TABLE, BackendRow
from streamgen.controls import Controls
from streamgen.errors import ConfigError
from streamgen.frame import Pixels
from streamgen.models.engines import Engines
from streamgen.quality import psnr

logger = logging.getLogger(__name__)

#: Pictures of the clip that are compared.
PICTURES = 12
#: What two equal pictures are told to have: JSON knows no infinity.
EQUAL_DB = 99.0
_DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A backend in one precision; int8 is that of the autoencoder."""

    backend: str
    precision: str

    @property
    def name(self) -> str:
        return f"{self.backend}-{self.precision}"


#: What all others are compared with.
REFERENCE = Variant(backend="torch", precision="fp32")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What takes part. auto: by backend, its variant in the precision that "auto" means.

    named: backends and variants that somebody asked for.
    absent: why a backend, or a variant of it, takes no part.
    """

    variants: tuple[Variant, ...]
    auto: Mapping[str, Variant]
    absent: Mapping[str, str]
    named: Sequence[str] = ()


def choose_variants(
    names: Sequence[str], *, device: str, table: Sequence[BackendRow] = TABLE
) -> Choice:
    """Return the variants of these names, of backends or variants; of all that run for none.

    The reference is always among them. Raises ConfigError for a name that cannot be had.
    """
    probed = probe(device, table)
    running = [each for each in probed if each.ok]
    absent = {each.name: f"{each.reason}; {each.hint}" for each in probed if not each.ok}
    every = [Variant(backend=each.name, precision=it) for each in running for it in each.precisions]
    for name in names:
        _check_name(name, probed, every)
    wanted = [each for each in every if not names or {each.backend, each.name} & set(names)]
    rest = [each for each in wanted if each != REFERENCE]
    auto = {each.name: Variant(backend=each.name, precision=each.precisions[0]) for each in running}
    return Choice(
        variants=(REFERENCE, *rest), auto=auto, absent={} if names else absent, named=tuple(names)
    )


def _check_name(name: str, probed: Sequence[Probed], every: Sequence[Variant]) -> None:
    for each in probed:
        if not each.ok and name.partition("-")[0] == each.name:
            raise ConfigError(f"--backends {name!r} does not run here: {each.reason}: {each.hint}")
    allowed = dict.fromkeys([each.backend for each in every] + [each.name for each in every])
    if name not in allowed:
        raise ConfigError(f"--backends {name!r}: choose {', '.join(allowed)}")


class Contest:
    """Engines of every variant, loaded; each draws the same frames."""

    def __init__(self, controls: Controls, *, clip: Clip, plan: Plan) -> None:
        self.controls = controls
        self.clip = clip
        self.plan = plan
        self.engines: dict[str, Engines] = {}
        self.absent: dict[str, str] = {}

    def load(self, choice: Choice, load: Callable[[Variant], Engines]) -> None:
        """Load what takes part; what was named and cannot be loaded raises, others are absent."""
        self.absent |= choice.absent
        for variant in choice.variants:
            try:
                self.engines[variant.name] = load(variant)
            except EngineError as error:
                if variant == REFERENCE or variant.name in choice.named:
                    raise
                self.absent[variant.name] = str(error)

    def compare(self) -> dict[str, dict[str, float]]:
        """Return by variant how near its pictures are to the reference's, in dB."""
        wanted = self._pictures(self.engines[REFERENCE.name])
        return {
            name: nearness(self._pictures(engines), wanted)
            for name, engines in self.engines.items()
            if name != REFERENCE.name
        }

    def precisions(self) -> dict[str, dict[str, str]]:
        """Return by variant what each of its networks computes in."""
        return {
            name: {role: engines.precision_of(role) for role in engines.modules}
            for name, engines in self.engines.items()
        }

    def measure(self) -> tuple[dict[str, list[Run]], dict[str, object]]:
        """Return the runs of every variant, and who else was at work meanwhile."""
        paths = {
            name: FramePath(engines, self.controls, clip=self.clip)
            for name, engines in self.engines.items()
        }
        averages, share_before = load_average(), listen()
        load = read_load()
        runs = measure(paths, self.plan)
        return runs, {"load_average": averages, **load_facts(share_before, others_share(load))}

    def _pictures(self, engines: Engines) -> list[Pixels]:
        path = FramePath(engines, self.controls, clip=self.clip)
        stride = max(1, len(self.clip.pictures) // PICTURES)
        drawn = [frame for k in range(PICTURES) for frame in path.redraw(k * stride)]
        return [frame.pixels for frame in drawn]


def nearness(drawn: Sequence[Pixels], wanted: Sequence[Pixels]) -> dict[str, float]:
    """Return PSNR in dB of uint8 pictures: the mean, and that of the worst one."""
    found = [min(EQUAL_DB, psnr(*pair)) for pair in zip(drawn, wanted, strict=True)]
    return {"psnr_db": round(float(np.mean(found)), 2), "worst_psnr_db": round(min(found), 2)}


def backends_facts(
    runs: Mapping[str, Sequence[Run]],
    near: Mapping[str, Mapping[str, float]],
    *,
    precisions: Mapping[str, Mapping[str, str]],
    auto: Mapping[str, Variant],
    reason: str | None,
) -> dict[str, object]:
    """Return speed and nearness of every variant, and their speeds over each other's.

    Each backend is there by its own name, too, as what "auto" makes of it. reason: why no ratio
    may be told, None where they may.
    """
    fps = {name: median_run(each).fps for name, each in runs.items()}
    backends = {
        name: {
            **_variant_facts(each, near.get(name)),
            "ratio": _ratio(fps, name, reason=reason),
            "precisions": dict(precisions[name]),
        }
        for name, each in runs.items()
    }
    plain = {name: backends[each.name] for name, each in auto.items() if each.name in backends}
    ratios = {
        name: {other: _ratio(fps, name, other, reason=reason) for other in fps if other != name}
        for name in fps
    }
    auto_names = {name: auto[name].name for name in plain}
    return {
        "reference": REFERENCE.name,
        "backends": backends | plain,
        "auto": auto_names,
        "ratios": {} if reason else ratios,
        "reason": reason,
    }


def _ratio(
    fps: Mapping[str, float], name: str, other: str = REFERENCE.name, *, reason: str | None
) -> float | None:
    return None if reason else round(fps[name] / fps[other], _DIGITS)


def _variant_facts(runs: Sequence[Run], near: Mapping[str, float] | None) -> dict[str, object]:
    median = median_run(runs)
    laps = {name: asdict(each) for name, each in median.stages.items()}
    return {
        "fps": round(median.fps, _DIGITS),
        "runs": [round(run.fps, _DIGITS) for run in runs],
        "stages": {
            name: {share: round(ms, _DIGITS) for share, ms in each.items()}
            for name, each in laps.items()
        },
        **(near or {"psnr_db": None, "worst_psnr_db": None}),
    }
