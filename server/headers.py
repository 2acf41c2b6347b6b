"""Headers that every answer has, those for pages from elsewhere, and answers to OPTIONS.

Knows no route but by its path.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Send

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:;"
    " media-src 'self' blob: mediastream:; object-src 'none'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), display-capture=(self), fullscreen=(self),"
    " picture-in-picture=(self), screen-wake-lock=(self), microphone=(), geolocation=(), usb=(),"
    " payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
#: Where WebRTC is agreed on as RFC 9725 (WHIP) and draft-ietf-wish-whep (WHEP) have it.
SIGNALLING = ("/whip/", "/whep/")
ENDPOINT_METHODS = "GET, HEAD, OPTIONS, POST"
SESSION_METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH"


def cors(origin: str) -> dict[str, str]:
    """Return what a page from elsewhere needs to see."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
        "Access-Control-Expose-Headers": "Accept-Patch, Accept-Post, ETag, Link, Location,"
        " Retry-After",
        "Access-Control-Max-Age": "600",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Vary": "Origin",
    }


def options(path: str) -> Response:
    """Return the answer to OPTIONS; RFC 9725 says which types its addresses take."""
    if not path.startswith(SIGNALLING):
        return Response(status_code=204, headers={"Allow": "GET, POST, PATCH, DELETE"})
    headers = {"Accept-Post": SDP, "Allow": ENDPOINT_METHODS}
    if path.count("/") > 2:
        headers = {"Accept-Patch": FRAGMENT, "Allow": SESSION_METHODS}
    return Response(status_code=200, headers=headers)


def with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    """Return a `send` that puts headers on every answer."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = MutableHeaders(scope=message)
            for name, value in headers.items():
                given[name] = value
        await send(message)

    return sent
