"""Which layers of a network compute in eight bits, and in which range: measured by modelopt.

Knows nothing of ONNX and of TensorRT: it reads an exported program and real inputs of it.
"""

from __future__ import annotations

import copy
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any  # a graph's nodes, and modelopt's quantisers, are anything

import torch
from torch import Tensor, fx, nn

from engines.calibration import Calibration
from engines.errors import BuildError
from engines.export import exported, is_program
from engines.spec import FP8, INT8, EngineSpec

HINT = "pip install 'streamgen[quant]', or use bf16"
_LINEAR, _CONVOLUTION = torch.ops.aten.linear.default, torch.ops.aten.conv2d.default
#: modelopt's names of the number formats, and the axis along which weights have ranges of their
#: own. fp8 has one range for a layer: all of TensorRT from 10.0 on takes that, and `tiny` is no
#: nearer to fp32 with more (a level of fp8 is relative to its number, not to the range).
_FORMATS: Mapping[str, Mapping[str, object]] = {
    FP8: {"num_bits": (4, 3), "axis": None},
    INT8: {"num_bits": 8, "axis": 0},
}
_UP_BLOCK = re.compile(r"\bup_blocks\.(\d+)\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRange:
    """The most that a layer's input and weight reach; weight: one number, or one a channel."""

    given: float
    weight: Tensor


@dataclass(frozen=True, slots=True)
class _Layer:
    """A linear layer or a convolution; sides: of its input."""

    name: str
    is_linear: bool
    sides: int


def measured(
    spec: EngineSpec, module: nn.Module, calibration: Calibration
) -> dict[str, LayerRange]:
    """Return the ranges of the layers that are to compute in `spec.precision`, by layer name.

    module: fp32 on the CPU, plain or an exported program's. Raises BuildError where there is no
    modelopt, no sample, or no such layer.
    """
    samples = [[sample[t.name] for t in spec.inputs] for sample in calibration.samples()]
    if not samples:
        raise BuildError(
            f"{spec.role}: {spec.precision} needs samples to choose its ranges by, there are none"
        )
    whole = module if is_program(module) else exported(spec, module).module()
    program = _copied(whole)
    chosen = _chosen(spec, _layers(program))
    with torch.inference_mode(), _modelopt(spec) as mtq:
        try:
            mtq.quantize(program, _config(spec, chosen), _fed(samples))
        # It asserts that what it sees is finite, and raises what torch and its own types are
        except Exception as error:
            raise BuildError(f"{spec.role}: modelopt cannot measure it: {error}") from error
    ranges = {name: _range_of(spec, name, program.get_submodule(name)) for name in chosen}
    # What is given nothing but zeros has no range; a later input may be another.
    return {name: found for name, found in ranges.items() if found.given > 0}


def _chosen(spec: EngineSpec, layers: Sequence[_Layer]) -> list[str]:
    """Return the layers that bear eight bits, in the order that they are run in.

    int8: convolutions, but for the first and the last, as with OpenVINO: those see pixels and
    latents themselves. fp8: what sees tokens, so the layers around attention. What embeds a
    timestep or a sentence costs nothing and shifts everything: with it, `tiny` is 18 dB from fp32,
    not 34. The last block on the way up makes the answer.
    """
    if spec.precision == INT8:
        found = [layer.name for layer in layers if not layer.is_linear][1:-1]
    else:
        blocks = [int(at[1]) for layer in layers if (at := _UP_BLOCK.search(layer.name))]
        last = f"up_blocks.{max(blocks)}." if blocks else None
        tokens = [layer.name for layer in layers if layer.is_linear and layer.sides > 2]
        kept = ("embedding", *([last] if last else []))
        found = [name for name in tokens if not any(part in name for part in kept)]
    if not found:
        raise BuildError(f"{spec.role}: it has no layers that could be {spec.precision}: use bf16")
    return found


def _layers(program: fx.GraphModule) -> list[_Layer]:
    """Make modules of a program's linear layers and convolutions, and return them in order.

    A program calls functions on weights; modelopt quantises modules.
    """
    found: dict[str, _Layer] = {}
    for node in list(program.graph.nodes):
        layer = _layer_at(program, node)
        if layer is None:
            continue
        if layer.name not in found:
            program.set_submodule(layer.name, _module_of(program, node, layer))
        found[layer.name] = layer
        with program.graph.inserting_after(node):
            call = program.graph.call_module(layer.name, (node.args[0],))
        call.meta = dict(node.meta)
        node.replace_all_uses_with(call)
        program.graph.erase_node(node)
    program.recompile()
    return list(found.values())


def _layer_at(program: fx.GraphModule, node: fx.Node) -> _Layer | None:
    """Return the layer that a node runs; None for any other node, and for weights in disguise."""
    if node.op != "call_function" or node.target not in (_LINEAR, _CONVOLUTION):
        return None
    given, weight = node.args[0], node.args[1]
    assert isinstance(given, fx.Node) and isinstance(weight, fx.Node)
    name, _, part = str(weight.target).rpartition(".")
    bias = node.args[2] if len(node.args) > 2 else None
    is_own = isinstance(bias, fx.Node) and bias.target == f"{name}.bias"
    if weight.op != "get_attr" or part != "weight" or not (bias is None or is_own):
        return None
    return _Layer(name, node.target is _LINEAR, len(given.meta["val"].shape))


def _module_of(program: fx.GraphModule, node: fx.Node, layer: _Layer) -> nn.Module:
    holder = program.get_submodule(layer.name)
    weight: Any = holder.weight
    bias: Any = getattr(holder, "bias", None) if len(node.args) > 2 else None
    made: nn.Linear | nn.Conv2d
    if layer.is_linear:
        made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    else:
        stride, padding, dilation, groups = _convolved(node)
        kernel, inner = weight.shape[2:], weight.shape[1] * groups
        made = nn.Conv2d(
            inner, weight.shape[0], kernel, stride, padding, dilation, groups, device="meta"
        )
    made.weight, made.bias = weight, bias
    return made.eval()


def _convolved(node: fx.Node) -> tuple[Any, Any, Any, int]:
    """Return stride, padding, dilation and groups of a call of conv2d."""
    told = dict(zip(("stride", "padding", "dilation", "groups"), node.args[3:], strict=False))
    told |= {name: value for name, value in node.kwargs.items() if name in told or value}
    stride, padding = told.get("stride", (1, 1)), told.get("padding", (0, 0))
    return stride, padding, told.get("dilation", (1, 1)), int(str(told.get("groups", 1)))


def _copied(program: nn.Module) -> fx.GraphModule:
    """Return a copy whose modules may be exchanged; its tensors are the program's own."""
    kept = {id(each): each for each in (*program.parameters(), *program.buffers())}
    copied = copy.deepcopy(program, kept)
    assert isinstance(copied, fx.GraphModule)
    return copied


def _config(spec: EngineSpec, chosen: Sequence[str]) -> dict[str, object]:
    """Return modelopt's words for: the inputs and weights of these layers, and nothing else."""
    number = _FORMATS[spec.precision]
    of_input = {**number, "axis": None}
    rules: list[dict[str, object]] = [{"quantizer_name": "*", "enable": False}]
    for name in chosen:
        rules.append({"quantizer_name": f"{name}.weight_quantizer", "cfg": dict(number)})
        rules.append({"quantizer_name": f"{name}.input_quantizer", "cfg": of_input})
    return {"quant_cfg": rules, "algorithm": "max"}


def _fed(samples: Sequence[Sequence[Tensor]]) -> Callable[[nn.Module], None]:
    def feed(network: nn.Module) -> None:
        for sample in samples:
            network(*sample)

    return feed


def _range_of(spec: EngineSpec, name: str, layer: Any) -> LayerRange:
    given, weight = layer.input_quantizer.amax, layer.weight_quantizer.amax
    if given is None or weight is None:
        raise BuildError(f"{spec.role}: modelopt has no range for {name}: no sample reaches it")
    return LayerRange(given=float(given), weight=weight.detach().float().flatten())


@contextmanager
def _modelopt(spec: EngineSpec) -> Iterator[ModuleType]:
    """Give modelopt's quantisation, silent, and the root logger left as it is."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        # It prints what it does, and warns of versions of libraries that it was not tried with.
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                mtq = import_module("modelopt.torch.quantization")
            except (ImportError, OSError) as error:
                raise BuildError(
                    f"{spec.role}: {spec.precision}: modelopt cannot be used: {error}: {HINT}"
                ) from error
            yield mtq
    finally:
        root.handlers[:], root.level = handlers, level
