"""What can go wrong between a browser's media and a stream; every message says what is allowed."""

from __future__ import annotations

from streamgen.errors import StreamgenError


class ServerError(StreamgenError):
    """Something the server needs is not as it must be."""


class TooLarge(ServerError):
    """A peer keeps sending pictures that are larger than the server takes."""
