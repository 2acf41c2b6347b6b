"""Makes the networks of one `StreamConfig` runnable: specified, built, compiled, bound to tensors.

Calls none of them, and knows no LoRA: what is built and kept has the weights of the model.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import nn

from engines.building import Builder
from engines.cache import EngineCache
from engines.precision import resolve
from engines.registry import Choice
from engines.spec import FP8, INT8, EngineSpec
from engines.store import NetworkStore
from streamgen.config import StreamConfig
from streamgen.models.calibrating import Calibrating, quantised_roles
from streamgen.models.loading import LoadedModel
from streamgen.models.networks import PixelDecoder, PixelEncoder, denoiser_of
from streamgen.models.ports import Port, port_of
from streamgen.models.prebuild import Prebuild, Wanted
from streamgen.models.remembering import UNET_BANK, BankNetwork
from streamgen.models.specs import further_inputs, spec_of

#: How the weights of the UNet are called in the networks that it is part of.
UNETS = {"unet": "unet.", UNET_BANK: "network.unet."}


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

    def is_built(self) -> bool:
        """Tell whether `prepare` for one stream has nothing to build; a look into the cache."""
        return all(self._is_built(role, 1) for role in self.modules)

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
        shared = self.bank.slabs if role == UNET_BANK else {}
        return port_of(compiled, device=self.device, shared=shared)

    def module(self, role: str) -> nn.Module:
        """Return a network with the weights of the model."""
        return self.bank.module if role == UNET_BANK else self.modules[role]

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
        if role == UNET_BANK:
            return self.bank.spec(batch)
        return self._spec_in(self.precision_of(role), role, batch)

    def _spec_in(self, precision: str, role: str, batch: int) -> EngineSpec:
        size = self.config.width, self.config.height
        spec = spec_of(role, batch, self.model, size=size, precision=precision)
        return replace(spec, swaps_weights=self.config.swaps_weights and role in UNETS)

    def _is_built(self, role: str, batch: int) -> bool:
        spec, module = self._spec(role, batch), self.module(role)
        return self.networks.is_built(spec, module, **self.calibrating.terms_of(spec))
