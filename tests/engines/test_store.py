from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engines import registry
from engines.backends.openvino_ir import MODEL
from engines.cache import EngineCache
from engines.errors import EngineError
from engines.protocol import Artifact, Availability, CompiledModule
from engines.spec import EngineSpec
from engines.store import NetworkStore
from engines.verify import Limits, compare, sample_inputs

SpecOf = Callable[[str], EngineSpec]


class CountingBackend:
    """OpenVINO, with its builds counted and its first `bad_loads` artifacts refused."""

    name = "counting"
    batch_sizes: tuple[int, ...] = ()

    def __init__(self, bad_loads: int = 0) -> None:
        self.inner = registry.backend("openvino")
        self.builds = 0
        self.bad_loads = bad_loads

    def probe(self, device: str) -> Availability:
        return self.inner.probe(device)

    def precisions(self, device: str) -> tuple[str, ...]:
        return self.inner.precisions(device)

    def key_facts(self, spec: EngineSpec, *, device: str) -> dict[str, object]:
        return {}

    def build(self, spec: EngineSpec, module: nn.Module, folder: Path) -> None:
        self.builds += 1
        self.inner.build(spec, module, folder)  # type: ignore[attr-defined]  # OpenVINO has it
        if self.bad_loads:
            self.bad_loads -= 1
            (folder / MODEL).write_text("<net>", encoding="utf-8")

    def load(self, artifact: Artifact, *, device: str) -> CompiledModule:
        loaded: CompiledModule = self.inner.load(artifact, device=device)  # type: ignore[attr-defined]  # as above
        return loaded


def test_a_network_is_built_once_and_then_loaded(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    backend, spec = CountingBackend(), spec_of("fp32")

    for _ in range(2):
        compiled = NetworkStore(backend=backend, cache=cache).compile(spec, repaint)

    assert backend.builds == 1
    report = compare(compiled, repaint, inputs=sample_inputs(spec, seed=1))
    report.require(Limits(min_snr_db=40.0))


def test_changed_weights_are_built_anew(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    backend, spec = CountingBackend(), spec_of("fp32")
    NetworkStore(backend=backend, cache=cache).compile(spec, repaint)
    with torch.no_grad():
        next(repaint.parameters()).add_(0.01)

    NetworkStore(backend=backend, cache=cache).compile(spec, repaint)

    assert backend.builds == 2


def test_weights_changed_in_place_are_seen_by_the_same_store(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    backend, spec = CountingBackend(), spec_of("fp32")
    store = NetworkStore(backend=backend, cache=cache)
    store.compile(spec, repaint)
    store.compile(spec, repaint)
    with torch.no_grad():
        next(repaint.parameters()).add_(0.01)

    store.compile(spec, repaint)

    assert backend.builds == 2


def test_a_build_is_not_found_by_who_asks_for_other_limits(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    backend = CountingBackend()
    store = NetworkStore(backend=backend, cache=cache)

    for limits in (None, Limits(min_snr_db=40.0), Limits(min_snr_db=40.0)):
        store.compile(spec_of("fp32"), repaint, limits=limits)

    assert backend.builds == 2


def test_an_artifact_that_does_not_load_is_set_aside_and_built_once_more(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    backend, spec = CountingBackend(bad_loads=1), spec_of("fp32")

    compiled = NetworkStore(backend=backend, cache=cache).compile(spec, repaint)

    assert backend.builds == 2
    assert "openvino cannot load model.xml" in caplog.text
    compiled.bind(sample_inputs(spec, seed=1)).run()


def test_an_artifact_that_never_loads_is_an_error(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    backend = CountingBackend(bad_loads=9)

    with pytest.raises(EngineError, match="openvino cannot load model.xml"):
        NetworkStore(backend=backend, cache=cache).compile(spec_of("fp32"), repaint)

    assert backend.builds == 2


def test_a_verified_build_says_so_in_its_manifest(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    limits = Limits(min_snr_db=40.0)

    NetworkStore(backend=CountingBackend(), cache=cache).compile(
        spec_of("fp32"), repaint, limits=limits
    )

    (entry,) = cache.entries()
    assert "verified" in entry.info


class DrawsAnew(nn.Module):
    """Gives other numbers whenever it runs, as a network with dropout left on would."""

    def forward(self, pixels: Tensor, t: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        latents = torch.randn(1, 8, 16, 16) + t
        return pixels.clamp(1, 2), latents, tokens + 1


def test_a_build_that_is_not_its_module_is_refused_and_not_kept(
    cache: EngineCache, spec_of: SpecOf
) -> None:
    with pytest.raises(
        EngineError, match="output 'latents' .* required: 40 dB: counting is not exact"
    ):
        NetworkStore(backend=CountingBackend(), cache=cache).compile(
            spec_of("fp32"), DrawsAnew(), limits=Limits(min_snr_db=40.0)
        )

    assert cache.entries() == ()


def test_the_torch_backend_keeps_nothing_on_disk(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    NetworkStore(backend=registry.backend("torch"), cache=cache).compile(spec_of("fp32"), repaint)

    assert not cache.root.exists()
