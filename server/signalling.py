"""How a connection is agreed on over HTTP, as WHIP (RFC 9725) has it and WHEP after it.

    POST /whip/{stream}            an offer; 201 with the answer, its address and entity-tag
    PATCH /whip/{stream}/{id}      more candidates; 204
    DELETE /whip/{stream}/{id}     the end; 200

whip.py and whep.py say what is behind it. Errors have the one shape of refusals.py, which RFC 9725
(section 4.1) leaves open.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from server.edge import Edge
from server.headers import ENDPOINT_METHODS, FRAGMENT, SDP, SESSION_METHODS
from server.limits import Turnstile
from server.nouns import UnknownSession
from server.openapi import BODY, bearer, begun_in, errors, text_body
from server.refusals import Refusal
from server.rights import Right, require
from server.whip_offers import check_fragment, credentials

#: That are remembered; the oldest makes room.
MAX_ICE_SESSIONS = 4096
Stream = Annotated[str, Path(max_length=100, description="The stream's name.")]
SessionId = Annotated[str, Path(max_length=100, description="From the header Location.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A connection that was answered; sdp: the answer."""

    name: str
    id: str
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What is behind the addresses of one folder.

    check: raises Refusal for offers of no use. begin: takes a stream's name and an offer, end: a
    name and an id. does: for the description.
    """

    folder: Literal["whip", "whep"]
    does: str
    right: Right
    check: Callable[[str], None]
    begin: Callable[[Edge, str, str], Awaitable[Begun]]
    end: Callable[[Edge, str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IceSession:
    """One agreement on ICE: its entity-tag, and the names and passwords that the peer offered."""

    tag: str
    credentials: frozenset[str]


class IceSessions:
    """Which agreements there are, by stream and id; RFC 9725, section 4.3.1."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], IceSession] = OrderedDict()

    def begin(self, name: str, id: str, offer: str) -> IceSession:
        """Remember an agreement under a strong entity-tag of its own."""
        session = IceSession(tag=f'"{secrets.token_hex(8)}"', credentials=credentials(offer))
        self.forget(name, id)
        self._known[name.lower(), id] = session
        if len(self._known) > MAX_ICE_SESSIONS:
            self._known.popitem(last=False)
        return session

    def find(self, name: str, id: str) -> IceSession:
        """Return an agreement; UnknownSession where there is none."""
        try:
            return self._known[name.lower(), id]
        except KeyError as error:
            raise UnknownSession("there is no such session, or it has ended") from error

    def forget(self, name: str, id: str) -> None:
        """Forget an agreement; one that is not known any more is none."""
        self._known.pop((name.lower(), id), None)


class NotAllowed:
    """Answers every method that an address does not take; RFC 9110, section 15.5.6."""

    def __init__(self, allowed: str) -> None:
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        says = f"This address takes {self._allowed}."
        refusal = Refusal(405, "not-allowed", says, headers={"Allow": self._allowed})
        await refusal.response(scope, receive, send)


def signalling_routes(edge: Edge, dialect: Dialect, *, offers: Turnstile) -> APIRouter:
    """Return the routes of one folder; offers: how often one address may offer."""
    router = APIRouter(tags=[dialect.folder], dependencies=[Depends(bearer)])
    sessions = IceSessions()
    endpoint = f"/{dialect.folder}/{{stream}}"
    _add_endpoint(router, edge, dialect, sessions, offers=offers)
    _add_session(router, edge, dialect, sessions)
    router.routes.append(Route(endpoint, NotAllowed(ENDPOINT_METHODS)))
    router.routes.append(Route(f"{endpoint}/{{id}}", NotAllowed(SESSION_METHODS)))
    return router


def admit(request: Request, offers: Turnstile) -> None:
    """Raise Refusal for an address that offers too often."""
    if not offers.admits(request.client.host if request.client else "unknown"):
        says = "Too many offers from this address."
        raise Refusal(429, "too-many-offers", says, retry_s=offers.retry_s)


def ice_links(edge: Edge) -> list[str]:
    """Return values of Link that name STUN and TURN servers; RFC 9725, section 4.6."""
    links = []
    for server in edge.settings.ice_servers(secrets.token_hex(8)):
        given = ""
        if server.username is not None and server.credential is not None:
            given = f'; username="{server.username}"; credential="{server.credential}"'
            given += '; credential-type="password"'
        links += [f'<{url}>; rel="ice-server"{given}' for url in server.urls]
    return links


