"""What every backend promises of weights that are swapped: the new ones, all of them, or none."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Thread

import pytest
import torch
from torch import Tensor, nn

from engines.errors import SpecMismatch, SwapUnsupported
from engines.programs import load_program, save_program
from engines.protocol import Artifact, ArtifactBackend, Binding, CompiledModule, EngineBackend
from engines.spec import EngineSpec, TensorSpec
from engines.verify import compare, sample_inputs

Compile = Callable[[EngineSpec, nn.Module], CompiledModule]
Values = dict[str, Tensor]


class Redraw(nn.Module):
    """A UNet in small: a timestep's path, convolutions down and up, attention, a layer used twice.

    Its norms are born alike, one bias is all zeros, and a number scales what comes out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(4, 16, 3, padding=1)
        self.time = nn.Linear(8, 16)
        self.first_norm, self.second_norm = nn.GroupNorm(4, 16), nn.GroupNorm(4, 16)
        self.first, self.second = (nn.Conv2d(16, 16, 3, padding=1) for _ in range(2))
        self.down = nn.Conv2d(16, 16, 3, stride=2, padding=1)
        self.token_norm, self.mixed_norm = nn.LayerNorm(16), nn.LayerNorm(16)
        self.to_q = nn.Linear(16, 16, bias=False)
        self.to_k, self.to_v = (nn.Linear(12, 16, bias=False) for _ in range(2))
        self.mixed = nn.Linear(16, 16)
        self.again = self.mixed
        self.shortcut = nn.Conv2d(16, 16, 1)
        self.leave = nn.Conv2d(16, 4, 3, padding=1)
        self.gain = nn.Parameter(torch.tensor(1.0))
        nn.init.zeros_(self.shortcut.bias)

    def forward(self, x: Tensor, t: Tensor, text: Tensor) -> Tensor:
        x, text = x.to(self.enter.weight.dtype), text.to(self.enter.weight.dtype)
        angles = t[:, None] * torch.exp(torch.arange(4, device=t.device) * -0.3)
        told = torch.cat([angles.sin(), angles.cos()], dim=1).to(x.dtype)
        wide = self.enter(x) + self.time(told)[:, :, None, None]
        wide = wide + self.second(self.second_norm(self.first(self.first_norm(wide))).relu())
        small = self.down(wide)
        batch, channels, height, width = small.shape
        tokens = self.token_norm(small.flatten(2).transpose(1, 2))
        seen = nn.functional.scaled_dot_product_attention(
            *(_heads(part) for part in (self.to_q(tokens), self.to_k(text), self.to_v(text)))
        )
        tokens = self.mixed_norm(tokens + self.mixed(seen.transpose(1, 2).flatten(2)))
        tokens = self.again(tokens)
        grown = tokens.transpose(1, 2).reshape(batch, channels, height, width)
        grown = nn.functional.interpolate(grown, scale_factor=2.0, mode="nearest")
        drawn: Tensor = self.leave(grown + self.shortcut(wide)) * self.gain
        return drawn


def _heads(tokens: Tensor) -> Tensor:
    return tokens.unflatten(2, (2, 8)).transpose(1, 2)


def redraw_spec(precision: str = "fp32") -> EngineSpec:
    return EngineSpec(
        role="unet",
        inputs=(
            TensorSpec("x", (2, 4, 8, 8), "float32"),
            TensorSpec("t", (2,), "float32"),
            TensorSpec("text", (2, 5, 12), "float32"),
        ),
        outputs=(TensorSpec("drawn", (2, 4, 8, 8), "float32"),),
        precision=precision,
        swaps_weights=True,
    )


def given() -> dict[str, Tensor]:
    return sample_inputs(redraw_spec(), seed=2) | {"t": torch.tensor([999.0, 250.5])}


@pytest.fixture
def redraw() -> Redraw:
    torch.manual_seed(0)
    return Redraw().eval().requires_grad_(False)


