"""Which LoRA files there are to choose from, by name; reads none of them.

A name is a file's name without its ending. One that comes from elsewhere is looked up among those
that were found, and never made into a path. Needs no torch.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamgen.errors import ConfigError

SUFFIX = ".safetensors"
#: Names in a sentence; a folder may hold thousands.
_TOLD = 12


@dataclass(frozen=True, slots=True)
class Shelf:
    """Folders and single files; what is put into a folder, or taken out, counts from then on."""

    places: Sequence[Path] = ()

    def check(self) -> None:
        """Raise ConfigError for a place that is neither a folder nor a file of a LoRA."""
        for place in self.places:
            if place.is_dir():
                continue
            if not place.exists():
                raise ConfigError(f"LoRA place '{place}': there is no such folder or file")
            if not _is_lora(place):
                raise ConfigError(f"LoRA place '{place}': give a folder, or a file {SUFFIX}")

    def names(self) -> tuple[str, ...]:
        """Return what may be asked for, in the order of the alphabet."""
        return tuple(self.files())

    def path(self, name: str) -> Path:
        """Return the file of a name; ConfigError for one that is not there, or there twice."""
        # By the names alone: a scale that is dragged comes here with every step of it.
        files = self.files(name)
        if name not in files:
            raise ConfigError(f"LoRA {name[:80]!r}: {_allowed(self.names())}")
        first, *others = files[name]
        if others:
            places = " and ".join(repr(path.parent.name or "/") for path in (first, others[0]))
            raise ConfigError(f"LoRA {name!r}: two files have this name, in {places}: rename one")
        return first

    def files(self, name: str | None = None) -> dict[str, tuple[Path, ...]]:
        """Return the files of every name, sorted; several only where different files share one.

        name: the only one that is looked for, which is far faster.
        """
        found: dict[str, dict[Path, Path]] = {}
        for place in self.places:
            for path in _files_in(place, name):
                found.setdefault(path.stem, {}).setdefault(path.resolve(), path)
        return {each: tuple(found[each].values()) for each in sorted(found, key=_by_letter)}


def _files_in(place: Path, name: str | None = None) -> list[Path]:
    """Return the files of a place, sorted; only those of a name where there is one."""
    try:
        paths = [place / each for each in _entries(place, name)] if place.is_dir() else [place]
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"LoRA folder {place.name!r} cannot be read: {reason}") from error
    named = (path for path in paths if name is None or path.stem == name)
    return [path for path in named if _is_lora(path) and _is_file(path)]


def _entries(folder: Path, name: str | None) -> list[str]:
    """Return what is in a folder; with a name, little that has another, as paths take time."""
    return sorted(each for each in os.listdir(folder) if each.startswith(name or ""))


def _is_lora(path: Path) -> bool:
    """Tell by its name; hidden files are those that something is still writing."""
    is_hidden = path.name.startswith(".")
    return path.suffix.lower() == SUFFIX and not is_hidden and _is_text(path.stem)


def _is_file(path: Path) -> bool:
    """Tell whether it is one that can be got at: one that cannot is not to spoil a folder."""
    try:
        return path.is_file()
    except OSError:
        return False


def _is_text(name: str) -> bool:
    """Tell whether a name can be said in a line: on Linux a file's may be any bytes."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)


def _by_letter(name: str) -> tuple[str, str]:
    return name.casefold(), name


def _allowed(names: Sequence[str]) -> str:
    if not names:
        return f"there are none to choose from: name a folder of {SUFFIX} files with --loras"
    more = f", or one of {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return f"choose {', '.join(names[:_TOLD])}{more}"
