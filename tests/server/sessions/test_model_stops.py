"""The child is killed while somebody looks: the session stays, and so does what was asked for."""

from __future__ import annotations

import os
import signal


def test_a_killed_child_is_replaced_and_the_stream_goes_on(runner, house, desk):
    async def play():
        async with house.open() as sessions:
            visitor = house.visitor(50)
            opened = await visitor.join(sessions, controls={"steps": 2})
            await visitor.sees(50)
            pid, restarts = desk.pid, desk.restarts
            os.kill(pid, signal.SIGKILL)
            visitor.say({"type": "patch", "id": 1, "changes": {"strength": 0.3}})
            await house.looked(lambda: visitor.told("status", state="restarting"))
            visitor.say({"type": "output", "id": 2, "mode": "bypass"})
            visitor.camera.value = 120
            await visitor.sees(120)
            assert not visitor.told("patched", id=1)
            patched = await visitor.hears("patched", id=1)
            assert (patched["controls"]["strength"], patched["controls"]["steps"]) == (0.3, 2)
            visitor.say({"type": "output", "id": 3, "mode": "live"})
            visitor.camera.value = 190
            await visitor.sees(190)
            assert desk.restarts == restarts + 1 and desk.pid != pid
            status = await sessions.status(opened.id)
            assert (status.revision, status.controls["strength"]) == (1, 0.3)

    runner.run(play())