@pytest.fixture
def loras(redraw: Redraw) -> list[Values]:
    """What four LoRAs add to the weights of layers, of which each touches some; of rank two."""
    generator = torch.Generator().manual_seed(7)

    def delta(weight: Tensor) -> Tensor:
        flat = weight.flatten(1)
        up, down = (torch.randn(side, 2, generator=generator) for side in flat.shape)
        return 0.1 * (up @ down.t()).view(weight.shape)

    layers = {name: each for name, each in redraw.named_parameters() if each.ndim > 1}
    kinds = ("to_", "first enter leave", "mixed time down", "")
    return [
        {name: delta(each) for name, each in layers.items() if _is_of(name, kind)} for kind in kinds
    ]


def _is_of(name: str, kind: str) -> bool:
    return not kind or any(name.startswith(word) for word in kind.split())


def merged(module: nn.Module, stack: Mapping[int, float], loras: list[Values]) -> Values:
    """Return the weights that the LoRAs touch, with all of them at their scales, in fp32."""
    base = module.state_dict()
    names = {name for number in stack for name in loras[number]}
    return {
        name: base[name]
        + sum(scale * loras[at][name] for at, scale in stack.items() if name in loras[at])
        for name in sorted(names)
    }


def changed(module: nn.Module, values: Mapping[str, Tensor]) -> nn.Module:
    made = copy.deepcopy(module)
    made.load_state_dict(dict(values), strict=False)
    return made


def drawn_by(compiled: CompiledModule) -> Tensor:
    return run(compiled.bind(given()))


def run(binding: Binding) -> Tensor:
    binding.run()
    return binding.outputs["drawn"].clone()


def precisions_of(backend: EngineBackend) -> tuple[str, ...]:
    return tuple(dict.fromkeys((backend.precisions("cpu")[0], "fp32")))


@pytest.mark.slow
def test_20_random_swaps_end_as_a_network_made_afresh(
    compiled_by: Compile, backend: EngineBackend, redraw: Redraw, loras: list[Values]
) -> None:
    for precision in precisions_of(backend):
        choice, spec = random.Random(7), redraw_spec(precision)
        compiled = compiled_by(spec, redraw)
        base = drawn_by(compiled)
        stack: dict[int, float] = {}
        for _ in range(20):
            before = stack
            chosen = choice.sample(range(len(loras)), choice.randrange(1, 4))
            stack = {number: choice.choice((-0.4, 0.0, 1 / 3, 1.0)) for number in chosen}
            back = {name: redraw.state_dict()[name] for name in merged(redraw, before, loras)}
            compiled.swap_weights(back | merged(redraw, stack, loras))

        afresh = compiled_by(spec, changed(redraw, merged(redraw, stack, loras)))
        swapped = drawn_by(compiled)
        assert torch.equal(swapped, drawn_by(afresh))
        assert (swapped - base).abs().max() > 0.01


def test_a_b_and_a_again_is_a(
    compiled_by: Compile, backend: EngineBackend, redraw: Redraw, loras: list[Values]
) -> None:
    for precision in precisions_of(backend):
        compiled = compiled_by(redraw_spec(precision), redraw)
        base = drawn_by(compiled)
        one, two = merged(redraw, {0: 1.0}, loras), merged(redraw, {1: 1.0, 2: -0.5}, loras)
        bases = {name: redraw.state_dict()[name] for name in one | two}
        compiled.swap_weights(bases | one)
        first = drawn_by(compiled)

        compiled.swap_weights(bases | two)
        second = drawn_by(compiled)
        compiled.swap_weights(bases | one)

        assert torch.equal(drawn_by(compiled), first)
        compiled.swap_weights(bases)
        assert torch.equal(drawn_by(compiled), base)
        assert not torch.equal(first, second)


