"""Exchanges the weights of an engine while it stays where it is; knows nothing of LoRAs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any  # TensorRT's bindings carry no types

import torch
from torch import Tensor

from engines.backends.tensorrt_files import Weight, Weights, base_values, read_weights
from engines.backends.tensorrt_library import Library
from engines.backends.tensorrt_module import Held, Spoilt
from engines.errors import ArtifactError, EngineError, SpecMismatch, SwapUnsupported
from engines.protocol import Artifact, SwapResult
from engines.spec import EngineSpec
from engines.swap import check_delta

_DTYPES = {"FLOAT": torch.float32, "HALF": torch.float16, "BF16": torch.bfloat16}


class Refit:
    """Puts new weights into an engine, and knows of each what is in there now.

    Most weights are as they were built, and those are on disk. The others are kept, on the CPU:
    where a refit fails, they are put back.
    """

    def __init__(self, held: Held, artifact: Artifact) -> None:
        self._held = held
        self._artifact = artifact
        self._role = artifact.spec.role
        self._weights: Weights = read_weights(artifact)
        self._refitter: Any = _refitter(held.library, held.engine, artifact.spec)
        self._places = set(self._refitter.get_all_weights())
        self._now: dict[str, Tensor] = {}

    def missing(self) -> list[str]:
        """Return the names of kernels and matrices that new values cannot be given to."""
        return [
            name
            for name, weight in self._weights.named.items()
            if len(weight.shape) > 1 and weight.place not in self._places
        ]

    def __call__(self, delta: Mapping[str, Tensor]) -> SwapResult:
        """As of `CompiledModule.swap_weights`."""
        placed = self._placed(delta)
        if placed:
            self._replace(placed)
        return SwapResult(names=tuple(delta))

    def _placed(self, delta: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the values by their places in the engine, as it holds them, on its device."""
        placed: dict[str, Tensor] = {}
        names: dict[str, str] = {}
        for name, value in delta.items():
            weight = self._weight(name, value)
            if weight is None:
                continue
            turned = value.detach().t() if weight.transposed else value.detach()
            put = self._put(weight.place, turned, name)
            if weight.place in placed and not torch.equal(put, placed[weight.place]):
                tied = f"{name!r} is tied to {names[weight.place]!r}, their values differ"
                raise SpecMismatch(f"{self._role}: weight {tied}")
            placed[weight.place], names[weight.place] = put, name
        # One wait for the device, however many they are.
        finite = {place: torch.isfinite(value).all() for place, value in placed.items()}
        if finite and not torch.stack(list(finite.values())).all():
            bad = next(names[place] for place, is_finite in finite.items() if not is_finite)
            raise SpecMismatch(
                f"{self._role}: weight {bad!r} has values that the engine cannot hold"
            )
        return placed

    def _weight(self, name: str, value: Tensor) -> Weight | None:
        """Return where a weight is; None for one that nothing is computed from."""
        weight = self._weights.named.get(name)
        if weight is None and name in self._weights.unused:
            return None
        if name in self._weights.folded or (weight and weight.place not in self._places):
            raise SwapUnsupported(
                f"{self._role}: weight {name!r} became part of something else in this engine:"
                " leave out what changes it, or use --backend inductor"
            )
        known = {} if weight is None else {name: weight.shape}
        check_delta({name: value}, known, role=self._role)
        return weight

    def _put(self, place: str, value: Tensor, name: str) -> Tensor:
        """Return a value in the dtype of the engine, contiguous, in memory of its own."""
        prototype = self._refitter.get_weights_prototype(place)
        dtype = _DTYPES.get(prototype.dtype.name)
        if dtype is None or prototype.size != value.numel():
            held = f"{prototype.size} numbers of {prototype.dtype.name}"
            raise SwapUnsupported(
                f"{self._role}: weight {name!r} is {held} in this engine: it cannot be exchanged"
            )
        return torch.empty(value.shape, dtype=dtype, device=self._held.device).copy_(value)

    def _replace(self, placed: Mapping[str, Tensor]) -> None:
        """Put values into the engine; where that fails, what was there before."""
        before = self._before(set(placed))
        whole = self._completed(placed)
        try:
            self._refit(whole)
        except EngineError as error:
            try:
                self._refit({**whole, **before})
            except EngineError as second:
                raise Spoilt(
                    f"{self._role}: weights half exchanged ({error}), and the old ones cannot be"
                    f" put back ({second}): closed, compile it again"
                ) from error
            told = f"weights not exchanged, the old ones stay: {error}"
            raise EngineError(f"{self._role}: {told}") from error
        self._now |= {place: value.to("cpu") for place, value in placed.items()}

    def _before(self, places: set[str]) -> dict[str, Tensor]:
        """Return what is in the engine in these places, on the CPU."""
        held = {place: self._now[place] for place in places & self._now.keys()}
        held |= base_values(self._artifact, places - held.keys())
        if unknown := sorted(places - held.keys()):
            raise ArtifactError(f"{self._role}: no values of {unknown[:3]} are kept")
        return held

    def _completed(self, placed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add what TensorRT asks for beside the values, of which it has made one with theirs."""
        try:
            self._name(placed)
            return {**placed, **self._before(set(self._refitter.get_missing_weights()))}
        finally:
            self._forget(placed)

    def _refit(self, values: Mapping[str, Tensor]) -> None:
        """Have TensorRT take values, and wait until it has read them; they may be half taken."""
        held, library = self._held, self._held.library
        mark = library.log.mark
        try:
            self._name(values)
            if left := self._refitter.get_missing_weights():
                raise EngineError(f"tensorrt misses {sorted(left)[:3]}")
            with (
                library.on(held.device),
                library.ordered(held.device, held.scratch.aside) as stream,
            ):
                is_done = self._refitter.refit_cuda_engine_async(stream)
            library.synchronize(held.device)
            if not is_done:
                raise EngineError(library.log.since(mark))
        finally:
            self._forget(values)

    def _name(self, values: Mapping[str, Tensor]) -> None:
        library = self._held.library
        locations = library.trt.TensorLocation
        mark = library.log.mark
        for place, value in values.items():
            dtype = self._refitter.get_weights_prototype(place).dtype
            weights = library.trt.Weights(dtype, value.data_ptr(), value.numel())
            is_there = value.device.type == library.device
            at = locations.DEVICE if is_there else locations.HOST
            if not self._refitter.set_named_weights(place, weights, at):
                raise EngineError(f"{place!r}: {library.log.since(mark)}")

    def _forget(self, values: Mapping[str, Tensor]) -> None:
        """Leave no address of theirs behind: they go, and the next refit would read it again."""
        for place in values:
            self._refitter.unset_named_weights(place)


def _refitter(library: Library, engine: Any, spec: EngineSpec) -> Any:
    if not engine.refittable:
        raise ArtifactError(f"{spec.role}: this engine was built to keep its weights")
    mark = library.log.mark
    try:
        made = library.trt.Refitter(engine, library.log.sink)
    except TypeError as error:  # its factory returned nothing
        said = library.log.since(mark)
        raise EngineError(f"{spec.role}: tensorrt cannot refit it: {said}") from error
    # New weights are looked over where they come from, and take effect within a frame's time.
    made.weights_validation = False
    return made
