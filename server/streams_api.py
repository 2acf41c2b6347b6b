"""Streams by name over HTTP: which there are, their guests, their recordings, and passes to them.

Whoever has the server's token may do everything; a pass (rights.py) opens one stream.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from server.bodies import joined_body, patch_of, patched_body, status_body
from server.edge import Edge
from server.limits import Turnstile
from server.nouns import Offer
from server.openapi import BODY, bearer, errors, location
from server.recorder_writer import RecordingFacts
from server.refusals import Refusal
from server.rights import may, require
from server.signalling import Stream, admit, ice_links
from server.whip_offers import check_player
from server.wire import PatchBody, PatchedBody, StatusBody
from server.wire_streams import (
    AskBody,
    AttachedBody,
    GuestBody,
    PassBody,
    RecordingBody,
    StreamListBody,
    StreamRowBody,
)

Guest = Annotated[str, Path(max_length=100, description="From the answer to the guest's offer.")]
_STREAM = "/v1/streams/{stream}"


def stream_routes(edge: Edge, *, offers: Turnstile) -> APIRouter:
    """Return the routes of streams; offers: how often one address may offer."""
    router = APIRouter(dependencies=[Depends(bearer)])
    for routes in (_list_routes, _status_routes, _recording_routes):
        router.include_router(routes(edge))
    router.include_router(_guest_routes(edge, offers))
    return router


def _list_routes(edge: Edge) -> APIRouter:
    router = APIRouter(tags=["streams"])

    @router.get(
        "/v1/streams",
        summary="Every stream that runs; needs the server's own token",
        responses=errors(401, 503),
    )
    async def read_streams() -> StreamListBody:
        rows = edge.sessions.streams()
        return StreamListBody(streams=tuple(StreamRowBody(**asdict(row)) for row in rows))

    @router.post(
        "/v1/tokens",
        status_code=201,
        summary="Make a pass to one stream; needs the server's own token",
        responses=errors(401, *BODY),
    )
    async def make_pass(body: AskBody) -> PassBody:
        token = edge.passes.make(body.stream, set(body.rights), ttl_s=body.ttl_s)
        return PassBody(token=token, expires_s=body.ttl_s)

    return router


def _status_routes(edge: Edge) -> APIRouter:
    router = APIRouter(tags=["streams"])

    @router.get(_STREAM, summary="How a stream is doing", responses=errors(401, 404, 422, 503))
    async def read_stream(stream: Stream, request: Request) -> StatusBody:
        require(request, stream, "view")
        return status_body(await edge.sessions.stream_status(stream))

    @router.patch(
        _STREAM,
        summary="Change controls, what is shown, or what draws",
        responses=errors(401, 404, 503, *BODY),
    )
    async def patch_stream(stream: Stream, body: PatchBody, request: Request) -> PatchedBody:
        require(request, stream, "control")
        return patched_body(await edge.sessions.patch_stream(stream, patch_of(body)))

    return router


def _guest_routes(edge: Edge, offers: Turnstile) -> APIRouter:
    router = APIRouter(tags=["guests"])

    @router.post(
        f"{_STREAM}/guests",
        status_code=201,
        summary="Offer a connection to watch a stream, and to steer it where the right is there",
        responses={
            201: {"description": "The guest is in.", "headers": location("The guest's address.")},
            **errors(401, 404, 503, *BODY),
        },
    )
    async def attach(
        stream: Stream, body: GuestBody, request: Request, response: Response
    ) -> AttachedBody:
        require(request, stream, "view")
        admit(request, offers)
        check_player(body.sdp)
        may_control = may(request, stream, "control")
        offer = Offer(sdp=body.sdp)
        attached = await edge.newcomers.attach(stream, offer, may_control=may_control)
        response.headers["Location"] = f"/v1/streams/{attached.name}/guests/{attached.id}"
        for link in ice_links(edge):
            response.headers.append("Link", link)
        return joined_body(edge, attached, AttachedBody)

    @router.delete(
        f"{_STREAM}/guests/{{id}}",
        status_code=204,
        summary="Leave a stream",
        responses=errors(401, 404, 422, 503),
    )
    async def detach(stream: Stream, id: Guest, request: Request) -> None:
        require(request, stream, "view")
        await edge.sessions.detach(stream, id)

    return router


def _recording_routes(edge: Edge) -> APIRouter:
    router = APIRouter(prefix=f"{_STREAM}/recording", tags=["recordings"])
    always = errors(401, 404, 409, 422, 503)

    @router.post("", status_code=201, summary="Record a stream on the server", responses=always)
    async def record(stream: Stream, request: Request) -> RecordingBody:
        require(request, stream, "control")
        return _recording_body(await edge.sessions.record(stream))

    @router.delete("", summary="End a recording; its files stay", responses=always)
    async def end_recording(stream: Stream, request: Request) -> RecordingBody:
        require(request, stream, "control")
        return _recording_body(await edge.sessions.end_recording(stream))

    @router.get("", summary="How a recording is doing", responses=always)
    async def read_recording(stream: Stream, request: Request) -> RecordingBody:
        require(request, stream, "view")
        facts = edge.sessions.recording(stream)
        if facts is None:
            raise Refusal(404, "no-recording", f"Stream {stream!r} is not being recorded.")
        return _recording_body(facts)

    return router


def _recording_body(facts: RecordingFacts) -> RecordingBody:
    return RecordingBody(**asdict(facts))