def test_all_weights_can_be_swapped_those_born_alike_too(
    compiled_by: Compile, redraw: Redraw
) -> None:
    compiled = compiled_by(redraw_spec(), redraw)
    generator = torch.Generator().manual_seed(3)
    values = {
        name: each + 0.1 * torch.randn(each.shape, generator=generator)
        for name, each in redraw.named_parameters()
        if name != "gain"
    }

    result = compiled.swap_weights(values)

    assert set(result.names) == set(values)
    assert compare(compiled, changed(redraw, values), inputs=given()).outputs[0].max_abs < 1e-4


@pytest.mark.parametrize("name", ["first_norm.weight", "shortcut.bias", "token_norm.bias"])
def test_a_weight_that_is_like_another_is_swapped_alone(
    compiled_by: Compile, redraw: Redraw, name: str
) -> None:
    compiled = compiled_by(redraw_spec(), redraw)
    values = {name: redraw.state_dict()[name] + 0.5}

    compiled.swap_weights(values)

    assert compare(compiled, changed(redraw, values), inputs=given()).outputs[0].max_abs < 1e-4


def test_a_number_that_scales_an_output_is_swapped_or_refused_by_name(
    compiled_by: Compile, redraw: Redraw
) -> None:
    """Compilers make it a part of the weights before it."""
    compiled = compiled_by(redraw_spec(), redraw)
    values = {"gain": torch.tensor(1.5)}

    try:
        compiled.swap_weights({"leave.bias": redraw.leave.bias + 1.0} | values)
        values["leave.bias"] = redraw.leave.bias + 1.0
    except SwapUnsupported as error:
        assert "'gain' has no place of its own" in str(error)
        values.clear()

    assert compare(compiled, changed(redraw, values), inputs=given()).outputs[0].max_abs < 1e-4


@pytest.mark.parametrize("name", ["mixed.weight", "again.weight"])
def test_a_weight_with_two_names_is_swapped_by_either(
    compiled_by: Compile, redraw: Redraw, name: str
) -> None:
    compiled = compiled_by(redraw_spec(), redraw)
    values = {name: redraw.mixed.weight + 0.2}

    compiled.swap_weights(values)

    assert compare(compiled, changed(redraw, values), inputs=given()).outputs[0].max_abs < 1e-4


def test_what_was_swapped_before_stays_when_others_are_swapped(
    compiled_by: Compile, redraw: Redraw, loras: list[Values]
) -> None:
    compiled = compiled_by(redraw_spec(), redraw)
    one, two = merged(redraw, {0: 1.0}, loras), merged(redraw, {1: 1.0}, loras)

    compiled.swap_weights(one)
    compiled.swap_weights(two)

    assert compare(compiled, changed(redraw, one | two), inputs=given()).outputs[0].max_abs < 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_values_may_be_of_any_float_type(
    compiled_by: Compile, redraw: Redraw, loras: list[Values], dtype: torch.dtype
) -> None:
    compiled = compiled_by(redraw_spec(), redraw)
    values = {name: each.to(dtype) for name, each in merged(redraw, {2: 1.0}, loras).items()}

    compiled.swap_weights(values)

    assert compare(compiled, changed(redraw, values), inputs=given()).outputs[0].max_abs < 1e-4


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("nobody.weight", torch.zeros(16, 16), r"no weight 'nobody.weight' to swap"),
        ("to_q.weight", torch.zeros(16, 8), r"'to_q.weight' has shape \[16, 8\]"),
        ("to_k.weight", torch.zeros(12, 16), r"'to_k.weight' has shape \[12, 16\]"),
    ],
)
def test_where_one_does_not_fit_nothing_is_swapped(
    compiled_by: Compile, redraw: Redraw, name: str, value: Tensor, message: str
) -> None:
    compiled = compiled_by(redraw_spec(), redraw)
    binding = compiled.bind(given())
    before = run(binding)

    with pytest.raises(SpecMismatch, match=message):
        compiled.swap_weights({"enter.weight": redraw.enter.weight + 1.0, name: value})

    assert torch.equal(run(binding), before)
    assert torch.equal(drawn_by(compiled), before)


