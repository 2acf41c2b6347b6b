"""Runs a network's graph through polygraphy, and says where it first goes another way than torch.

polygraphy makes copies and waits for the device: it is for looking into networks, never for frames.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any  # polygraphy carries no types

import torch
from torch import Tensor

from engines.debugging import Case, Graph
from engines.errors import BackendUnavailable, EngineError
from engines.verify import Limits, OutputReport, snr_db

TORCH, ONNXRUNTIME, TENSORRT = "torch fp32", "ONNX Runtime", "TensorRT"
INPUTS, ANSWERS = "inputs.json", "answers.json"
#: As pip is asked for them.
_PARTS = {name: name for name in ("onnx", "onnxruntime", "onnxscript")}
_PARTS |= {"polygraphy": '"polygraphy>=0.53.4,<0.54"'}
_LAYERS = "layers.onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """A layer, or an output, that a runner does not compute as near as is required."""

    runner: str
    name: str
    least_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs of a network; the layers are in the order in which they are computed."""

    runner: str
    reference: str
    layers: tuple[OutputReport, ...]
    outputs: tuple[OutputReport, ...]

    def first_wrong(self, limits: Limits, *, layers_db: float) -> Wrong | None:
        """Return the first value that is not finite, or further off than is allowed."""
        allowed = [(each, layers_db) for each in self.layers]
        allowed += [(each, limits.snr_db_of(at)) for at, each in enumerate(self.outputs)]
        for each, least_db in allowed:
            if not each.is_finite or each.snr_db < least_db:
                return Wrong(runner=self.runner, name=each.name, least_db=least_db)
        return None


def check_parts() -> None:
    """Raise BackendUnavailable, with what installs it, where something is missing."""
    missing = [name for name in _PARTS if not _is_there(name)]
    if missing:
        command = " ".join(["pip install", *(_PARTS[name] for name in missing)])
        raise BackendUnavailable(f"{', '.join(missing)} not installed: {command}")


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # somebody keeps it from being imported
        return False


def save_answers(case: Case) -> None:
    """Write inputs and torch's answers as polygraphy's own commands read them."""
    polygraphy = _polygraphy()
    arrays = {name: tensor.numpy() for name, tensor in case.inputs.items()}
    import_module("polygraphy.json").save_json([arrays], str(case.folder / INPUTS))
    answers = {
        case.runnable.values.get(name, name): tensor.float().numpy()
        for name, tensor in case.answers.items()
    }
    results = import_module("polygraphy.comparator").RunResults()
    with polygraphy.verbosity(polygraphy.ERROR):
        results.add([answers], runner_name="torch")
        results.save(str(case.folder / ANSWERS))


def compare_runs(case: Case, *, tensorrt: bool = False) -> tuple[Comparison, ...]:
    """Compare ONNX Runtime with torch; tensorrt: and TensorRT, which is here, with ONNX Runtime.

    Raises EngineError where one of them cannot run the graph.
    """
    ports = [tensor.name for tensor in case.spec.outputs]
    found = {ONNXRUNTIME: _run(case, ONNXRUNTIME, case.runnable)}
    pairs = [(ONNXRUNTIME, TORCH, case.answers)]
    if tensorrt:
        found[TENSORRT] = _run(case, TENSORRT, case.graph)
        pairs.append((TENSORRT, ONNXRUNTIME, found[ONNXRUNTIME]))
    return tuple(
        Comparison(
            runner=runner,
            reference=name,
            layers=tuple(_reports(found[runner], right, names=case.graph.values)),
            outputs=tuple(_reports(found[runner], right, names=ports)),
        )
        for runner, name, right in pairs
    )


