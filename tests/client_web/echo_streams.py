"""Streams of the echo server that others make: watched by WHEP and by pages, and recorded."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from aiortc import RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from av import VideoFrame
from echo_visit import Forced, Visit, paint
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

#: What the token for one stream is here, in place of a signed one.
PASS = "a-pass-to-watch"
SIDE = 256


class House(Protocol):
    """Where guests live."""

    forced: Forced
    visits: dict[str, Visit]
    remembered: dict[str, Any]
    heard: list[dict[str, Any]]
    watched: dict[str, Watched]

    def about(self) -> dict[str, Any]: ...


class Drawn(MediaStreamTrack):
    """A circle that goes round, in the colours of the prompt."""

    kind = "video"

    def __init__(self, guest: Watched) -> None:
        super().__init__()
        self._guest = guest
        self._number = 0

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(1 / 20)
        while not self._guest.server.forced.has_picture:
            await asyncio.sleep(0.05)
        self._number += 1
        frame = VideoFrame.from_ndarray(self._guest.picture(self._number), format="rgb24")
        frame.pts, frame.time_base = int(time.monotonic() * 90_000), Fraction(1, 90_000)
        return frame


class Watched(Visit):
    """Somebody who watches a stream; a visit that sends no picture. kind: whep or page."""

    def __init__(self, server: House, name: str, kind: str) -> None:
        super().__init__(server, {})
        self.server: House = server
        self.name = name
        self.kind = kind
        self.patches: list[str] = []

    @property
    def facts(self) -> dict[str, Any]:
        facts = {"id": self.id, "name": self.name, "kind": self.kind, "output": self.output}
        return facts | {"controls": self.controls, "patches": self.patches}

    async def answer(self, sdp: str) -> str:
        self.pc.on("datachannel", self.open)
        self.pc.on("connectionstatechange", self.judge)
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        self.pc.addTrack(Drawn(self))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        self.server.watched[self.id] = self
        return str(self.pc.localDescription.sdp)

    def open(self, channel: Any) -> None:
        if self.server.forced.rights == "control":
            super().open(channel)

    async def close(self) -> None:
        if self.server.watched.pop(self.id, None) is None:
            return
        for task in self.tasks:
            task.cancel()
        await self.pc.close()

    def picture(self, number: int) -> np.ndarray:
        down, right = np.mgrid[0:SIDE, 0:SIDE]
        turn = number / 12
        away = np.hypot(down - 128 - 60 * np.sin(turn), right - 128 - 60 * np.cos(turn))
        light = np.where(away < 42, 235, 60 + right // 3).astype(np.uint8)
        return paint(np.repeat(light[..., None], 3, axis=2), self.controls["prompts"][0]["text"])


def add_streams(app: FastAPI, server: House) -> None:
    """Add what is asked about streams, and by those who watch them."""

    def refused(request: Request, name: str) -> JSONResponse | None:
        if request.headers.get("authorization") == "Bearer too-old":
            return JSONResponse({"error": "expired", "says": "This pass is too old."}, 401)
        if server.forced.rights == "none":
            return JSONResponse({"error": "no-right", "says": "This wants the right to view."}, 403)
        names = {*server.forced.running, *(visit.name for visit in server.visits.values())}
        if name not in names:
            return JSONResponse(
                {"error": "unknown-stream", "says": "There is no such stream."}, 404
            )
        return None

    @app.post("/v1/streams/{name}/guests")
    async def attach(request: Request, name: str, asked: dict[str, Any]) -> JSONResponse:
        if no := refused(request, name):
            return no
        guest = Watched(server, name, "page")
        stream = {"model": "tiny", "backend": "openvino", "precision": "bf16", **guest.size}
        about = server.about()
        answer = {"id": guest.id, "sdp": await guest.answer(asked["sdp"]), "type": "answer"}
        answer |= {"name": name, "controls": guest.controls, "revision": 1, "output": "live"}
        answer |= {"stream": stream, "may_control": server.forced.rights == "control"}
        answer |= {"schema": about["schema"], "understands": about["understands"]}
        return JSONResponse(answer, 201)

    @app.post("/whep/{name}")
    async def watch(request: Request, name: str) -> Response:
        if no := refused(request, name):
            return no
        guest = Watched(server, name, "whep")
        sdp = await guest.answer((await request.body()).decode())
        headers = {"Location": f"/whep/{name}/{guest.id}", "ETag": '"one"'}
        headers["Link"] = '<stun:127.0.0.1:9>; rel="ice-server"'
        return Response(sdp, 201, headers, "application/sdp")

    @app.patch("/whep/{name}/{id}")
    async def trickle(request: Request, name: str, id: str) -> Response:
        if request.headers.get("if-match") != '"one"':
            return Response(status_code=412)
        server.watched[id].patches.append((await request.body()).decode())
        return Response(status_code=204)

    @app.delete("/v1/streams/{name}/guests/{id}")
    @app.delete("/whep/{name}/{id}")
    async def leave(name: str, id: str) -> Response:
        if guest := server.watched.get(id):
            await guest.close()
        return Response(status_code=200)

    @app.get("/v1/streams/{name}")
    async def status(request: Request, name: str) -> Response:
        if no := refused(request, name):
            return no
        (guest, *_) = server.watched.values()
        stream = {"model": "tiny", "backend": "openvino", "precision": "bf16", **guest.size}
        told = {"id": name, "state": "running", "says": "", "fps": 20.0, "frame_ms": 38.0}
        told |= {"dropped": {}, "skipped": 0, "stages_ms": {"model": 38.0}, "stream": stream}
        told |= {"output": guest.output, "controls": guest.controls, "is_recording": False}
        return JSONResponse(told)


def add_tapes(app: FastAPI, server: House) -> None:
    """Add passes, and recordings that write nothing."""
    recorded: dict[str, float] = {}

    @app.post("/v1/tokens")
    async def make_pass(asked: dict[str, Any]) -> dict[str, Any]:
        server.heard.append({"type": "pass", **asked})
        return {"token": PASS, "expires_s": asked["ttl_s"]}

    def tape(name: str, state: str) -> dict[str, Any]:
        seconds = time.monotonic() - recorded[name]
        facts = {"name": name, "state": state, "file": f"{name}-20261121-120000.mp4"}
        return facts | {"seconds": seconds, "bytes": 1000, "why_ended": ""}

    @app.post("/v1/streams/{name}/recording")
    async def record(name: str) -> JSONResponse:
        if not server.forced.keeps:
            says = "This server records nothing: start it with --record-dir DIR."
            return JSONResponse({"error": "no-recording", "says": says}, 409)
        recorded[name] = time.monotonic()
        return JSONResponse(tape(name, "recording"), 201)

    @app.get("/v1/streams/{name}/recording")
    async def recording(name: str) -> dict[str, Any]:
        return tape(name, "recording")

    @app.delete("/v1/streams/{name}/recording")
    async def end_recording(name: str) -> dict[str, Any]:
        return tape(name, "ended")