def test_bindings_made_before_follow_unless_it_is_said_that_they_do_not(
    compiled_by: Compile, redraw: Redraw, loras: list[Values]
) -> None:
    compiled = compiled_by(redraw_spec(), redraw)
    binding = compiled.bind(given())
    before = run(binding)

    result = compiled.swap_weights(merged(redraw, {0: 1.0}, loras))

    after = drawn_by(compiled)
    assert not torch.equal(after, before)
    assert torch.equal(run(binding), before if result.needs_binding else after)


def test_to_swap_nothing_changes_nothing(compiled_by: Compile, redraw: Redraw) -> None:
    compiled = compiled_by(redraw_spec(), redraw)
    binding = compiled.bind(given())
    before = run(binding)

    result = compiled.swap_weights({})

    assert (result.names, result.needs_binding) == ((), False)
    assert torch.equal(run(binding), before)


def test_the_values_may_be_changed_once_they_are_swapped(
    compiled_by: Compile, redraw: Redraw, loras: list[Values]
) -> None:
    compiled = compiled_by(redraw_spec(), redraw)
    values = merged(redraw, {0: 1.0}, loras)
    compiled.swap_weights(values)
    after = drawn_by(compiled)

    for value in values.values():
        value.zero_()

    assert torch.equal(drawn_by(compiled), after)


def test_the_module_and_its_other_networks_keep_their_weights(
    compiled_by: Compile, redraw: Redraw, loras: list[Values]
) -> None:
    module = copy.deepcopy(redraw)
    compiled, other = compiled_by(redraw_spec(), module), compiled_by(redraw_spec(), redraw)
    before = drawn_by(other)

    compiled.swap_weights(merged(redraw, {3: 1.0}, loras))

    assert torch.equal(drawn_by(other), before)
    kept = redraw.state_dict()
    assert all(torch.equal(each, kept[name]) for name, each in module.state_dict().items())


@pytest.mark.slow
def test_a_network_built_from_a_program_on_disk_knows_its_weights_by_the_same_names(
    artifact_backend: ArtifactBackend, redraw: Redraw, loras: list[Values], tmp_path: Path
) -> None:
    program, folder = tmp_path / "program", tmp_path / "artifact"
    program.mkdir()
    folder.mkdir()
    save_program(redraw_spec(), redraw, program)
    spec, module, _ = load_program(program)
    artifact_backend.build(spec, module, folder)
    compiled = artifact_backend.load(Artifact(spec=spec, folder=folder), device="cpu")
    # A layer with two names has two weights on disk, of which one is not used.
    values = {
        name: each
        for name, each in merged(redraw, {3: 1.0}, loras).items()
        if not _is_of(name, "mixed again")
    }

    compiled.swap_weights(values | {"second_norm.bias": torch.full((16,), 0.5)})

    values["second_norm.bias"] = torch.full((16,), 0.5)
    assert compare(compiled, changed(redraw, values), inputs=given()).outputs[0].max_abs < 1e-4


def test_another_network_runs_while_one_is_swapped(
    compiled_by: Compile, redraw: Redraw, loras: list[Values]
) -> None:
    swapped = compiled_by(redraw_spec(), copy.deepcopy(redraw))
    binding = compiled_by(redraw_spec(), redraw).bind(given())
    before, is_over, answers = run(binding), Event(), []

    def go_on() -> None:
        while not is_over.is_set():
            answers.append(run(binding))

    runner = Thread(target=go_on)
    runner.start()
    try:
        for number in (0, 1, 2, 3):
            swapped.swap_weights(merged(redraw, {number: 1.0}, loras))
    finally:
        is_over.set()
        runner.join()

    assert answers and all(torch.equal(answer, before) for answer in answers)
    stack = merged(redraw, {2: 1.0}, loras) | merged(redraw, {3: 1.0}, loras)
    assert compare(swapped, changed(redraw, stack), inputs=given()).outputs[0].max_abs < 1e-4
