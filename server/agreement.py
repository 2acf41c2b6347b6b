"""How an offer is answered by the rules of this server: in time, and with what makes it better.

Knows one peer, and nothing of what it comes for.
"""

from __future__ import annotations

import asyncio

from server.aiortc_tuning import tuned_answer
from server.nouns import NegotiationTimedOut, Offer
from server.peers import Peer
from server.rules import SessionRules


async def agree(peer: Peer, offer: Offer, rules: SessionRules, *, has_floor: bool) -> str:
    """Return the answer to a peer's offer; OfferRefused, NegotiationTimedOut.

    has_floor: the peer is a browser that sends, and is asked for a least bit rate.
    """
    seconds = rules.negotiation_s
    try:
        async with asyncio.timeout(seconds):
            answer = await peer.answer(offer.sdp)
    except TimeoutError as error:
        raise NegotiationTimedOut(f"no connection in {seconds:g} s: try again") from error
    return tuned_answer(
        answer,
        uplink_floor_kbps=rules.uplink_floor_kbps if has_floor else None,
        uplink_start_kbps=rules.uplink_start_kbps,
        public_ip=rules.public_ip,
    )
