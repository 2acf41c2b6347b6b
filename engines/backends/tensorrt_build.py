"""From an ONNX file that says its types to a plan for one GPU; knows nothing of running it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # TensorRT's bindings carry no types

from engines.backends.tensorrt_library import Library
from engines.backends.tensorrt_monitor import monitor_of
from engines.backends.tensorrt_probe import started
from engines.backends.tensorrt_timing import keep_times, use_times
from engines.errors import BuildCancelled, BuildError, EngineError
from engines.export import MODEL, OLDER_OPSET, OPSET
from engines.progress import UNWATCHED, Watch
from engines.spec import EngineSpec, TensorSpec

logger = logging.getLogger(__name__)

#: Writes a network as ONNX in an opset, with WEIGHTS_MAP beside it, or raises BuildError.
Write = Callable[[Path, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What a build may take: TensorRT's level of optimisation, 0 to 5, and memory of the GPU."""

    level: int
    workspace_bytes: int


#: TensorRT's own level first, with less memory than its default, which is all that there is: a
#: picture may be drawn beside it. Then once more with what needs far less of both.
EFFORTS = (
    Effort(level=3, workspace_bytes=4 * 2**30),
    Effort(level=2, workspace_bytes=2**30),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A network as TensorRT has read it: the objects have to be kept until it is compiled."""

    path: Path
    opset: int
    builder: Any
    network: Any
    parser: Any


def read_network(library: Library, spec: EngineSpec, write: Write, folder: Path) -> Draft:
    """Write a network into a folder and have TensorRT read it, in the newest opset that it can.

    Raises BuildError with what TensorRT, or torch, has against the newest one: some networks cannot
    even be written in the other.
    """
    refused: BuildError | None = None
    for opset in (OPSET, OLDER_OPSET):
        # An opset of its own: what a newer one left beside it would be read with it.
        path = folder / str(opset) / MODEL
        path.parent.mkdir()
        try:
            write(path, opset)
            return _parsed(library, spec, path, opset)
        except BuildError as error:
            refused = refused or error
            logger.debug("%s: opset %d will not do: %s", spec.role, opset, error)
    raise BuildError(str(refused)) from refused


def compile_plan(
    library: Library,
    spec: EngineSpec,
    draft: Draft,
    plan: Path,
    *,
    times: Path | None = None,
    watch: Watch = UNWATCHED,
) -> int:
    """Write a network's plan, and return which of EFFORTS it took, from 1.

    times: file of what was timed before. Raises BuildError with what TensorRT said, and
    BuildCancelled as soon as nobody wants it any more.
    """
    for attempt, effort in enumerate(EFFORTS, start=1):
        monitor = monitor_of(library.trt, watch)
        config = _config(library, spec, draft, effort)
        config.progress_monitor = monitor
        use_times(config, times)
        mark = library.log.mark
        made = draft.builder.build_serialized_network(draft.network, config)
        if not watch.is_wanted():
            raise BuildCancelled(f"{spec.role}: its build was cancelled")
        if made is not None:
            keep_times(config, times)
            with plan.open("wb") as file:
                file.write(made)
            return attempt
        said = library.log.since(mark)
        logger.warning("%s: tensorrt cannot build it with %s: %s", spec.role, effort, said)
    raise BuildError(f"{spec.role}: tensorrt cannot build it: {said}")


def _parsed(library: Library, spec: EngineSpec, path: Path, opset: int) -> Draft:
    trt, sink = library.trt, library.log.sink
    try:
        builder: Any = started(lambda: trt.Builder(sink), library, "Builder")
    except EngineError as error:
        raise BuildError(f"{spec.role}: {error}") from error
    # Types are those of the graph and of nothing else; from 11 on there is no other way.
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, sink)
    if not parser.parse_from_file(str(path)):
        errors = [parser.get_error(at) for at in range(parser.num_errors)]
        told = "; ".join(f"{e.node_operator()} {e.node_name()!r}: {e.desc()}" for e in errors)
        raise BuildError(f"{spec.role}: tensorrt cannot read opset {opset}: {told or 'no reason'}")
    return Draft(path=path, opset=opset, builder=builder, network=network, parser=parser)


def _config(library: Library, spec: EngineSpec, draft: Draft, effort: Effort) -> Any:
    trt = library.trt
    config = draft.builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, effort.workspace_bytes)
    config.builder_optimization_level = effort.level
    config.max_aux_streams = 0  # one stream, so that scratch memory can be shared
    # So that a network can be asked what its layers compute in; it costs nothing while it runs.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.clear_flag(trt.BuilderFlag.TF32)  # it has the exponents of fp32, not its digits
    if spec.swaps_weights:
        config.set_flag(trt.BuilderFlag.REFIT)
    for sizes in profiles(spec):
        profile = draft.builder.create_optimization_profile()
        for tensor in spec.inputs:
            if tensor.ranges:
                least, usual, most = (shape(tensor, spec, pick) for pick in sizes)
                profile.set_shape(tensor.name, least, usual, most)
        if config.add_optimization_profile(profile) < 0:
            ranges = ", ".join(map(str, spec.ranges.values()))
            raise BuildError(f"{spec.role}: tensorrt refuses the ranges {ranges}")
    return config


def profiles(spec: EngineSpec) -> tuple[tuple[str, str, str], ...]:
    """Return the profiles of a network: first the usual size alone, then all; none without ranges.

    Each says which size of a range is its least, its usual and its most.
    """
    if not spec.ranges:
        return ()
    return (("usual", "usual", "usual"), ("least", "usual", "most"))


def shape(tensor: TensorSpec, spec: EngineSpec, pick: str) -> tuple[int, ...]:
    """Return a tensor's shape with all ranges at their least, usual or most."""
    return tensor.shape_at({name: getattr(side, pick) for name, side in spec.ranges.items()})
