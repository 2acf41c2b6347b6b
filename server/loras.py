"""Which LoRAs visitors may choose from, and whether their files are good; knows no paths outside.

Looked at anew whenever somebody asks, as files come and go while a server runs; what has not
changed is not read again. Blocks on the disk: not for the event loop.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from server.wire_about import LoraBody
from streamgen.errors import ConfigError, ModelError
from streamgen.lora.header import read_header
from streamgen.lora.shelf import Shelf

logger = logging.getLogger(__name__)

#: A file as it was: its path, when it was written last, its size, its number on the disk.
_Seen = tuple[Path, int, int, int]
_TWICE = "Two files have this name: the server's owner has to rename one."


class LorasOnOffer:
    """What a page is told of the LoRAs of a server; may be asked by several threads."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        # Replaced as a whole, so that it may be read meanwhile.
        self._faults: dict[_Seen, str] = {}

    def look(self) -> tuple[LoraBody, ...]:
        """Return what there is now."""
        try:
            files = self._shelf.files()
        except ConfigError as error:
            logger.warning("%s", error)
            return ()
        known: dict[_Seen, str] = {}
        found = tuple(self._told(name, paths, known) for name, paths in files.items())
        self._faults = known
        return found

    def _told(self, name: str, paths: Sequence[Path], known: dict[_Seen, str]) -> LoraBody:
        says = _TWICE if len(paths) > 1 else self._fault(paths[0], known)
        return LoraBody(name=name, state="broken" if says else "ready", says=says)

    def _fault(self, path: Path, known: dict[_Seen, str]) -> str:
        """Return what is wrong with a file in one sentence, empty where nothing is."""
        try:
            stat = path.stat()
        except OSError as error:
            return _sentence(f"it cannot be read: {error.strerror or error}")
        seen = (path, stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if seen not in self._faults:
            try:
                read_header(path)
                known[seen] = ""
            except ModelError as error:
                known[seen] = _sentence(str(error))
        else:
            known[seen] = self._faults[seen]
        return known[seen]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
