"""The loop's lag, measured by a clock of the test's own."""

from __future__ import annotations

import asyncio
import logging

from server.metrics import Metrics, watch_lag


def test_a_loop_that_is_held_up_is_counted_and_said_once(caplog):
    times = iter([0.0, 0.0, 1.0, 1.3, 2.0, 2.3])
    metrics = Metrics()

    async def measured():
        task = asyncio.create_task(
            watch_lag(metrics, clock=lambda: next(times), every_s=0.0, alarm_every_s=30.0)
        )
        done, _ = await asyncio.wait([task])
        return done.pop()

    with caplog.at_level(logging.WARNING):
        ended = asyncio.run(measured())

    assert isinstance(ended.exception(), RuntimeError)  # the clock ran out
    text = metrics.text().decode()
    assert 'streamgen_loop_lag_seconds_bucket{le="0.25"} 1.0' in text
    assert "streamgen_loop_lag_seconds_count 3.0" in text
    assert [each.getMessage() for each in caplog.records] == [
        "the event loop was 300 ms late: something blocks it"
    ]


def test_two_servers_count_for_themselves():
    first, second = Metrics(), Metrics()
    first.refused("no-token")

    assert b'reason="no-token"' in first.text()
    assert b'reason="no-token"' not in second.text()