def command_for(case: Case, wrong: Wrong | None, *, least_db: float) -> str:
    """Return polygraphy's command to go on with.

    wrong: what is wrong first, None where all is well so far. least_db: required of outputs.
    """
    inputs, answers = (str(case.folder / name) for name in (INPUTS, ANSWERS))
    given = ["--load-inputs", inputs]
    limit = f"{wrong.least_db if wrong else least_db:g}"
    judged = ["--compare", "snr", "--snr-threshold", limit, "--validate"]
    built = ["--trt", "--strongly-typed", *given]
    if wrong is None:
        run = ["polygraphy", "run", str(case.graph.path), *built]
        return shlex.join([*run, "--load-outputs", answers, *judged])
    if wrong.runner == ONNXRUNTIME:
        value = case.runnable.values.get(wrong.name, wrong.name)
        run = ["polygraphy", "run", str(case.runnable.path), "--onnxrt", "--onnx-outputs", value]
        return shlex.join([*run, *given, "--load-outputs", answers, *judged])
    # Parts of a bf16 graph can be looked at for NaN only: ONNX Runtime cannot run them.
    against = ["--validate"] if case.graph != case.runnable else ["--onnxrt", *judged]
    reduced = str(case.folder / "reduced.onnx")
    cut = ["polygraphy", "debug", "reduce", str(case.graph.path), "-o", reduced]
    tried = ["--check", "polygraphy", "run", "polygraphy_debug.onnx", *built, *against]
    # Inputs stay where they are, so that the same ones fit every part.
    return shlex.join([*cut, "--mode=bisect", "--no-reduce-inputs", *tried])


def _run(case: Case, runner: str, graph: Graph) -> dict[str, Tensor]:
    """Return the layers and the outputs that a runner computes, by their names in the case."""
    names = dict(graph.values) | {tensor.name: tensor.name for tensor in case.spec.outputs}
    polygraphy = _polygraphy()
    comparator = import_module("polygraphy.comparator").Comparator
    made = _onnxruntime if runner == ONNXRUNTIME else _tensorrt
    try:
        with polygraphy.verbosity(polygraphy.CRITICAL):
            results = comparator.run([made(graph, names)], data_loader=[dict(case.inputs)])
    # ONNX Runtime, TensorRT and polygraphy each have errors of their own, not told in common
    except Exception as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise EngineError(f"{case.spec.role}: {runner} cannot run {graph.path}: {told}") from error
    outputs = results[0][1][0]
    return {name: torch.as_tensor(outputs[at]) for name, at in names.items() if at in outputs}


def _onnxruntime(graph: Graph, names: Mapping[str, str]) -> Any:
    onnx: Any = import_module("polygraphy.backend.onnx")
    runtime: Any = import_module("polygraphy.backend.onnxrt")
    # Beside the graph, whose file of weights, if it has one, it goes on using.
    marked = graph.path.with_name(_LAYERS)
    model = onnx.onnx_from_path(str(graph.path), ignore_external_data=True)
    onnx.save_onnx(onnx.modify_outputs(model, outputs=list(names.values())), str(marked))
    return runtime.OnnxrtRunner(runtime.session_from_onnx(str(marked)), name=ONNXRUNTIME)


def _tensorrt(graph: Graph, names: Mapping[str, str]) -> Any:
    """Written to the letter of polygraphy 0.53.6; never run, for want of TensorRT."""
    trt: Any = import_module("polygraphy.backend.trt")
    network = trt.network_from_onnx_path(str(graph.path), strongly_typed=True)
    known = import_module("polygraphy.backend.trt.util").get_all_tensors(network[1])
    outputs = [value for value in names.values() if value in known]
    marked = trt.modify_network_outputs(network, outputs=outputs)
    engine = trt.engine_from_network(marked, config=trt.CreateConfig())
    return trt.TrtRunner(engine, name=TENSORRT)


def _reports(
    found: Mapping[str, Tensor], right: Mapping[str, Tensor], *, names: Iterable[str]
) -> Iterable[OutputReport]:
    for name in names:
        if name not in found or name not in right or found[name].shape != right[name].shape:
            continue  # a compiler has no such value, or the graph has turned it
        actual, reference = found[name], right[name]
        is_finite = bool(torch.isfinite(actual.double()).all())
        off = (actual.double() - reference.double()).abs()
        yield OutputReport(
            name=name,
            max_abs=off.max().item() if is_finite else math.inf,
            snr_db=snr_db(actual, reference),
            is_finite=is_finite,
        )


def _polygraphy() -> Any:
    """Return polygraphy's log, having kept it from installing packages by itself."""
    config: Any = import_module("polygraphy.config")
    config.AUTOINSTALL_DEPS = False  # whatever the environment says
    return import_module("polygraphy.logger").G_LOGGER
