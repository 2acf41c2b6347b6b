"""Connections that are closed while they are being made: nothing of them goes on, nothing is said.

aioice begins to ask for consent (RFC 7675) when it is connected, even where it was closed in that
very moment: nobody would end that again. aiortc starts ICE once for every section of an offer, and
raises in a task of its own where it was closed between two of them.
"""

from __future__ import annotations

from typing import Any  # Any: classes, whose methods are replaced

from aioice.ice import Connection
from aiortc import RTCPeerConnection
from aiortc.rtcicetransport import RTCIceParameters, RTCIceTransport

upstream_consent = Connection.query_consent
upstream_start = RTCIceTransport.start


async def consent_until_closed(connection: Connection) -> None:
    """Ask as aioice does, but nothing for a connection that is closed."""
    if not connection._closing:
        await upstream_consent(connection)


async def start_unless_closed(
    transport: RTCIceTransport, remoteParameters: RTCIceParameters
) -> None:
    """Start as aiortc does; for a transport that is closed there is nothing to do."""
    if transport.state != "closed":
        await upstream_start(transport, remoteParameters)


def has_arrived(pc: RTCPeerConnection) -> bool:
    """Whether the peer has acknowledged all that was said on channels.

    `bufferedAmount` does not tell: it falls when SCTP has taken a message, which may still wait.
    """
    sctp = pc.sctp
    return sctp is None or not (
        sctp._data_channel_queue or sctp._outbound_queue or sctp._sent_queue
    )


def mind_closing(*, is_on: bool) -> None:
    """Have all connections see from now on that they are closed, or go on as upstream does."""
    connection: Any = Connection
    transport: Any = RTCIceTransport
    connection.query_consent = consent_until_closed if is_on else upstream_consent
    transport.start = start_unless_closed if is_on else upstream_start
