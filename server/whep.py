"""WHEP (draft-ietf-wish-whep-03): players watch a stream; they send nothing."""

from __future__ import annotations

from fastapi import APIRouter

from server.edge import Edge
from server.limits import Turnstile
from server.nouns import Offer, UnknownStream
from server.refusals import Refusal
from server.signalling import Begun, Dialect, signalling_routes
from server.whip_offers import check_player

#: When to ask again for a stream that nobody publishes yet.
UNKNOWN_RETRY_S = 2


def whep_routes(edge: Edge, *, offers: Turnstile) -> APIRouter:
    """Return the routes for players; offers: how often one address may offer."""
    dialect = Dialect(
        folder="whep",
        does="watch a stream (WHEP)",
        right="view",
        check=check_player,
        begin=_attach,
        end=_detach,
    )
    return signalling_routes(edge, dialect, offers=offers)


async def _attach(edge: Edge, name: str, sdp: str) -> Begun:
    try:
        attached = await edge.newcomers.attach(name, Offer(sdp=sdp), may_control=False)
    except UnknownStream as error:
        # The draft's own answer to players that are early; they are to ask again.
        raise Refusal(409, "unknown-stream", str(error), retry_s=UNKNOWN_RETRY_S) from error
    return Begun(name=attached.name, id=attached.id, sdp=attached.sdp)


async def _detach(edge: Edge, name: str, id: str) -> None:
    await edge.sessions.detach(name, id)
