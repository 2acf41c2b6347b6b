"""The bare echo, and the client without a browser."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from benchmarks.webrtc.peer import Client, Sending
from benchmarks.webrtc.pictures import forth_and_back, pictures
from benchmarks.webrtc.serving import echoing, serving
from streamgen.errors import StreamgenError
from streamgen.sources import Size


def test_every_number_that_comes_back_was_sent_and_they_rise():
    async def test(url: str) -> tuple[list[int], list[int]]:
        sending = Sending(pictures(Size(64, 64), count=3), fps=30, first=1000)
        client = Client(url, sending)
        await client.connect()
        async with asyncio.timeout(30):
            while len(client.shown) < 10:
                await asyncio.sleep(0.05)
        await client.close()
        seen = [number for number, _ in client.shown if number is not None]
        return [number for number, _ in sending.drawn], seen

    with echoing() as echo:
        drawn, seen = asyncio.run(test(echo.url))

    assert drawn == list(range(1000, 1000 + len(drawn)))
    assert seen == sorted(seen)
    assert len(seen) >= 5
    assert set(seen) <= set(drawn)


def test_nothing_of_aiortc_is_replaced_in_the_echo():
    asked = "import benchmarks.webrtc.echo, sys; sys.exit('server.aiortc_tuning' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


def test_a_server_that_does_not_start_is_told_with_its_last_words():
    with pytest.raises(StreamgenError, match="did not start: .*nobody"), serving("--nobody"):
        pass


def test_the_film_goes_forth_and_back():
    film = pictures(Size(32, 32), count=3)
    order = [next(i for i in range(3) if forth_and_back(film, n) is film[i]) for n in range(8)]

    assert order == [0, 1, 2, 2, 1, 0, 0, 1]
