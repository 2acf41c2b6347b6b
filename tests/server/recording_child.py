"""Records pictures of its own, for tests that end it or let its disk run full.

    python tests/server/recording_child.py FOLDER COUNT [MOST_BYTES]

Prints how the recording is doing once all pictures are written or it has ended, then waits to be
killed. MOST_BYTES: of a file, by order of the operating system.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from server.aiortc_tuning import Tuning
from server.aiortc_tuning.shared import SharedH264
from server.recording import Recorder, RecordingLimits

FPS = 30


async def main(folder: Path, count: int) -> None:
    encoder = SharedH264(Tuning(), bitrate=2_000_000)
    recorder = Recorder(folder, "stage", limits=RecordingLimits(free_bytes=0))
    noise = np.random.default_rng(7)
    for index in range(count):
        rgb = noise.integers(0, 255, (96, 128, 3), np.uint8)
        picture = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
        picture.pts, picture.time_base = 90_000 * index // FPS, Fraction(1, 90_000)
        for packet in encoder.encode(picture, is_key=index == 0):
            recorder.take(packet)
    while recorder.facts.seconds < count / FPS - 0.001 and recorder.facts.state != "ended":
        await asyncio.sleep(0)
    sys.stdout.write(json.dumps(asdict(recorder.facts)) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) > 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
