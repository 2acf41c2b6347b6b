"""What hands ask for while the process is being replaced, with engines that give pictures back."""

from __future__ import annotations

import os
import signal
from fractions import Fraction
from threading import Event

import numpy as np

from streamgen.child import ChildOptions
from streamgen.config import StreamConfig
from streamgen.frame import Frame, Stamp
from streamgen.process import WorkerProcess

OPTIONS = ChildOptions(
    threads=1, max_streams=3, min_fps=0, make_worker="streamgen.passthrough:make_passthrough_worker"
)
CONFIG = StreamConfig(model="passthrough", width=32, height=32)
PATIENCE_S = 60


def picture(index):
    stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=index)
    return Frame(pixels=np.full((32, 32, 3), index, np.uint8), stamp=stamp)


def test_a_patch_while_the_process_is_replaced_is_not_lost_and_revisions_go_on():
    came = Event()
    with WorkerProcess(OPTIONS, on_frame=lambda name: came.set()) as child:
        child.open("a", CONFIG, {})
        first = child.patch("a", {"steps": 2}, hand="page", sequence=1)
        os.kill(child.pid, signal.SIGKILL)
        second = child.patch("a", {"strength": 0.4}, hand="page", sequence=2)
        child.put("a", picture(9))
        assert came.wait(PATIENCE_S)
        frame = child.take("a")

        assert child.restarts == 1
        assert (first["revision"], second["revision"]) == (1, 2)
        assert frame.stamp.revision == 2 and (frame.pixels == 9).all()
        status = child.status("a")
        assert (status["controls"]["steps"], status["controls"]["strength"]) == (2, 0.4)
        assert status["revision"] == 2
