"""What is told once of something that goes on; knows nobody who hears it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from server.messages import notice


class Notices:
    """Told again and again how it is, and says so when it begins."""

    def __init__(self) -> None:
        self._begun: set[str] = set()

    def keep(
        self, key: str, says: str | None, *, tell: Callable[[Mapping[str, object]], object]
    ) -> None:
        """Note how it is; says: None where all is well."""
        if says is None:
            self._begun.discard(key)
        elif key not in self._begun:
            self._begun.add(key)
            tell(notice("warning", says, key=key))

    def renew(self, key: str) -> None:
        """Say it once more where it goes on: it has happened again."""
        self._begun.discard(key)

    def forget(self) -> None:
        """Say everything once more, to somebody who is new."""
        self._begun.clear()
