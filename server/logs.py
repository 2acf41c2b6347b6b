"""How log lines look where no person reads them: one JSON object each, without anybody's secrets.

Our own lines hold no prompts, offers, tokens or addresses; those of libraries are cleaned here.
Configures nothing: the command does.
"""

from __future__ import annotations

import logging
import re
from collections.abc import MutableMapping
from typing import Any  # structlog's event dictionaries hold anything

import structlog

_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")
_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:)[0-9A-Fa-f:.]{3,}(?![\w:])")
_SECRET = re.compile(r"(?i)((?:token|bearer|credential|resume|ice-pwd|ufrag)[=: ]+)[^\s,;'\"]+")
_SDP = re.compile(r"v=0\r?\n.*", re.DOTALL)


def formatter() -> logging.Formatter:
    """Return a formatter that writes each record as one line of JSON."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _clean,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
    )


def scrubbed(text: str) -> str:
    """Return a text without addresses, secrets and session descriptions."""
    text = _SDP.sub("[sdp]", text)
    text = _SECRET.sub(r"\1[secret]", text)
    return _IPV6.sub("[address]", _IPV4.sub("[address]", text))


def _clean(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in ("event", "exception"):
        if key in event:
            event[key] = scrubbed(str(event[key]))
    return event
