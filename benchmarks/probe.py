"""What ffprobe, a judge that is none of ours, says of a video file."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A video stream that was decoded to its end. complaints: what ffprobe said on stderr."""

    width: int
    height: int
    frames: int
    rate: Fraction
    complaints: str

    @property
    def is_accepted(self) -> bool:
        return not self.complaints and self.frames > 0


def probe(path: Path) -> Probe | None:
    """Decode a file with ffprobe; None if it finds no video there."""
    fields = "stream=width,height,nb_read_frames,avg_frame_rate"
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0"]
    command += ["-show_entries", fields, "-of", "json", f"file:{path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    streams = json.loads(done.stdout or "{}").get("streams", [])
    if done.returncode != 0 or not streams:
        return None
    numerator, denominator = (int(part) for part in streams[0]["avg_frame_rate"].split("/"))
    return Probe(
        width=int(streams[0]["width"]),
        height=int(streams[0]["height"]),
        frames=int(streams[0].get("nb_read_frames", 0)),
        rate=Fraction(numerator, denominator or 1),
        complaints=done.stderr.strip(),
    )
