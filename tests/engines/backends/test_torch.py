from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from engines.backends.torch import TorchBackend
from engines.errors import SpecMismatch
from engines.protocol import BackendOptions
from engines.spec import EngineSpec, TensorSpec
from engines.verify import sample_inputs

SpecOf = Callable[[str], EngineSpec]


@pytest.fixture
def torch_backend() -> TorchBackend:
    return TorchBackend(BackendOptions())


def test_fp32_is_first_on_a_cpu_because_it_is_the_reference(torch_backend: TorchBackend) -> None:
    assert torch_backend.precisions("cpu") == ("fp32", "bf16")


def test_probe_tells_the_version_and_never_raises(torch_backend: TorchBackend) -> None:
    assert torch_backend.probe("cpu").versions == {"torch": str(torch.__version__)}
    absent = torch_backend.probe("no such device")
    assert not absent.ok and "no such device" in absent.reason


class Types(nn.Module):
    """Writes down the dtypes that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.seen: list[torch.dtype] = []

    def forward(self, sample: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        self.seen.extend(tensor.dtype for tensor in (sample, t, tokens))
        made: Tensor = self.linear(sample)
        return made


def test_only_float_inputs_of_two_dimensions_take_the_precision(
    torch_backend: TorchBackend,
) -> None:
    spec = EngineSpec(
        role="unet",
        inputs=(
            TensorSpec("sample", (1, 4), "float32"),
            TensorSpec("t", (1,), "float32"),
            TensorSpec("tokens", (1, 4), "int64"),
        ),
        outputs=(TensorSpec("drawn", (1, 4), "float32"),),
        precision="bf16",
    )
    module = Types()
    compiled = torch_backend.adopt(spec, module, device="cpu")
    seen = compiled._open().seen  # the copy writes down, not the module that was given

    binding = compiled.bind(sample_inputs(spec, seed=0))
    binding.run()

    assert seen == [torch.bfloat16, torch.float32, torch.int64]
    assert binding.outputs["drawn"].dtype == torch.float32


def test_convolutions_run_channels_last(
    torch_backend: TorchBackend, spec_of: SpecOf, repaint: nn.Module
) -> None:
    compiled = torch_backend.adopt(spec_of("fp32"), repaint, device="cpu")

    weight = compiled._open().get_parameter("up.weight")

    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_swapped_weights_act_at_the_next_run_and_leave_the_module_alone(
    torch_backend: TorchBackend, spec_of: SpecOf, repaint: nn.Module
) -> None:
    spec = spec_of("fp32")
    compiled = torch_backend.adopt(spec, repaint, device="cpu")
    binding = compiled.bind(sample_inputs(spec, seed=0))
    bias = torch.full((8,), 3.0)

    result = compiled.swap_weights({"norm.bias": bias, "norm.weight": torch.zeros(8)})
    binding.run()

    assert result.names == ("norm.bias", "norm.weight")
    assert torch.equal(binding.outputs["latents"], torch.full((1, 8, 16, 16), 3.0))
    assert not torch.equal(repaint.get_parameter("norm.bias"), bias)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("norm.scale", 8, "no weight 'norm.scale' to swap"),
        ("norm.weight", 4, r"weight 'norm.weight' has shape \[4\]; required: \[8\]"),
    ],
)
def test_a_swap_that_does_not_fit_changes_nothing(
    torch_backend: TorchBackend,
    spec_of: SpecOf,
    repaint: nn.Module,
    name: str,
    size: int,
    message: str,
) -> None:
    compiled = torch_backend.adopt(spec_of("fp32"), repaint, device="cpu")
    before = compiled._open().get_parameter("norm.bias").clone()

    with pytest.raises(SpecMismatch, match=message):
        compiled.swap_weights({"norm.bias": torch.full((8,), 3.0), name: torch.zeros(size)})

    assert torch.equal(compiled._open().get_parameter("norm.bias"), before)


class Told(nn.Module):
    """Says in which dtypes its inputs came, by how many bytes an element has."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(2, 2)

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.tensor([each.element_size() for each in inputs])


def test_what_keeps_its_dtype_is_given_as_it_is(torch_backend: TorchBackend) -> None:
    inputs = (
        TensorSpec("kept", (1, 4), "float32", keeps_dtype=True),
        TensorSpec("cast", (1, 4), "float32"),
        TensorSpec("bytes", (1, 4), "int8"),
        TensorSpec("t", (1,), "float32"),
    )
    spec = EngineSpec("unet", inputs, (TensorSpec("sizes", (4,), "int64"),), "bf16")

    binding = torch_backend.adopt(spec, Told(), device="cpu").bind(sample_inputs(spec, seed=0))
    binding.run()

    assert binding.outputs["sizes"].tolist() == [4, 2, 1, 4]
