"""What can go wrong with a compiled network.

EngineError
├── BackendUnavailable   a backend was asked for by name and cannot run here
├── BuildError           a network could not be compiled
├── CacheUnusable        the folder of the cache cannot be written
├── ArtifactError        a cached artifact is damaged or belongs to something else
├── BuildCancelled       somebody wanted the build no more
├── SpecMismatch         tensors do not fit the specification they are bound to
│   └── ShapeOutOfProfile   a size is outside of the range that a network was built for
└── SwapUnsupported      a backend cannot exchange weights in place
"""

from __future__ import annotations


class EngineError(Exception):
    """Anything that goes wrong in `engines`; the message says what to do."""


class BackendUnavailable(EngineError):
    """A backend was asked for by name and cannot run on this machine."""


class BuildError(EngineError):
    """A network could not be compiled."""


class CacheUnusable(EngineError):
    """The folder of the cache cannot be written."""


class ArtifactError(EngineError):
    """A cached artifact is damaged or belongs to something else."""


class SpecMismatch(EngineError):
    """Tensors do not fit the specification they are bound to."""


class ShapeOutOfProfile(SpecMismatch):
    """A size is outside of the range that a network was built for."""


class BuildCancelled(EngineError):
    """Somebody wanted the build no more."""


class SwapUnsupported(EngineError):
    """This backend cannot exchange weights in place."""
