"""Small networks with seeded weights, and all backends, for the tests of `engines`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fake_tensorrt import library
from torch import Tensor, nn

from engines import registry
from engines.backends.tensorrt import TensorRtBackend
from engines.cache import EngineCache
from engines.protocol import BackendOptions, CompiledModule, EngineBackend
from engines.spec import EngineSpec, TensorSpec
from engines.store import NetworkStore


class Repaint(nn.Module):
    """uint8 [1, 16, 16, 3] pixels, a timestep and tokens in; pixels, latents and tokens out."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.up = nn.Conv2d(8, 3, 3, padding=1)
        self.gain = 1.5

    def forward(self, pixels: Tensor, t: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        planes = pixels.permute(0, 3, 1, 2).to(self.down.weight.dtype) / 127.5 - 1.0
        latents = self.norm(torch.relu(self.down(planes)))
        drawn = self.gain * self.up(latents) + torch.cos(t)[:, None, None, None].to(latents.dtype)
        levels = ((drawn + 1.0) * 127.5).round().clamp(0.0, 255.0)
        return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous(), latents, tokens + 1


def repaint_spec(precision: str = "fp32") -> EngineSpec:
    return EngineSpec(
        role="vae_decoder",
        inputs=(
            TensorSpec("pixels", (1, 16, 16, 3), torch.uint8),
            TensorSpec("t", (1,), torch.float32),
            TensorSpec("tokens", (1, 4), torch.int64),
        ),
        outputs=(
            TensorSpec("redrawn", (1, 16, 16, 3), torch.uint8),
            TensorSpec("latents", (1, 8, 16, 16), torch.float32),
            TensorSpec("next_tokens", (1, 4), torch.int64),
        ),
        precision=precision,
    )


@pytest.fixture
def repaint() -> Repaint:
    torch.manual_seed(0)
    return Repaint().eval()


@pytest.fixture
def spec_of() -> Callable[[str], EngineSpec]:
    return repaint_spec


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> EngineCache:
    """One for all tests that only run networks: some backends compile for many seconds."""
    return EngineCache(tmp_path_factory.mktemp("shared"))


ARTIFACT_BACKENDS = ["openvino", "onnxruntime", "inductor"]
#: The calls that the backend makes, against a double: nothing of TensorRT itself.
FAKES = {"tensorrt (fake 10.14)": "10.14", "tensorrt (fake 11.4)": "11.4"}


def backend_of(name: str) -> EngineBackend:
    options = BackendOptions(threads=1)
    if name in FAKES:
        found = library(FAKES[name])
        return TensorRtBackend(options, library=lambda: found)
    return registry.backend(name, options=options)


@pytest.fixture(params=["torch", *ARTIFACT_BACKENDS, *FAKES])
def backend(request: pytest.FixtureRequest) -> EngineBackend:
    return backend_of(request.param)


@pytest.fixture(params=[*ARTIFACT_BACKENDS, *FAKES])
def artifact_backend(request: pytest.FixtureRequest) -> EngineBackend:
    return backend_of(request.param)


Compile = Callable[[EngineSpec, nn.Module], CompiledModule]


@pytest.fixture
def compiled_by(backend: EngineBackend, shared_cache: EngineCache) -> Compile:
    def compile_(spec: EngineSpec, module: nn.Module) -> CompiledModule:
        return NetworkStore(backend=backend, cache=shared_cache).compile(spec, module)

    return compile_
