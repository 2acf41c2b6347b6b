"""The HTTP interface: routes, and how plain data of the sessions becomes JSON and back.

Who may ask was settled before (security.py); errors become answers in refusals.py.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse

from server.about import about_routes, health_routes
from server.bodies import joined_body, patch_of, patched_body, size_of, status_body
from server.edge import Edge
from server.limits import Turnstile
from server.names import stream_name
from server.nouns import Offer, SeatsTaken, Wish, WrongTicket
from server.openapi import BODY, bearer, errors, location
from server.refusals import Refusal
from server.sdp import check_offer
from server.signalling import admit
from server.streams_api import stream_routes
from server.whep import whep_routes
from server.whip import whip_routes
from server.wire import (
    OfferBody,
    OpenedBody,
    PatchBody,
    PatchedBody,
    QueueBody,
    StatusBody,
    WaitingBody,
)

Id = Annotated[str, Path(max_length=100, description="From the answer to the offer.")]
Ticket = Annotated[str, Path(max_length=100, description="From the answer 202 to an offer.")]


def make_router(edge: Edge, *, offers: Turnstile) -> APIRouter:
    """Return every route of the interface; offers: how often one address may offer."""
    router = APIRouter()
    for routes in (about_routes, _queue_routes, _session_routes, health_routes):
        router.include_router(routes(edge))
    for offered in (_offer_route, stream_routes, whip_routes, whep_routes):
        router.include_router(offered(edge, offers=offers))
    return router


def _offer_route(edge: Edge, *, offers: Turnstile) -> APIRouter:
    router = APIRouter(tags=["sessions"], dependencies=[Depends(bearer)])

    @router.post(
        "/v1/sessions",
        status_code=201,
        summary="Offer a connection, and get a session or a place in the queue",
        responses={
            201: {
                "description": "The session has begun.",
                "headers": location("Its address."),
            },
            202: {"model": WaitingBody, "description": "All seats are taken."},
            **errors(401, 409, 503, *BODY),
        },
        response_model=OpenedBody,
    )
    async def offer(body: OfferBody, request: Request, response: Response) -> object:
        admit(request, offers)
        check_offer(body.sdp)
        try:
            opened = await edge.newcomers.open(Offer(sdp=body.sdp), _wish(body))
        except SeatsTaken as error:
            place = error.place
            waiting = WaitingBody(
                ticket=place.ticket, position=place.position, retry_s=place.retry_s
            )
            return JSONResponse(waiting.model_dump(), status_code=202)
        response.headers["Location"] = f"/v1/sessions/{opened.id}"
        return joined_body(edge, opened, OpenedBody)

    return router


def _queue_routes(edge: Edge) -> APIRouter:
    router = APIRouter(tags=["queue"], dependencies=[Depends(bearer)])

    @router.get(
        "/v1/queue/{ticket}",
        summary="Where a ticket stands; asking keeps it alive",
        responses=errors(401, 404, 422, 503),
    )
    async def read_place(ticket: Ticket) -> QueueBody:
        try:
            place = edge.newcomers.place(ticket)
        except WrongTicket as error:
            raise Refusal(404, "unknown-ticket", str(error)) from error
        return QueueBody(position=place.position, ready=place.is_ready, retry_s=place.retry_s)

    @router.delete(
        "/v1/queue/{ticket}",
        status_code=204,
        summary="Leave the queue",
        responses=errors(401, 422, 503),
    )
    async def leave(ticket: Ticket) -> None:
        edge.sessions.leave(ticket)

    return router


def _session_routes(edge: Edge) -> APIRouter:
    router = APIRouter(
        prefix="/v1/sessions/{id}", tags=["sessions"], dependencies=[Depends(bearer)]
    )
    always = errors(401, 404, 422, 503)

    @router.get("", summary="How a session is doing", responses=always)
    async def read_session(id: Id) -> StatusBody:
        return status_body(await edge.sessions.status(id))

    @router.patch(
        "",
        summary="Change controls, what is shown, or what draws",
        responses=errors(401, 404, 503, *BODY),
    )
    async def patch_session(id: Id, body: PatchBody) -> PatchedBody:
        return patched_body(await edge.sessions.patch(id, patch_of(body)))

    @router.delete("", status_code=204, summary="End a session", responses=always)
    async def end_session(id: Id) -> None:
        await edge.sessions.close(id, "ended by its page")

    return router


def _wish(body: OfferBody) -> Wish:
    return Wish(
        controls=body.controls,
        size=size_of(body.size),
        resume=body.resume,
        ticket=body.ticket,
        mirror=body.mirror,
        name=None if body.name is None else stream_name(body.name),
    )
