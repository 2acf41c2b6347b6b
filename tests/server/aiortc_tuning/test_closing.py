from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from aioice.ice import Connection
from aiortc import RTCIceGatherer, RTCIceTransport

from server.aiortc_tuning import Tuning, install, uninstall

ATTEMPTS = 5  # what is tried is a race, which aioice by itself loses every time or nearly so


@pytest.fixture(autouse=True)
def tuned() -> Iterator[None]:
    install(Tuning())
    yield
    uninstall()


async def close_while_it_connects() -> None:
    """Connect two, and close one when its checks have just been good."""
    one, other = Connection(ice_controlling=True), Connection(ice_controlling=False)
    for each in (one, other):
        await each.gather_candidates()
    for each, peer in ((one, other), (other, one)):
        each.remote_username, each.remote_password = peer.local_username, peer.local_password
        for candidate in peer.local_candidates:
            await each.add_remote_candidate(candidate)
        await each.add_remote_candidate(None)
    connecting = [asyncio.create_task(each.connect()) for each in (one, other)]
    async with asyncio.timeout(30):
        while not one._check_list_done:
            await asyncio.sleep(0)
        await one.close()
        await asyncio.gather(*connecting, return_exceptions=True)
        await other.close()


def test_a_connection_that_is_closed_while_it_connects_leaves_no_task() -> None:
    async def test() -> None:
        for _ in range(ATTEMPTS):
            await close_while_it_connects()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if left:  # those that see that they are closed end at their first step
            await asyncio.wait(left, timeout=0.5)
        assert [task for task in left if not task.done()] == []

    asyncio.run(test())


def test_an_open_connection_is_asked_as_before() -> None:
    async def test() -> None:
        connection = Connection(ice_controlling=True)
        connection.remote_password = "secret"
        asking = asyncio.create_task(connection.query_consent())
        await asyncio.wait([asking], timeout=0.1)
        assert not asking.done()
        asking.cancel()
        await asyncio.wait([asking])

    asyncio.run(test())


def test_a_transport_that_is_closed_is_not_started_and_nothing_is_raised() -> None:
    async def test() -> None:
        gatherer = RTCIceGatherer(iceServers=[])
        transport = RTCIceTransport(gatherer)
        await transport.stop()
        await transport.start(gatherer.getLocalParameters())
        assert transport.state == "closed"

    asyncio.run(test())
