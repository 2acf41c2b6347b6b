from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
import torch
from torch import Tensor, nn

from engines import registry
from engines.backends.openvino import OpenVinoModule
from engines.backends.openvino_ir import MODEL
from engines.cache import EngineCache
from engines.errors import BuildCancelled, BuildError, EngineError
from engines.locks import file_lock
from engines.progress import BuildEvent
from engines.protocol import Artifact, Availability, CompiledModule
from engines.spec import EngineSpec, Range, TensorSpec
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

    def build(
        self, spec: EngineSpec, module: nn.Module, folder: Path, *, device: str = "cpu"
    ) -> None:
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


class RefittingBackend(CountingBackend):
    def refits(self, device: str) -> bool:
        return True


@pytest.mark.parametrize(("backend", "builds"), [(CountingBackend(), 1), (RefittingBackend(), 2)])
def test_one_network_serves_swaps_too_unless_the_backend_builds_another(
    cache: EngineCache,
    spec_of: SpecOf,
    repaint: nn.Module,
    backend: CountingBackend,
    builds: int,
) -> None:
    store = NetworkStore(backend=backend, cache=cache)
    store.build(spec_of("fp32"), repaint)
    swapping = replace(spec_of("fp32"), swaps_weights=True)

    assert store.is_built(swapping, repaint) == (builds == 1)
    store.build(swapping, repaint)

    assert backend.builds == builds


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


def test_what_is_built_is_known_beforehand_and_for_these_limits_only(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    store, limits = NetworkStore(backend=CountingBackend(), cache=cache), Limits(min_snr_db=40.0)
    before = store.is_built(spec_of("fp32"), repaint, limits=limits)
    entry = store.build(spec_of("fp32"), repaint, limits=limits)

    assert (before, store.is_built(spec_of("fp32"), repaint, limits=limits)) == (False, True)
    assert not store.is_built(spec_of("fp32"), repaint)
    assert entry is not None and cache.entries()[0].key == entry.key


def test_for_a_backend_that_keeps_nothing_all_is_built(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    store = NetworkStore(backend=registry.backend("torch"), cache=cache)

    assert store.is_built(spec_of("fp32"), repaint)
    assert store.build(spec_of("fp32"), repaint) is None


def test_each_step_of_a_build_is_told(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    told = list[BuildEvent]()
    store = NetworkStore(backend=CountingBackend(), cache=cache, tell=told.append)

    store.compile(spec_of("fp32"), repaint, limits=Limits(min_snr_db=40.0))
    store.compile(spec_of("fp32"), repaint, limits=Limits(min_snr_db=40.0))

    assert [event.stage for event in told] == ["building", "verifying", "ready", "ready"]


def test_who_waits_for_anothers_build_is_told_and_may_stop_waiting(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    told, cancel = list[BuildEvent](), Event()

    def tell(event: BuildEvent) -> None:
        told.append(event)
        cancel.set()

    store = NetworkStore(backend=CountingBackend(), cache=cache, tell=tell, cancel=cancel)
    entry = NetworkStore(backend=CountingBackend(), cache=cache).build(spec_of("fp32"), repaint)
    assert entry is not None

    with (
        file_lock(cache.root / "locks" / f"{entry.key}.lock"),
        pytest.raises(BuildCancelled, match="vae_decoder: its build was cancelled"),
    ):
        store.build(spec_of("fp32"), repaint)

    assert [event.stage for event in told] == ["waiting", "cancelled"]


class Downgrading(CountingBackend):
    """Its networks say that they compute in bf16, whatever was asked for."""

    def load(self, artifact: Artifact, *, device: str) -> CompiledModule:
        loaded = super().load(artifact, device=device)
        assert isinstance(loaded, OpenVinoModule)
        loaded.computes_in = "bf16"
        return loaded


class OutOfMemory(CountingBackend):
    def build(
        self, spec: EngineSpec, module: nn.Module, folder: Path, *, device: str = "cpu"
    ) -> None:
        (folder / "half").write_bytes(b"half")
        raise MemoryError


def test_a_network_in_another_precision_than_was_asked_for_is_refused(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    with pytest.raises(BuildError, match="asked counting for fp32, it computes in bf16"):
        NetworkStore(backend=Downgrading(), cache=cache).build(
            spec_of("fp32"), repaint, limits=Limits(min_snr_db=1.0)
        )

    assert cache.entries() == ()


def test_a_build_without_memory_is_an_error_that_says_what_to_do(
    cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
) -> None:
    told = list[BuildEvent]()
    store = NetworkStore(backend=OutOfMemory(), cache=cache, tell=told.append)

    with pytest.raises(BuildError, match="counting ran out of memory over it: close other"):
        store.build(spec_of("fp32"), repaint)

    assert (told[-1].stage, cache.entries()) == ("failed", ())


class RightAtOneSize(CountingBackend):
    """Builds something else than it is given, which is the same for sides of eight."""

    def build(
        self, spec: EngineSpec, module: nn.Module, folder: Path, *, device: str = "cpu"
    ) -> None:
        super().build(spec, OfEight(), folder)


class OfEight(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 8


class OfItsHeight(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x.shape[2]


def test_a_network_of_ranges_is_compared_at_two_sizes(cache: EngineCache) -> None:
    height = Range(name="h", least=4, usual=8, most=16)
    tensors = [TensorSpec(name, (1, 3, height, 8), "float32") for name in "xy"]
    spec = EngineSpec("unet", (tensors[0],), (tensors[1],), "fp32")
    limits = Limits(min_snr_db=60.0)

    NetworkStore(backend=CountingBackend(), cache=cache).build(spec, OfItsHeight(), limits=limits)
    with pytest.raises(BuildError, match="output 'y' is 0.0 dB from the fp32 reference"):
        NetworkStore(backend=RightAtOneSize(), cache=EngineCache(cache.root / "other")).build(
            spec, OfItsHeight(), limits=limits
        )