def _add_endpoint(
    router: APIRouter, edge: Edge, dialect: Dialect, sessions: IceSessions, *, offers: Turnstile
) -> None:
    address = f"/{dialect.folder}/{{stream}}"

    @router.post(
        address,
        status_code=201,
        summary=f"Offer a connection to {dialect.does}",
        response_class=Response,
        openapi_extra=text_body(SDP, "The offer."),
        responses={**begun_in(SDP), **errors(401, 404, 406, 409, 503, *BODY, is_json=False)},
    )
    async def offer(stream: Stream, request: Request) -> Response:
        require(request, stream, dialect.right)
        admit(request, offers)
        sdp = await _text(request, SDP, header="Accept-Post")
        dialect.check(sdp)
        begun = await dialect.begin(edge, stream, sdp)
        session = sessions.begin(begun.name, begun.id, sdp)
        answer = Response(begun.sdp, status_code=201, media_type=SDP)
        answer.headers["Location"] = f"/{dialect.folder}/{begun.name}/{begun.id}"
        answer.headers["ETag"] = session.tag
        for link in ice_links(edge):
            answer.headers.append("Link", link)
        return answer

    @router.head(address, include_in_schema=False)
    @router.get(
        address,
        summary="Whether offers are taken here; says nothing more (section 4.1)",
        response_class=Response,
        responses=errors(401, 422, 503, is_json=False),
    )
    async def look(stream: Stream, request: Request) -> Response:
        require(request, stream, dialect.right)
        return Response(media_type=SDP)


def _add_session(router: APIRouter, edge: Edge, dialect: Dialect, sessions: IceSessions) -> None:
    address = f"/{dialect.folder}/{{stream}}/{{id}}"
    always = (401, 404, 422, 503)

    @router.patch(
        address,
        status_code=204,
        summary="Tell of more candidates (RFC 8840); ICE is not restarted",
        response_class=Response,
        openapi_extra=text_body(FRAGMENT, "The fragment."),
        responses=errors(*always, 412, 428, *BODY, is_json=False),
    )
    async def trickle(stream: Stream, id: SessionId, request: Request) -> Response:
        require(request, stream, dialect.right)
        session = sessions.find(stream, id)
        fragment = await _text(request, FRAGMENT, header="Accept-Patch")
        _check_match(session, request.headers.get("if-match"))
        check_fragment(fragment)
        if not credentials(fragment) <= session.credentials:
            says = "ICE cannot be restarted here: end this session and offer anew."
            raise Refusal(422, "no-ice-restart", says)
        await edge.sessions.trickle(stream, id, fragment)
        return Response(status_code=204)

    @router.delete(
        address,
        summary="End the session; entity-tags are not looked at",
        response_class=Response,
        responses=errors(*always, is_json=False),
    )
    async def end(stream: Stream, id: SessionId, request: Request) -> Response:
        require(request, stream, dialect.right)
        sessions.forget(stream, id)
        await dialect.end(edge, stream, id)
        return Response()

    @router.head(address, include_in_schema=False)
    @router.get(
        address,
        status_code=204,
        summary="Whether the session is known; says nothing more (section 4.1)",
        response_class=Response,
        responses=errors(*always, is_json=False),
    )
    async def look(stream: Stream, id: SessionId, request: Request) -> Response:
        require(request, stream, dialect.right)
        sessions.find(stream, id)
        return Response(status_code=204)


async def _text(request: Request, type: str, *, header: str) -> str:
    """Return a body of one media type; 415 for any other, naming what is taken in a header."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != type:
        says = f"Content-Type {given[:60]!r}: send {type}."
        raise Refusal(415, "wrong-type", says, headers={header: type})
    try:
        return (await request.body()).decode("ascii")
    except UnicodeDecodeError as error:
        raise Refusal(400, "malformed", "The body is not ASCII text.") from error


def _check_match(session: IceSession, given: str | None) -> None:
    """Section 4.3.1; RFC 9110, section 13.1.1: strong comparison, any tag of the list will do."""
    if given is None:
        says = "If-Match is missing: give the entity-tag that came with the answer."
        raise Refusal(428, "no-entity-tag", says)
    tags = [tag.strip() for tag in given.split(",")]
    if "*" not in tags and session.tag not in tags:
        says = "If-Match does not name this session: its connection was agreed on anew."
        raise Refusal(412, "other-entity-tag", says)
