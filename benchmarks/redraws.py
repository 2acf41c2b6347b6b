"""Redraws one clip with several prompts and says, as data, what became of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.probe import Probe, probe
from benchmarks.sheet import write_sheet
from benchmarks.tone import CODECS, add_tone, find_onset
from streamgen.errors import SourceError
from streamgen.frame import Pixels
from streamgen.quality import edge_ssim, mean_difference
from streamgen.sources import Size, open_source

#: Least mean difference to the input, in levels, and least edge-SSIM to it.
LEAST_DIFFERENCE = 8.0
LEAST_EDGE_SSIM = 0.4
#: Pictures of a clip that are compared, evenly spread.
SAMPLES = 24
_SHEET_ROWS = 3

#: Redraws a clip into a file with a prompt; returns a complaint, or nothing.
Redraw = Callable[[Path, Path, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must hold: what was found, and whether it is enough."""

    name: str
    found: object
    is_ok: bool


@dataclass(slots=True, kw_only=True)
class Outcome:
    """All that is known of one clip; numbers: by prompt, then by name."""

    clip: str
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    sheet: str | None = None

    def check(self, name: str, found: object, is_ok: bool) -> None:
        """Note whether something holds."""
        self.checks.append(Check(name=name, found=found, is_ok=bool(is_ok)))

    @property
    def is_ok(self) -> bool:
        return all(check.is_ok for check in self.checks)

    def as_json(self) -> dict[str, object]:
        """Return everything as plain data."""
        return {**asdict(self), "is_ok": self.is_ok}


def run_streamgen(frames: int | None, options: Sequence[str]) -> Redraw:
    """Return redrawing by the command line, `frames` of a clip at most."""
    command = [sys.executable, "-m", "streamgen", "run"]
    tail = ["--overwrite", *(() if frames is None else ("--limit", str(frames))), *options]

    def redraw(clip: Path, target: Path, prompt: str) -> str:
        line = [*command, str(clip), str(target), "--prompt", prompt, *tail]
        done = subprocess.run(line, capture_output=True, text=True)
        return "" if done.returncode == 0 else done.stderr.strip() or f"code {done.returncode}"

    return redraw


def judge(
    clip: Path, folder: Path, *, prompts: Sequence[str], frames: int | None, redraw: Redraw
) -> Outcome:
    """Redraw a clip with every prompt into a folder, compare, and draw a contact sheet."""
    outcome = Outcome(clip=clip.name)
    source = probe(clip)
    if source is None:
        outcome.check("input", "ffprobe finds no video", False)
        return outcome
    expected = source.frames if frames is None else min(frames, source.frames)
    picked = _picks(expected)
    drawn: dict[str, list[Pixels]] = {}
    inputs: list[Pixels] = []
    for prompt in prompts:
        target = folder / f"{clip.stem}-{prompt.replace(' ', '-')}.mp4"
        if _redraw_one(outcome, clip, target, prompt=prompt, redraw=redraw):
            found = _check_file(outcome, target, prompt=prompt, source=source, expected=expected)
            if found is not None:
                drawn[prompt] = read_pictures(target, picked, size=None)
                size = Size(found.width, found.height)
                inputs = inputs or read_pictures(clip, picked, size=size)
    for prompt, pictures in drawn.items():
        _compare_to_input(outcome, inputs, pictures, prompt=prompt)
    _compare_prompts(outcome, drawn)
    if drawn:
        outcome.sheet = f"{clip.stem}.png"
        columns = {"input": inputs, **drawn}
        rows = np.linspace(0, len(inputs) - 1, _SHEET_ROWS).round().astype(int)
        sheet = {name: [each[row] for row in rows] for name, each in columns.items()}
        write_sheet(folder / outcome.sheet, sheet)
    return outcome


