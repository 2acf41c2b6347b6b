"""WHIP (RFC 9725): OBS and others publish a picture, which becomes a stream; none comes back."""

from __future__ import annotations

from fastapi import APIRouter

from server.edge import Edge
from server.limits import Turnstile
from server.nouns import Offer, SeatsTaken, Wish
from server.refusals import Refusal
from server.signalling import Begun, Dialect, signalling_routes
from server.whip_offers import check_publisher

#: When to try again where all seats are taken: WHIP knows no queue.
FULL_RETRY_S = 10


def whip_routes(edge: Edge, *, offers: Turnstile) -> APIRouter:
    """Return the routes for publishers; offers: how often one address may offer."""
    dialect = Dialect(
        folder="whip",
        does="publish a stream (WHIP, RFC 9725)",
        right="publish",
        check=check_publisher,
        begin=_publish,
        end=_end,
    )
    return signalling_routes(edge, dialect, offers=offers)


async def _publish(edge: Edge, name: str, sdp: str) -> Begun:
    try:
        opened = await edge.newcomers.publish(Offer(sdp=sdp), Wish(name=name))
    except SeatsTaken as error:
        edge.sessions.leave(error.place.ticket)
        raise Refusal(503, "full", "All seats are taken.", retry_s=FULL_RETRY_S) from error
    return Begun(name=opened.name, id=opened.peer, sdp=opened.sdp)


async def _end(edge: Edge, name: str, id: str) -> None:
    await edge.sessions.unpublish(name, id)
