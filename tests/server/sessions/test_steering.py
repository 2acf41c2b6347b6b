"""What was asked for and did not come into force: it is taken back, and everybody is told."""

from __future__ import annotations

import asyncio

from server.steering import Steering

OLD, BROKEN, NEW = ({"loras": name} for name in ("none", "broken", "new"))


class Stream:
    """Takes every patch; what it stays at is what a test says."""

    def __init__(self):
        self.number, self.stays, self.asked = 0, None, asyncio.Event()

    async def patch(self, changes, *, hand, sequence, over_s):
        self.number += 1
        return {"controls": dict(changes), "revision": self.number, "is_stale": False}

    async def stays_at(self):
        self.asked.set()
        return self.stays


def steered(play):
    async def whole():
        stream, told = Stream(), []
        steering = Steering(stream, tell=lambda message, besides: told.append(message["controls"]))
        try:
            return await play(steering, stream, told)
        finally:
            await steering.end()

    return asyncio.run(whole())


async def turns():
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_failed_is_taken_back_and_told_once():
    async def play(steering, stream, told):
        await steering.patch(BROKEN, hand="page")
        stream.stays = OLD
        doubts = [steering.doubt(OLD), steering.doubt(OLD)]
        await turns()
        return [*doubts, steering.doubt(OLD)], told, steering.controls

    doubts, told, controls = steered(play)

    assert doubts == [True, False, False]
    assert told == [OLD] and controls == OLD


def test_the_same_mistake_made_again_is_told_again():
    async def play(steering, stream, told):
        stream.stays = OLD
        for _ in range(2):
            await steering.patch(BROKEN, hand="page")
            assert steering.doubt(OLD)
            await turns()
        return told

    assert steered(play) == [OLD, OLD]


def test_what_was_asked_for_since_is_not_taken_back():
    async def play(steering, stream, told):
        await steering.patch(BROKEN, hand="page")
        await steering.patch(NEW, hand="page")
        # The failure was seen before the newer patch, which may still come into force.
        steering.doubt(OLD)
        await stream.asked.wait()
        await turns()
        return told, steering.controls

    assert steered(play) == ([], NEW)


def test_an_end_leaves_nothing_behind():
    async def play(steering, stream, told):
        stream.stays = OLD
        await steering.patch(BROKEN, hand="page")
        steering.doubt(OLD)
        await steering.end()
        return len(asyncio.all_tasks()), told

    assert steered(play) == (1, [])
