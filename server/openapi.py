"""What every route says of itself in the description of the interface: its errors, the token."""

from __future__ import annotations

from typing import Any  # FastAPI's table of responses holds anything

from fastapi.security import HTTPBearer

from server.wire import ErrorBody

MEANINGS = {
    400: "The body is not JSON, or not the SDP that it should be.",
    401: "The token, or the pass, is missing, wrong or too old.",
    403: "Unknown host name, a page from elsewhere, or a pass that does not allow this.",
    404: "There is nothing under this address.",
    408: "The body came too slowly.",
    406: "Nothing here can decode the offer's video; the sentence says what to choose.",
    409: "The ticket or the resume token is not valid any more, or the stream's name is taken, or"
    " nobody publishes the stream yet.",
    412: "If-Match names another agreement than the one in force.",
    413: "The body is too large.",
    415: "The body is not of the type that this address takes.",
    422: "Something in the request is not allowed; the sentence names it.",
    428: "If-Match is missing.",
    429: "Too many requests; see Retry-After.",
    503: "Not now: starting, draining, full, or the model is being restarted; see Retry-After.",
}
#: What may be wrong with a body.
BODY = (400, 408, 413, 415, 422)
#: Only described here: the guard looks at the token before anything of a request is read.
bearer = HTTPBearer(auto_error=False, description="The server's token, where it wants one.")


_REFERENCE = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}


def errors(*statuses: int, is_json: bool = True) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of a route's errors, with those that every route has.

    is_json: whether what the route answers with is JSON; its errors are in any case.
    """
    body = {"model": ErrorBody} if is_json else {"content": _REFERENCE}
    return {
        status: {**body, "description": MEANINGS[status]}
        for status in sorted({403, 429, *statuses})
    }


def location(what: str) -> dict[str, Any]:
    """Return the description of the header Location."""
    return {"Location": {"description": what, "schema": {"type": "string"}}}


def text_body(type: str, what: str) -> dict[str, Any]:
    """Return the description of a body that is text of one media type."""
    content = {type: {"schema": {"type": "string", "description": what}}}
    return {"requestBody": {"required": True, "content": content}}


def begun_in(type: str) -> dict[int | str, dict[str, Any]]:
    """Return the description of an answer 201 to an offer, as text of one media type."""
    headers = {
        "ETag": "The entity-tag of this agreement, for If-Match.",
        "Link": "STUN and TURN servers, one a line, rel=ice-server.",
    }
    described = {
        name: {"description": what, "schema": {"type": "string"}} for name, what in headers.items()
    }
    return {
        201: {
            "description": "The answer.",
            "content": {type: {"schema": {"type": "string"}}},
            "headers": {**location("The session's address, to end it."), **described},
        }
    }