def judge_sound(
    clip: Path, folder: Path, *, onset_s: float, prompt: str, redraw: Redraw
) -> Outcome:
    """Give a clip a tone in every codec, redraw it, and look for the tone in the result."""
    outcome = Outcome(clip=f"{clip.name} with a tone")
    source = probe(clip)
    frame_s = float(1 / source.rate) if source is not None and source.rate else 1 / 30
    for codec, suffix in CODECS.items():
        toned = folder / f"tone-{codec}{suffix}"
        target = folder / f"tone-{codec}-redrawn.mp4"
        add_tone(clip, toned, codec=codec, onset_s=onset_s)
        if not _redraw_one(outcome, toned, target, prompt=prompt, redraw=redraw):
            continue
        onset = find_onset(target)
        name = f"{codec}: tone at {onset_s:g} s, within {1000 * frame_s:.0f} ms"
        outcome.check(name, onset, onset is not None and abs(onset - onset_s) <= frame_s)
    return outcome


def read_pictures(path: Path, picked: Sequence[int], *, size: Size | None) -> list[Pixels]:
    """Return the pictures of these numbers, cropped to a size as `streamgen run` does it."""
    wanted = set(picked)
    pictures = []
    with open_source(path, size=size) as source:
        try:
            for number, frame in enumerate(source.frames()):
                if number in wanted:
                    pictures.append(frame.pixels)
                if number >= max(wanted):
                    break
        except SourceError:
            return pictures  # too few of them, which ffprobe's count says as well
    return pictures


def _picks(count: int) -> list[int]:
    spread = np.linspace(0, count - 1, min(count, SAMPLES)).round()
    return [int(number) for number in spread]


def _redraw_one(outcome: Outcome, clip: Path, target: Path, *, prompt: str, redraw: Redraw) -> bool:
    complaint = redraw(clip, target, prompt)
    if complaint:
        outcome.check(f"{prompt}: run", complaint, False)
    return not complaint


def _check_file(
    outcome: Outcome, target: Path, *, prompt: str, source: Probe, expected: int
) -> Probe | None:
    found = probe(target)
    complaint = "no video" if found is None else found.complaints or "accepted"
    outcome.check(f"{prompt}: ffprobe", complaint, found is not None and found.is_accepted)
    if found is None:
        return None
    outcome.check(f"{prompt}: frames {expected}", found.frames, found.frames == expected)
    # Averages of clips that were cut short differ by the rounding of their time base.
    is_near = abs(found.rate - source.rate) <= source.rate / 1000
    name = f"{prompt}: rate {float(source.rate):.3f}"
    outcome.check(name, round(float(found.rate), 3), is_near)
    return found if found.frames == expected else None


def _compare_to_input(
    outcome: Outcome, inputs: Sequence[Pixels], drawn: Sequence[Pixels], *, prompt: str
) -> None:
    pairs = list(zip(inputs, drawn, strict=True))
    difference = float(np.mean([mean_difference(*pair) for pair in pairs]))
    edges = float(np.mean([edge_ssim(*pair) for pair in pairs]))
    outcome.numbers[prompt] = {
        "difference_to_input": round(difference, 3),
        "edge_ssim_to_input": round(edges, 4),
    }
    name = f"{prompt}: levels from input > {LEAST_DIFFERENCE:g}"
    outcome.check(name, round(difference, 3), difference > LEAST_DIFFERENCE)
    name = f"{prompt}: edge-SSIM > {LEAST_EDGE_SSIM:g}"
    outcome.check(name, round(edges, 4), edges > LEAST_EDGE_SSIM)


def _compare_prompts(outcome: Outcome, drawn: Mapping[str, Sequence[Pixels]]) -> None:
    for first, second in combinations(drawn, 2):
        pairs = zip(drawn[first], drawn[second], strict=True)
        difference = float(np.mean([mean_difference(*pair) for pair in pairs]))
        outcome.numbers[first][f"difference_to_{second}"] = round(difference, 3)
        name = f"{first} from {second} > {LEAST_DIFFERENCE:g}"
        outcome.check(name, round(difference, 3), difference > LEAST_DIFFERENCE)
