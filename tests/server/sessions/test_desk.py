"""The asyncio face of the drawing process, on a real one."""

from __future__ import annotations

import asyncio
import threading
from fractions import Fraction

import numpy as np
import pytest

from server.poll import OLD_S, Poll
from streamgen.config import StreamConfig
from streamgen.errors import ConfigError, StreamgenError
from streamgen.frame import Frame, Stamp

CONFIG = StreamConfig(model="tiny", width=64, height=64)


def picture(value):
    stamp = Stamp(index=value, pts=value, time_base=Fraction(1, 25), ingest_ns=value)
    return Frame(pixels=np.full((64, 64, 3), value, np.uint8), stamp=stamp)


def test_pictures_are_shown_on_the_loop_until_the_stream_is_closed(runner, desk):
    async def play():
        came = asyncio.Queue()
        desk.subscribe("a", lambda frame: came.put_nowait((frame, threading.current_thread())))
        await desk.open("a", CONFIG, {"steps": 2})
        await asyncio.to_thread(desk.put, "a", picture(7))
        frame, thread = await came.get()
        assert (frame.pixels == 7).all() and thread is threading.current_thread()
        assert (await desk.patch("a", {"steps": 3}, hand="x"))["revision"] == 1
        snapshot = await desk.snapshot(["a", "b"])
        assert set(snapshot.streams) == {"a"} and snapshot.groups[0]["backend"] == "passthrough"
        assert (await desk.close("a"))["accepted"] == 1
        with pytest.raises(ConfigError, match="stream 'a' is not open"):
            await desk.status("a")

    runner.run(play())


def test_an_opening_that_is_cancelled_leaves_no_stream(runner, desk):
    async def play():
        opening = asyncio.create_task(desk.open("a", CONFIG, {}))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await desk.open("a", CONFIG, {})
        await desk.close("a")

    runner.run(play())


class SlowDesk:
    """Answers when it is told to."""

    def __init__(self):
        self.asked, self.answer = [], asyncio.Future()

    async def snapshot(self, names):
        self.asked.append(names)
        return await self.answer


def test_a_desk_that_does_not_answer_is_asked_once_and_believed_no_longer(desk, runner):
    async def play():
        now = 0.0
        await desk.open("a", CONFIG, {})
        told = await desk.snapshot(["a"])
        await desk.close("a")
        slow = SlowDesk()
        poll = Poll(slow, lambda: now)
        slow.answer.set_result(told)
        assert "a" in (await poll.fresh(["a"])).streams
        slow.answer = asyncio.Future()
        assert "a" in poll.ask(["a"]).streams
        await asyncio.sleep(0)
        now = OLD_S + 0.1
        assert poll.ask(["a"]).streams == {} and poll.last().groups == told.groups
        assert slow.asked == [["a"], ["a"]]
        slow.answer.set_exception(StreamgenError("gone"))
        await poll.end()
        assert poll.last().streams == {}

    runner.run(play())
