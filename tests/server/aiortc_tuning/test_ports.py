from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import Callable

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from server.aiortc_tuning import limit_ports
from streamgen.errors import ConfigError

FIRST, LAST = 42_100, 42_115


def make_uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop]
if sys.platform != "win32":
    LOOPS.append(make_uvloop)


@pytest.mark.parametrize("make_loop", LOOPS)
def test_candidates_get_ports_of_the_range(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def test() -> None:
        limit_ports(asyncio.get_running_loop(), FIRST, LAST)
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.createDataChannel("control")
        await peer.setLocalDescription(await peer.createOffer())
        lines = peer.localDescription.sdp.splitlines()
        ports = [int(line.split()[5]) for line in lines if line.startswith("a=candidate")]
        await peer.close()
        assert ports
        assert all(FIRST <= port <= LAST for port in ports)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(test())


def test_range_without_a_free_port_says_so() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        limit_ports(loop, LAST + 1, LAST + 2)
        opened = [
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
            for _ in range(2)
        ]
        with pytest.raises(OSError, match="no UDP port of 42116-42117 is free") as caught:
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
        assert caught.value.errno == errno.EADDRINUSE
        for transport, _ in opened:
            transport.close()

    asyncio.run(test())


def test_socket_that_names_its_port_gets_it() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        limit_ports(loop, FIRST, LAST)
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", LAST + 5)
        )
        assert transport.get_extra_info("sockname")[1] == LAST + 5
        transport.close()

    asyncio.run(test())


@pytest.mark.parametrize(("first", "last"), [(80, 90), (5000, 4000), (60_000, 70_000)])
def test_impossible_range_is_refused_in_words(first: int, last: int) -> None:
    loop = asyncio.new_event_loop()
    with pytest.raises(ConfigError, match=f"UDP ports {first}-{last}: choose two of 1024"):
        limit_ports(loop, first, last)
    loop.close()
