"""LoRAs that streams ask for by name, read and fitted once; knows neither streams nor engines.

name at a scale ──▶ shelf ──▶ file ──▶ fitted to the model ──▶ Weights, one object a stack
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Protocol
from weakref import WeakValueDictionary

from streamgen.controls import LoraScale
from streamgen.errors import ModelError, StreamgenError
from streamgen.lora.delta import Scaled, check_stack
from streamgen.lora.fit import FittedLora, Networks
from streamgen.lora.read import read_lora
from streamgen.lora.weights import Key, Weights, key_of
from streamgen.motion.loras import fitted_with_motion

#: Files that are kept in memory, those in use apart.
KEPT = 8
#: As it was when it was read. With its number on the disk: files of one rank are of one size, and
#: unpacking or copying may give them one time.
_File = tuple[Path, int, int, int]


class Shelf(Protocol):
    """Where LoRAs are found, as `streamgen.lora.shelf.Shelf`."""

    def path(self, name: str) -> Path:
        """Return the file of a name; ConfigError where there is none."""


class LoraBook:
    """Gives streams the weights that they ask for; may be asked by several threads.

    What weights are made of stays as it was read until nobody uses them any more: a file that is
    replaced counts from the next time that somebody asks for other LoRAs or scales.
    """

    def __init__(
        self, shelf: Shelf, networks: Networks, *, prepare: Callable[[Weights], None]
    ) -> None:
        """networks: with the model's own weights. prepare(weights): has what draws ready for them;
        slow, and raises where that cannot be."""
        self.prepare = prepare
        self._shelf = shelf
        self._networks = networks
        self._files: OrderedDict[_File, FittedLora] = OrderedDict()
        self._asked: WeakValueDictionary[tuple[LoraScale, ...], Weights] = WeakValueDictionary()
        self._alive: WeakValueDictionary[Key, Weights] = WeakValueDictionary()
        # Held for the bookkeeping only: reading and preparing take as long as they take.
        self._lock = Lock()

    def check(self, loras: Sequence[LoraScale]) -> None:
        """Raise ConfigError for a name that is not on the shelf; reads no file.

        Those that are in use may have left it.
        """
        with self._lock:
            if tuple(loras) in self._asked:
                return
        for each in loras:
            self._shelf.path(each.name)

    def weights(self, loras: Sequence[LoraScale]) -> Weights:
        """Return the weights of LoRAs at their scales once they can be drawn with.

        Raises ModelError for a file that is no sound LoRA of this model, ConfigError for one file
        under two names, and what `prepare` raises; then everything is as before.
        """
        asked = tuple(loras)
        with self._lock:
            found = self._asked.get(asked)
        if found is None:
            found = self._known(tuple(self._scaled(each) for each in asked if each.scale))
        self._have_ready(found)
        with self._lock:
            self._asked[asked] = found
        return found

    def sound(self, loras: Sequence[LoraScale]) -> tuple[LoraScale, ...]:
        """Return those whose files can be read and fit the model; reads those that are new."""
        return tuple(each for each in loras if self._is_sound(each.name))

    def _is_sound(self, name: str) -> bool:
        try:
            self._fitted(name)
        except StreamgenError:
            return False
        return True

    def in_use(self) -> tuple[Weights, ...]:
        """Return the weights that some revision is drawn with, or may be next."""
        with self._lock:
            return tuple(self._alive.values())

    def _have_ready(self, weights: Weights) -> None:
        """Prepare weights, once more where others took over from what draws meanwhile."""
        prepare: Callable[[Weights], None] | None = None
        while prepare is not self.prepare:
            prepare = self.prepare
            prepare(weights)

    def _known(self, stack: tuple[Scaled, ...]) -> Weights:
        check_stack(stack)
        key = key_of(stack)
        with self._lock:
            found = self._alive.get(key)
            if found is None:
                found = self._alive[key] = Weights(stack=stack)
            return found

    def _scaled(self, asked: LoraScale) -> Scaled:
        return Scaled(lora=self._fitted(asked.name), scale=asked.scale)

    def _fitted(self, name: str) -> FittedLora:
        path = self._shelf.path(name)
        try:
            told = path.stat()
        except OSError as error:
            reason = error.strerror or error
            raise ModelError(f"LoRA {name!r}: its file cannot be read: {reason}") from error
        file = (path, told.st_mtime_ns, told.st_size, told.st_ino)
        with self._lock:
            if file in self._files:
                self._files.move_to_end(file)
                return self._files[file]
        made = fitted_with_motion(read_lora(path), self._networks)
        with self._lock:
            self._files[file] = made
            while len(self._files) > KEPT:
                self._files.popitem(last=False)
        return made
