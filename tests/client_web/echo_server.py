"""A server to try the page on: the same HTTP and messages, an aiortc echo in place of a model.

    python tests/client_web/echo_server.py [--port 0] [--thumbnails FOLDER] [--token TEXT]

It prints its address. What it pretends is set by POST /force with any fields of `Forced`; what the
page said is read from GET /heard. Nothing here is part of the product.
"""

from __future__ import annotations

import argparse
import json
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import uvicorn
from echo_streams import PASS, Watched, add_streams, add_tapes
from echo_visit import SIZES, Forced, Visit, specs_of
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "client_web"
UNDERSTANDS = ROOT / "streamgen" / "models" / "tiny" / "understands.json"
CSP = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: mediastream:"
CSP += "; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Server:
    """Everything that outlives a request."""

    def __init__(self, token: str | None, thumbnails: Path | None) -> None:
        self.token = token
        self.thumbnails = thumbnails
        self.forced = Forced()
        self.visits: dict[str, Visit] = {}
        self.tickets: list[str] = []
        self.remembered: dict[str, Any] = {}
        self.heard: list[dict[str, Any]] = []
        self.watched: dict[str, Watched] = {}

    def about(self) -> dict[str, Any]:
        sizes = {"allowed": SIZES, "default": SIZES[1]}
        seats = {"all": self.forced.seats, "free": 1, "waiting": len(self.tickets)}
        about = {"version": "0", "model": "tiny", "models": ["tiny"]}
        about |= {"motion": self.forced.motion, "schema": specs_of(self.forced)}
        understands = json.loads(UNDERSTANDS.read_text(encoding="utf-8"))
        needs = self.token is not None
        return about | {
            "understands": understands,
            "sizes": sizes,
            "seats": seats,
            "needs_token": needs,
            "loras": self.forced.loras,
        }

    async def open(self, wish: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        ticket = wish.get("ticket")
        if len(self.visits) >= self.forced.seats:
            if ticket not in self.tickets:
                ticket = secrets.token_urlsafe(6)
                self.tickets.append(ticket)
            position = self.tickets.index(ticket) + 1
            return 202, {"ticket": ticket, "position": position, "retry_s": 0.5}
        if ticket in self.tickets:
            self.tickets.remove(ticket)
        visit = Visit(self, wish)
        if resume := wish.get("resume"):
            if resume not in self.remembered:
                return 404, {"error": "unknown-resume", "says": "This token is too old."}
            given, size, visit.output = self.remembered[resume]
            visit.given, visit.size = {**given, **visit.given}, wish.get("size") or size
        if (name := wish.get("name")) in self.forced.taken:
            return 409, {"error": "name-taken", "says": f"The stream {name!r} is taken."}
        self.visits[visit.id] = visit
        sdp = await visit.answer(wish["sdp"])
        stream = {"model": "tiny", "backend": "openvino", "precision": "bf16", **visit.size}
        answer = {"id": visit.id, "sdp": sdp, "type": "answer", "resume": visit.resume}
        about = self.about()
        answer |= {
            "name": visit.name,
            "controls": visit.controls,
            "revision": 1,
            "output": visit.output,
        }
        answer |= {"output": visit.output, "stream": stream, "schema": about["schema"]}
        return 201, answer | {"understands": about["understands"]}


def make_app(server: Server) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for visit in (*server.visits.values(), *server.watched.values()):
            await visit.close()

    app = FastAPI(lifespan=lifespan)
    add_guard(app, server)
    add_sessions(app, server)
    add_streams(app, server)
    add_tapes(app, server)
    add_strings(app, server)

    @app.get("/viewer")
    async def viewer() -> Response:
        return FileResponse(PAGE / "viewer.html")

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


def add_guard(app: FastAPI, server: Server) -> None:
    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        path, bearer = request.url.path, request.headers.get("authorization", "")
        is_open = not path.startswith("/v1/") or path == "/v1/about" or "thumbnails" in path
        if path.startswith(("/whep/", "/v1/streams/")) and bearer == f"Bearer {PASS}":
            return await call_next(request)
        if server.token and not is_open and bearer != f"Bearer {server.token}":
            return JSONResponse({"error": "no-token", "says": "This wants a token."}, 401)
        if server.token and path == "/v1/about" and bearer != f"Bearer {server.token}":
            return JSONResponse({"version": "0", "needs_token": True})
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = CSP
        response.headers["Cache-Control"] = "no-store"
        return response


def add_sessions(app: FastAPI, server: Server) -> None:
    @app.get("/v1/about")
    async def about() -> dict[str, Any]:
        return server.about()

    @app.get("/v1/loras")
    async def loras() -> dict[str, Any]:
        return {"loras": server.forced.loras}

    @app.get("/v1/ice")
    async def ice() -> dict[str, Any]:
        return {"iceServers": []}

    @app.get("/v1/thumbnails/{name}.webp")
    async def thumbnail(name: str) -> Response:
        path = server.thumbnails and server.thumbnails / f"{name}.webp"
        return FileResponse(path) if path and path.is_file() else Response(status_code=404)

    @app.post("/v1/sessions")
    async def open_session(wish: dict[str, Any]) -> JSONResponse:
        status, answer = await server.open(wish)
        return JSONResponse(answer, status)

    @app.delete("/v1/sessions/{name}")
    async def close(name: str) -> Response:
        if visit := server.visits.get(name):
            await visit.close()
        return Response(status_code=204)

    @app.get("/v1/queue/{ticket}")
    async def queue(ticket: str) -> JSONResponse:
        if ticket not in server.tickets:
            return JSONResponse({"error": "wrong-ticket", "says": "Unknown ticket."}, 404)
        position = server.tickets.index(ticket) + 1
        is_ready = position == 1 and len(server.visits) < server.forced.seats
        return JSONResponse({"position": position, "ready": is_ready, "retry_s": 0.5})

    @app.delete("/v1/queue/{ticket}")
    async def leave(ticket: str) -> Response:
        if ticket in server.tickets:
            server.tickets.remove(ticket)
        return Response(status_code=204)


def add_strings(app: FastAPI, server: Server) -> None:
    """Add the strings that a test pulls."""

    @app.post("/force")
    async def force(wanted: dict[str, Any]) -> None:
        known = {one.name for one in fields(Forced)}
        server.forced = replace(
            server.forced, **{name: value for name, value in wanted.items() if name in known}
        )
        if wanted.get("reset"):
            server.forced = Forced()
            server.heard.clear()
            server.tickets.clear()
            for visit in (*server.visits.values(), *server.watched.values()):
                await visit.close()
        for _ in range(wanted.get("queue", 0)):
            server.tickets.append(secrets.token_urlsafe(6))
        if wanted.get("serve"):
            server.tickets.pop(0)
        for visit in list(server.visits.values()):
            if "say" in wanted:
                visit.say(wanted["say"])
            if wanted.get("drop"):
                await visit.close()
        if wanted.get("drop"):
            for one in list(server.watched.values()):
                await one.close()

    @app.get("/heard")
    async def heard() -> dict[str, Any]:
        visits = [
            {
                "name": visit.name,
                "controls": visit.controls,
                "output": visit.output,
                "size": visit.size,
            }
            for visit in server.visits.values()
        ]
        told = {"heard": server.heard, "visits": visits, "tickets": len(server.tickets)}
        told["watched"] = [one.facts for one in server.watched.values()]
        return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token")
    parser.add_argument("--thumbnails", type=Path)
    given = parser.parse_args()
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", given.port))
    listening.listen()
    sys.stdout.write(f"http://localhost:{listening.getsockname()[1]}/\n")
    sys.stdout.flush()
    app = make_app(Server(given.token, given.thumbnails))
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
