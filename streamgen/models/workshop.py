"""Makes the networks of one `StreamConfig` runnable: specified, built, compiled, bound to tensors.

Calls none of them, and knows no LoRA: what is built and kept has the weights of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from engines.building import Builder
from engines.cache import EngineCache
from engines.precision import resolve
from engines.registry import Choice
from engines.spec import FP8, INT8, EngineSpec
from engines.store import NetworkStore
from streamgen.config import StreamConfig
from streamgen.lora.fit import WeightName
from streamgen.models.calibrating import Calibrating, quantised_roles
from streamgen.models.loading import LoadedModel
from streamgen.models.motion_network import BothNetwork, MotionFacts, MotionNetwork
from streamgen.models.networks import PixelDecoder, PixelEncoder, denoiser_of
from streamgen.models.ports import Port, port_of
from streamgen.models.prebuild import Prebuild, Wanted
from streamgen.models.remembering import (
    UNET_BANK,
    UNET_BOTH,
    UNET_MOTION,
    BankNetwork,
    HasBank,
    RemembersRows,
)
from streamgen.models.specs import further_inputs, spec_of
from streamgen.motion.adapter import Adapter
from streamgen.temporal.reading import Kind

#: How the weights of the UNet are called in the networks that it is part of.
UNETS = {
    "unet": "unet.",
    UNET_BANK: "network.unet.",
    UNET_MOTION: "network.unet.",
    UNET_BOTH: "network.network.unet.",
}


class Workshop:
    """The networks of a model at one size, for one backend; `modules` are made, others can be."""

    def __init__(
        self,
        model: LoadedModel,
        config: StreamConfig,
        *,
        choice: Choice,
        cache: EngineCache,
        builder: Builder,
    ) -> None:
        self.model = model
        self.config = config
        self.choice = choice
        self.networks = NetworkStore(
            backend=choice.backend, cache=cache, device=choice.device, builder=builder
        )
        #: Has networks built elsewhere before they are compiled; None: `builder` does it here.
        self.prebuild: Prebuild | None = None
        #: Of the networks that are not quantised; `precision_of` tells those that are.
        self.precision = resolve(config.precision, choice.backend, choice.device)
        #: Whether the autoencoder is, which has a gate of its own (`quantised.passed_gate`).
        self.is_quantised = config.precision == INT8
        self.device = torch.device(choice.device)
        self.modules: dict[str, nn.Module] = {
            "vae_encoder": PixelEncoder(model.vae),
            "unet": denoiser_of(model.unet, further_inputs(model.unet.config)),
            "vae_decoder": PixelDecoder(model.vae),
        }
        self.calibrating = Calibrating(model, self.modules)
        #: The denoiser for streams that ask for a feature bank; nothing is made until one does.
        plain = partial(self._spec_in, self.precision, "unet")
        self.bank = BankNetwork(model, plain=plain, device=self.device)
        #: That with motion modules, where the model has an adapter.
        self.motion: MotionNetwork | None = None
        self._remembering: dict[str, RemembersRows] = {UNET_BANK: self.bank}
        if model.motion is not None:
            budget_mb = config.motion_memory_mb
            self.motion = MotionNetwork(model, plain=plain, device=self.device, budget_mb=budget_mb)
            self._remembering[UNET_MOTION] = self.motion
            self._remembering[UNET_BOTH] = BothNetwork(self.bank, self.motion)

    @property
    def adapter(self) -> Adapter | None:
        """The motion adapter, None without."""
        return None if self.model.motion is None else self.model.motion.adapter

    @property
    def motion_memory(self) -> MotionFacts | None:
        """What was chosen for motion modules, None where there are none."""
        return None if self.motion is None else self.motion.facts

    @property
    def banked(self) -> Mapping[Kind, HasBank]:
        """What remembers, by kind."""
        if self.motion is None:
            return {"bank": self.bank}
        return {"bank": self.bank, "motion": self.motion}

    @property
    def learning(self) -> nn.Module:
        """The UNet that LoRAs are made for: with all motion modules, where there is an adapter."""
        return self.model.unet if self.motion is None else self.motion.whole

    def changeable(
        self, role: str, values: Mapping[WeightName, Tensor]
    ) -> dict[WeightName, Tensor]:
        """Return, of new values for `learning`, those of layers that a network has."""
        moves = self.motion is not None and role in (UNET_MOTION, UNET_BOTH)
        unet = self.motion.module.unet if moves and self.motion else self.model.unet
        there = {name for name, _ in unet.named_parameters(remove_duplicate=False)}
        return {(of, name): value for (of, name), value in values.items() if name in there}

    @property
    def first_roles(self) -> tuple[str, ...]:
        """The networks that are there before anything is drawn; others come when asked for."""
        return (*self.modules, *([] if self.motion is None else [UNET_MOTION]))

    def is_built(self) -> bool:
        """Tell whether `prepare` for one stream has nothing to build; a look into the cache."""
        return all(self._is_built(role, 1) for role in self.first_roles)

    def build(self, role: str, batch: int) -> None:
        """Have a network in the cache for a batch size, without loading it."""
        spec, module = self._spec(role, batch), self.module(role)
        self.networks.build(spec, module, **self.calibrating.terms_of(spec))

    def prebuilt(self, wanted: Wanted) -> None:
        """Have what is missing of some networks built elsewhere, if there is such a place."""
        if self.prebuild is None:
            return
        if missing := [pair for pair in wanted if not self._is_built(*pair)]:
            kept, tell, cancel = self.networks.cache, self.networks.tell, self.networks.cancel
            self.prebuild(self.config, missing, cache=kept, tell=tell, cancel=cancel)

    def port(self, role: str, batch: int, module: nn.Module | None = None) -> Port:
        """Return a network for a batch size, compiled now; slow.

        module: with the network's weights, where it is not to be the one that others run, too.
        """
        self.prebuilt([(role, batch)])
        spec = self._spec(role, batch)
        terms = self.calibrating.terms_of(spec)
        compiled = self.networks.compile(spec, module or self.module(role), **terms)
        remembering = self._remembering.get(role)
        shared = {} if remembering is None else remembering.slabs
        return port_of(compiled, device=self.device, shared=shared)

    def module(self, role: str) -> nn.Module:
        """Return a network with the weights of the model."""
        remembering = self._remembering.get(role)
        return self.modules[role] if remembering is None else remembering.module

    def precision_of(self, role: str) -> str:
        """Return what a network computes in."""
        asked = self.config.precision
        return asked if role in quantised_roles(asked) else self.precision

    @property
    def described_precision(self) -> str:
        """Precision of all networks in a few words."""
        parts = {INT8: f"{INT8} autoencoder, ", FP8: f"{FP8} denoiser, "}
        return f"{parts.get(self.config.precision, '')}{self.precision}"

    def _spec(self, role: str, batch: int) -> EngineSpec:
        if role in self._remembering:
            return self._remembering[role].spec(batch)
        return self._spec_in(self.precision_of(role), role, batch)

    def _spec_in(self, precision: str, role: str, batch: int) -> EngineSpec:
        size = self.config.width, self.config.height
        spec = spec_of(role, batch, self.model, size=size, precision=precision)
        return replace(spec, swaps_weights=self.config.swaps_weights and role in UNETS)

    def _is_built(self, role: str, batch: int) -> bool:
        spec, module = self._spec(role, batch), self.module(role)
        return self.networks.is_built(spec, module, **self.calibrating.terms_of(spec))
