"""Exchanges the weights of the denoiser as a LoRA does, A → B → A, and compares each with a build.

The LoRA is made here, seeded: a change of low rank of weights that LoRAs change, too.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.gpu.peak import wait
from engines.cache import EngineCache
from engines.errors import SwapUnsupported
from engines.protocol import CompiledModule
from engines.store import NetworkStore
from engines.verify import sample_inputs, snr_db
from streamgen.cli.engines_networks import Network
from streamgen.cli.engines_verify_checks import FAILED, PASSED, Check, NotRun, Subject
from streamgen.lora.copies import copy_with

NAME = "LoRA"
RANK = 4
#: Size of the change of a weight over the weight's; what is drawn with it is clearly another.
STRENGTH = 0.7
#: B is this much nearer to B built anew than to A, or nothing was exchanged.
LEAST_APART_DB = 6.0
_SEED = 4
_UP = re.compile(r"up_blocks\.(\d+)\.")


def swap(subject: Subject, *, now_ns: Callable[[], int] = time.perf_counter_ns) -> Check:
    """Exchange weights and back, and compare with networks that were built with them."""
    network = _denoiser(subject)
    network = replace(network, spec=replace(network.spec, swaps_weights=True))
    base, changed = values_of(network.module, seed=_SEED)
    store = _store(subject, subject.engines.networks.cache)
    with _compiled(store, network) as compiled:
        before = _made(compiled, store.device)
        try:
            began = now_ns()
            names = compiled.swap_weights(changed).names
            wait(store.device)
            taken_ms = (now_ns() - began) / 1e6
        except SwapUnsupported as error:
            raise NotRun(str(error)) from error
        with_b = _made(compiled, store.device)
        compiled.swap_weights(base)
        back = _made(compiled, store.device)
    built = _built_with(subject, network, changed)
    facts = {
        "weights": len(names),
        "rank": RANK,
        "swap_ms": round(taken_ms, 1),
        "like_built_db": round(snr_db(with_b, built), 1),
        "like_before_db": round(snr_db(with_b, before), 1),
        "back_db": round(snr_db(back, before), 1),
        "required_db": network.limits.min_snr_db,
    }
    return _judged(facts)


def _denoiser(subject: Subject) -> Network:
    for each in subject.networks:
        if each.role == "unet":
            if each.calibration is not None:
                raise NotRun(f"the denoiser is quantised to {each.spec.precision}")
            return each
    raise NotRun("the denoiser is none of the networks that were asked for")


def values_of(module: nn.Module, *, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return weights of a denoiser as they are, and the same ones with a change of low rank.

    Names are those in the module.
    """
    chosen = _chosen(module)
    generator = torch.Generator().manual_seed(seed)
    base, changed = {}, {}
    for name, part in chosen.items():
        weight = part.weight.detach().float()
        flat = weight.flatten(1)
        up = torch.randn((flat.shape[0], RANK), generator=generator)
        change = up @ torch.randn((RANK, flat.shape[1]), generator=generator)
        change *= STRENGTH * flat.norm() / change.norm()
        base[f"{name}.weight"] = weight.clone()
        changed[f"{name}.weight"] = weight + change.view(weight.shape)
    return base, changed


def _chosen(module: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """Return what LoRAs change most, the attentions, and the last convolutions, which all can see.

    All layers where there are none of these names.
    """
    layers = {
        name: part
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear | nn.Conv2d)
    }
    last = max((found[0] for name in layers if (found := _UP.findall(name))), default=None)
    chosen = {
        name: part
        for name, part in layers.items()
        if ".attn" in name or (isinstance(part, nn.Conv2d) and last in _UP.findall(name))
    }
    if not layers:
        raise NotRun("the denoiser has no layers that a LoRA could change")
    return chosen or layers


def _judged(facts: Mapping[str, float]) -> Check:
    like_b, like_a, back = (facts[f"{key}_db"] for key in ("like_built", "like_before", "back"))
    least = facts["required_db"]
    told = (
        f"{facts['weights']} weights in {facts['swap_ms']} ms; B is {like_b:g} dB from B built"
        f" anew and {like_a:g} dB from A; A again is {back:g} dB from A before; needed:"
        f" {least:g} dB"
    )
    wrong = ""
    if like_b < least:
        wrong = "B is not what a build with the same weights is"
    elif like_b < like_a + LEAST_APART_DB:
        wrong = "B is too much like A: nothing was exchanged"
    elif back < least:
        wrong = "A is not A again"
    if wrong:
        return Check(name=NAME, verdict=FAILED, said=f"{wrong}: {told}", facts=dict(facts))
    return Check(name=NAME, verdict=PASSED, said=told, facts=dict(facts))


def _store(subject: Subject, cache: EngineCache) -> NetworkStore:
    engines = subject.engines
    return NetworkStore(
        backend=engines.choice.backend,
        cache=cache,
        device=engines.choice.device,
        builder=subject.builder,
    )


@contextmanager
def _compiled(store: NetworkStore, network: Network) -> Iterator[CompiledModule]:
    compiled = store.compile(
        network.spec, network.module, limits=network.limits, calibration=network.calibration
    )
    try:
        yield compiled
    finally:
        compiled.close()


def _built_with(subject: Subject, network: Network, values: Mapping[str, Tensor]) -> Tensor:
    """Return what a network computes that is built with these weights, and not kept."""
    changed = replace(network, module=copy_with(network.module, values))
    with tempfile.TemporaryDirectory(prefix="streamgen-verify-") as folder:
        store = _store(subject, EngineCache(Path(folder)))
        with _compiled(store, changed) as compiled:
            return _made(compiled, store.device)


def _made(compiled: CompiledModule, device: str) -> Tensor:
    """Return the answer to the same seeded input, computed by a new binding."""
    inputs = sample_inputs(compiled.spec, seed=0)
    binding = compiled.bind({name: value.to(device) for name, value in inputs.items()})
    binding.run()
    return next(iter(binding.outputs.values())).cpu().clone()
