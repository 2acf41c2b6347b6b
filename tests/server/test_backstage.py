"""What is said of the model once it has drawn its first picture."""

import asyncio
import logging

import pytest

from server.backstage import warm_up
from streamgen.config import StreamConfig
from streamgen.sources.geometry import Size

CONFIG = StreamConfig(model="tiny", width=64, height=64)


class Desk:
    """Draws a frame as soon as it is given one."""

    restarts = 0

    def __init__(self, motion):
        self.motion = motion
        self.opened = []

    def subscribe(self, name, show):
        self.show = show

    async def open(self, name, config, controls):
        self.opened.append(name)

    async def status(self, name):
        return {"state": "live", "under_way": 0}

    def put(self, name, frame):
        self.show(frame)

    async def close(self, name):
        self.opened.remove(name)

    async def groups(self):
        return [{"motion": self.motion}]


@pytest.mark.parametrize("motion", [None, "motion adapter x: a window of 9 frames"])
def test_what_motion_modules_see_is_said_once_the_model_is_ready(caplog, motion):
    desk = Desk(motion)
    with caplog.at_level(logging.INFO, "server.backstage"):
        asyncio.run(warm_up(desk, CONFIG, size=Size(64, 64)))
    ready, *more = [record.getMessage() for record in caplog.records]
    assert ready.startswith("the model is ready after")
    assert more == ([] if motion is None else [f"tiny: {motion}"])
    assert desk.opened == []
