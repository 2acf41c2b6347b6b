"""Several aiortc peers in a process of their own, so that they can be killed.

    python tests/end_to_end/crowd.py URL COUNT [--leave]

Prints "there" when all of them see pictures. With --leave they say goodbye then; without they
stay, until somebody ends the process.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from benchmarks.webrtc.peer import Client, Sending
from benchmarks.webrtc.pictures import pictures
from streamgen.sources import Size

FPS = 5


async def gather(url: str, count: int, *, leaves: bool) -> None:
    film = pictures(Size(256, 256), count=4)
    clients = [Client(url, Sending(film, fps=FPS)) for _ in range(count)]
    await asyncio.gather(*(client.connect() for client in clients))
    await asyncio.gather(*(client.first() for client in clients))
    sys.stdout.write("there\n")
    sys.stdout.flush()
    if leaves:
        await asyncio.gather(*(client.close() for client in clients))
    else:
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    parser.add_argument("--leave", action="store_true")
    args = parser.parse_args()
    asyncio.run(gather(args.url, args.count, leaves=args.leave))
