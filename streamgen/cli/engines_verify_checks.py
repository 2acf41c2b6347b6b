"""What `engines verify --report` looks at, and how one thing that it looked at came out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from engines.building import Builder
from streamgen.cli.engines_networks import Network
from streamgen.controls import Controls
from streamgen.models.engines import Engines

Verdict = Literal["PASSED", "FAILED", "NOT RUN"]
PASSED: Final = "PASSED"
FAILED: Final = "FAILED"
NOT_RUN: Final = "NOT RUN"
#: An absolute path: a slash or a drive, and at least two names; not within a word or an address.
_PATH = re.compile(r"(?<![\w.:/\\$~])(?:[A-Za-z]:)?(?:[/\\][\w.@+~-]+)+(?=[/\\])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model with one backend in one precision; its engines have compiled nothing yet.

    networks: that are compared one by one. controls: of the stream that is drawn.
    """

    engines: Engines
    networks: Sequence[Network]
    controls: Controls
    builder: Builder

    @property
    def backend(self) -> str:
        """Name of the backend."""
        return self.engines.choice.backend.name

    @property
    def title(self) -> str:
        """Backend and precision in a few words."""
        return f"{self.backend} in {self.engines.described_precision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How one thing came out. said: in a sentence, why it failed or did not run, or how well.

    is_needed: whether "auto" cannot do without it; what a device does not have, it can. facts:
    figures, plain data.
    """

    name: str
    verdict: Verdict
    said: str
    is_needed: bool = True
    facts: Mapping[str, object] = field(default_factory=dict)


class NotRun(Exception):
    """Something cannot be looked at here; the message says why.

    is_needed: as of `Check`.
    """

    def __init__(self, reason: str, *, is_needed: bool = True) -> None:
        super().__init__(reason)
        self.is_needed = is_needed


def attempted(name: str, look: Callable[[], Check]) -> Check:
    """Return what came of looking; whatever is raised becomes the sentence of its check."""
    try:
        return look()
    except NotRun as reason:
        return Check(name=name, verdict=NOT_RUN, said=str(reason), is_needed=reason.is_needed)
    # A report that ends at the first trouble tells nobody of the rest; drivers raise anything.
    except Exception as error:  # noqa: BLE001
        said = " ".join((str(error) or repr(error)).split())
        return Check(name=name, verdict=FAILED, said=said)


def without_places(content: object, *, hidden: Mapping[str, str]) -> object:
    """Return plain data without the folders of this machine; of a path the last name stays.

    hidden: what to write in place of the paths that are known.
    """
    if isinstance(content, str):
        for place, shown in hidden.items():
            content = content.replace(place, shown)
        return _PATH.sub("…", content)
    if isinstance(content, Mapping):
        return {key: without_places(value, hidden=hidden) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_places(value, hidden=hidden) for value in content]
    return content


def hidden_places(root: Path) -> dict[str, str]:
    """Return the folders that would tell of this machine. root: of the cache."""
    return {str(root): "$STREAMGEN_CACHE", str(Path.home()): "~"}
