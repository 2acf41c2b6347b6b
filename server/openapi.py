"""What every route says of itself in the description of the interface: its errors, the token."""

from __future__ import annotations

from typing import Any  # FastAPI's table of responses holds anything

from fastapi.security import HTTPBearer

from server.wire import ErrorBody

MEANINGS = {
    400: "The body is not JSON.",
    401: "The token is missing or wrong.",
    403: "Unknown host name, or a page from elsewhere.",
    404: "There is nothing under this address.",
    408: "The body came too slowly.",
    409: "The ticket or the resume token is not valid any more.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    422: "Something in the request is not allowed; the sentence names it.",
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
