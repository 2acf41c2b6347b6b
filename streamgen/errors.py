"""What can go wrong on the frame's way; every message names the value and what is allowed.

StreamgenError
├── ConfigError     an option, a control or a size that cannot be used
│   └── Full        no room for one more stream now
├── ModelError      a model folder or hub id that cannot be loaded
├── SourceError     an input that cannot be opened or decoded
└── SinkError       an output that cannot be opened or written
"""

from __future__ import annotations


class StreamgenError(Exception):
    """Anything a user can mend; the message is one sentence that says how."""


class ConfigError(StreamgenError):
    """An option, a control or a size that cannot be used."""


class Full(ConfigError):
    """There is no room for one more stream now; the same request may succeed later."""


class ModelError(StreamgenError):
    """A model folder or hub id that cannot be loaded."""


class SourceError(StreamgenError):
    """An input that cannot be opened or decoded."""


class SinkError(StreamgenError):
    """An output that cannot be opened or written."""
