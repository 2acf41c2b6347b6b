"""How the server says no: a status, a short key for programs, a sentence for people.

Every error of the HTTP interface has this one shape, `{"error": key, "says": sentence}`. Knows
nothing of what was asked.
"""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any  # what pydantic's list of errors holds

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from server import nouns
from server.headers import SIGNALLING
from server.recording import RecordingOff
from streamgen.errors import ConfigError, Full, StreamgenError

logger = logging.getLogger(__name__)

_KEYS = {
    400: "bad-request",
    404: "not-found",
    405: "not-allowed",
    413: "too-large",
    415: "wrong-type",
    422: "invalid",
}
#: What an error of the sessions is as an answer: status, key, after how long to try again.
_ANSWERS: Sequence[tuple[type[StreamgenError], int, str, float | None]] = (
    (nouns.UnknownSession, 404, "unknown-session", None),
    (nouns.UnknownStream, 404, "unknown-stream", None),
    (nouns.NameTaken, 409, "name-taken", 2),
    (nouns.BadName, 422, "bad-name", None),
    (nouns.BadFragment, 400, "bad-fragment", None),
    (RecordingOff, 409, "recording-off", None),
    (nouns.SeatsTaken, 503, "full", 10),
    (nouns.WrongTicket, 409, "wrong-ticket", None),
    (nouns.UnknownResume, 409, "unknown-resume", None),
    (nouns.OfferRefused, 422, "bad-offer", None),
    (nouns.QueueFull, 503, "full", 30),
    (nouns.NegotiationTimedOut, 503, "timed-out", 5),
    (nouns.Draining, 503, "draining", 30),
    (Full, 503, "full", 10),
    (ConfigError, 422, "invalid", None),
)
_SENTENCES = {
    404: "There is nothing under this address.",
    405: "This address does not take that method.",
}


class Refusal(StreamgenError):
    """A request that is answered with an error; retry_s: when the same one may succeed."""

    def __init__(
        self,
        status: int,
        key: str,
        says: str,
        *,
        retry_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(says)
        self.status = status
        self.key = key
        self.retry_s = retry_s
        self.headers = dict(headers or {})

    @property
    def response(self) -> JSONResponse:
        """Return it as an answer."""
        headers = dict(self.headers)
        if self.retry_s is not None:
            headers["Retry-After"] = str(max(round(self.retry_s), 1))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        content = {"error": self.key, "says": _sentence(str(self))}
        return JSONResponse(content, status_code=self.status, headers=headers)


def install(app: FastAPI) -> None:
    """Give every error of an application the one shape."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> JSONResponse:
        return _told(request, error)

    @app.exception_handler(StreamgenError)
    async def mendable(request: Request, error: StreamgenError) -> JSONResponse:
        return _told(request, of_error(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return of_validation(error.errors()).response

    @app.exception_handler(HTTPException)
    async def plain(_: Request, error: HTTPException) -> JSONResponse:
        status = error.status_code
        says = _SENTENCES.get(status, str(error.detail))
        key = _KEYS.get(status, "error")
        return Refusal(status, key, says, headers=error.headers).response

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return Refusal(500, "unexpected", "Something went wrong here; it is in the log.").response


def _told(request: Request, refusal: Refusal) -> JSONResponse:
    """Return a refusal as an answer; the log has it where programs show only its number."""
    if request.url.path.startswith(SIGNALLING):
        logger.info("an offer was refused: %d %s", refusal.status, refusal.key)
    return refusal.response


def of_error(error: StreamgenError) -> Refusal:
    """Return what a mendable error is as an answer."""
    if isinstance(error, Refusal):
        return error
    for kind, status, key, retry_s in _ANSWERS:
        if isinstance(error, kind):
            return Refusal(status, key, str(error), retry_s=retry_s)
    logger.warning("a request failed: %s", error)
    return Refusal(503, "unavailable", str(error), retry_s=5)


def of_validation(errors: Sequence[Mapping[str, Any]]) -> Refusal:
    """Return the first thing that is wrong with a request as a sentence."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return Refusal(400, "bad-json", f"The body is not JSON: {first['ctx']['error']}.")
    place = [str(part) for part in first["loc"][1:]]
    if not place and first["type"] in ("missing", "model_attributes_type"):
        return Refusal(415, "wrong-type", "Send a JSON object, Content-Type: application/json.")
    where = ".".join(place) or "(the whole)"
    if first["type"] == "extra_forbidden":
        return Refusal(422, "unknown-field", f"Field {where} is not known.")
    value = "" if first["type"] == "missing" else f" {reprlib.repr(first['input'])}"
    return Refusal(422, "invalid", f"Field {where}{value}: {_plain(first)}")


def _sentence(text: str) -> str:
    """Return what is written like a line of a terminal as a sentence of a page."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _plain(error: Mapping[str, Any]) -> str:
    says = str(error["msg"]).removeprefix("Value error, ")
    return says[:1].lower() + says[1:]
