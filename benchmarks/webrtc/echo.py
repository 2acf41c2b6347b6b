"""A bare aiortc echo, what most demos are: every picture of a peer goes back to it.

    python -m benchmarks.webrtc.echo

Speaks as much of the server's HTTP as a measurement needs. Runs in a process of its own, where
nothing of aiortc is replaced.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from benchmarks.webrtc.serving import READY


class Offer(BaseModel):
    """What a peer sends; whatever else it says is not for an echo."""

    sdp: str


class Echo:
    """All connections, until each is closed."""

    def __init__(self) -> None:
        self._peers: dict[str, RTCPeerConnection] = {}

    async def open(self, offer: Offer) -> dict[str, str]:
        """Answer an offer."""
        id, pc = secrets.token_hex(8), RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._peers[id] = pc

        def take(track: MediaStreamTrack) -> None:
            pc.addTrack(track)

        async def judge() -> None:
            if pc.connectionState in ("failed", "closed"):
                await self.close(id)

        pc.on("track", take)
        pc.on("connectionstatechange", judge)
        await pc.setRemoteDescription(RTCSessionDescription(sdp=offer.sdp, type="offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        return {"id": id, "type": "answer", "sdp": pc.localDescription.sdp}

    async def close(self, id: str) -> None:
        """Close a connection, if it is there."""
        if (pc := self._peers.pop(id, None)) is not None:
            await pc.close()

    async def end(self) -> None:
        """Close all of them."""
        await asyncio.gather(*map(self.close, list(self._peers)))


def make_app(echo: Echo) -> FastAPI:
    """Return the application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await echo.end()

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.get("/", response_class=PlainTextResponse)
    async def root() -> str:
        return "an echo"

    @app.post("/v1/sessions", status_code=201)
    async def open_session(offer: Offer) -> dict[str, str]:
        return await echo.open(offer)

    @app.delete("/v1/sessions/{id}", status_code=204)
    async def close_session(id: str) -> Response:
        await echo.close(id)
        return Response(status_code=204)

    return app


def main() -> None:
    """Serve on a free port of this machine until told to stop."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    # From now on who connects waits, and is not refused.
    listening.listen()
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/")
    print(READY, flush=True)
    config = uvicorn.Config(make_app(Echo()), log_level="warning", access_log=False)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main()
