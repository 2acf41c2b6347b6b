"""A site on sessions that are only written down, and requests to it without a network."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from server.app import make_app
from server.edge import Backstage
from server.nouns import Opened, Patched, SessionStatus, StreamFacts, UnknownSession
from server.settings import Settings
from server.waiting import WaitingRoom

URL = "http://127.0.0.1:7860"
TOKEN = "a-token-of-some-length"
STREAM = StreamFacts(model="tiny", width=256, height=256)
SDP = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=fingerprint:sha-256 AA:BB",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuv",
        "a=candidate:1 1 udp 2113937151 192.0.2.7 50000 typ host",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "",
    ]
)


async def forever():
    """Load a model that is never there."""
    await asyncio.Event().wait()


class WrittenDown:
    """Sessions as the HTTP edge knows them: real seats and tickets, no peers."""

    def __init__(self, seats: int) -> None:
        self.room = WaitingRoom(seats=seats, queue=8, hold_s=15, clock=lambda: 0.0)
        self.offers, self.patches = [], []
        self.here: dict[str, Opened] = {}
        self.seats_of = {}
        self.closed = []
        self.error: Exception | None = None
        self.drained_s: float | None = None

    async def open(self, offer, wish):
        self.offers.append((offer, wish))
        if self.error is not None:
            raise self.error
        seat = self.room.take(wish.ticket)
        opened = Opened(
            id=f"session-{len(self.offers)}",
            peer=f"session-{len(self.offers)}",
            sdp="v=0 answer",
            resume="come-back",
            name=wish.name or f"session-{len(self.offers)}",
            controls={"strength": 0.5, **wish.controls},
            revision=1,
            output="live",
            stream=STREAM,
        )
        self.here[opened.id], self.seats_of[opened.id] = opened, seat
        return opened

    async def patch(self, id, patch):
        self.patches.append((self._known(id), patch))
        controls = dict(patch.controls or {})
        return Patched(revision=2, is_stale=False, controls=controls, output="live", stream=STREAM)

    async def status(self, id):
        return SessionStatus(
            id=self._known(id),
            name=self.here[id].name,
            viewers=2,
            is_recording=False,
            state="running",
            says="",
            fps=25.0,
            frame_ms=20.0,
            dropped={"overtaken": 3},
            skipped=0,
            stages_ms={"queue": 1.0},
            stream=STREAM,
            revision=1,
            output="live",
            streams=1,
            controls={},
        )

    async def close(self, id, why):
        del self.here[self._known(id)]
        self.closed.append((id, why))
        self.seats_of.pop(id).free()

    def place(self, ticket):
        return self.room.place(ticket)

    def leave(self, ticket):
        self.room.leave(ticket)

    def seats(self):
        return self.room.count()

    def states(self):
        return {"running": len(self.here)}

    def streams(self):
        return []

    async def drain(self, in_s):
        self.drained_s = in_s

    def _known(self, id):
        if id not in self.here:
            raise UnknownSession(f"session {id!r} has ended, or never was")
        return id


class Served:
    """A running site, its sessions, and a way to ask it."""

    def __init__(self, site, sessions) -> None:
        self.site, self.edge, self.sessions = site, site.edge, sessions
        self.client = self.visitor()

    def visitor(self, address="127.0.0.1", *, url=URL, raises=True):
        transport = httpx.ASGITransport(
            self.site, client=(address, 50000), raise_app_exceptions=raises
        )
        return httpx.AsyncClient(transport=transport, base_url=url)

    async def offer(self, **more):
        body = {"sdp": SDP, "type": "offer", **more}
        return await self.client.post("/v1/sessions", json=body)

    async def signal(self, address, sdp, *, client=None, **headers):
        """Offer as WHIP and WHEP do; headers: with _ for -."""
        given = {"Content-Type": "application/sdp"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await (client or self.client).post(address, content=sdp, headers=given)


@pytest.fixture
def sessions_class():
    return WrittenDown


@pytest.fixture
def serve(tmp_path, sessions_class):
    """Run a coroutine function with a served site: serve(work, seats=…, page=…, **settings)."""
    (tmp_path / "page").mkdir()

    def run(work, *, seats=2, warm_up=None, page=None, **settings):
        async def whole():
            sessions = sessions_class(seats)

            @asynccontextmanager
            async def start(edge):
                yield Backstage(sessions=sessions, warm_up=warm_up or forever, restarts=lambda: 0)

            given = replace(Settings(), **settings)
            given.check()
            site = make_app(given, start=start, page=page or tmp_path / "page")
            async with site.lifespan():
                return await work(Served(site, sessions))

        return asyncio.run(whole())

    return run


@pytest.fixture
def ask(serve):
    """Ask once: ask("GET", path, headers=…, **settings of the site)."""

    def once(method, path, *, url=URL, settings=None, **request):
        async def work(served):
            async with served.visitor(url=url) as client:
                return await client.request(method, path, **request)

        return serve(work, **(settings or {}))

    return once


def is_refusal(response, status, key):
    """Whether an answer is an error of the one shape: a short key, a sentence."""
    body = response.json()
    assert response.status_code == status, (response.status_code, body)
    assert set(body) == {"error", "says"}
    assert body["error"] == key, body
    assert body["says"][0].isupper() or not body["says"][0].isalpha(), body
    assert body["says"].endswith("."), body
    return True


@pytest.fixture(name="is_refusal")
def _is_refusal():
    return is_refusal


@pytest.fixture
def sdp():
    return SDP


@pytest.fixture
def token():
    return TOKEN
