"""What a stream may be called; knows no stream."""

from __future__ import annotations

import re

from server.nouns import BadName

#: As text for a regular expression; names are given lower case before.
PATTERN = "[a-z0-9][a-z0-9_-]{0,39}"
_NAME = re.compile(PATTERN)


def stream_name(text: str) -> str:
    """Return a name as it is kept; BadName for what can be none."""
    name = text.lower()
    if not text.isascii() or not _NAME.fullmatch(name):
        raise BadName(
            f"stream name {text[:60]!r}: choose 1 to 40 of a-z, 0-9, _ and -,"
            " the first a letter or digit"
        )
    return name
