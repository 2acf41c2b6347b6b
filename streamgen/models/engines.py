"""The compiled networks of one `StreamConfig` as stateless tensor → tensor callables."""

from __future__ import annotations

import os
from concurrent.futures import Executor
from functools import partial

import torch
from torch import Tensor, nn

from engines.building import Builder, build_here
from engines.cache import EngineCache, cache_root
from engines.precision import resolve
from engines.protocol import BackendOptions, EagerBackend
from engines.registry import Choice, choose
from engines.spec import INT8, EngineSpec
from engines.store import NetworkStore
from streamgen.config import StreamConfig
from streamgen.errors import ConfigError, ModelError
from streamgen.frame import Pixels
from streamgen.models.loading import LoadedModel, load_model
from streamgen.models.networks import PixelDecoder, PixelEncoder, denoiser_of
from streamgen.models.ports import Port, Ports, parts_of, port_of
from streamgen.models.prebuild import Prebuild, Wanted
from streamgen.models.quantised import QUANTISED, Gate, passed_gate, terms_of
from streamgen.models.registry import find_model
from streamgen.models.remembering import UNET_BANK, Remembering
from streamgen.models.specs import further_inputs, latent_scale, latent_shape, spec_of
from streamgen.models.upcoming import Start, Upcoming, standing_in


class Engines:
    """Encode, denoise, decode and read sentences, for one model at one size.

    A network is compiled when a batch size is first needed; exact sizes, because padding is lost
    work on a CPU. `prepare` does it beforehand.
    """

    def __init__(
        self,
        model: LoadedModel,
        config: StreamConfig,
        *,
        choice: Choice,
        cache: EngineCache,
        executor: Executor | None = None,
        builder: Builder = build_here,
    ) -> None:
        """executor: where batch sizes are compiled that turn out to be needed; None: at once."""
        self.model = model
        self.config = config
        self.choice = choice
        self.networks = NetworkStore(
            backend=choice.backend, cache=cache, device=choice.device, builder=builder
        )
        #: What shall draw in place of these as soon as it is built; None where they are the best.
        self.upcoming: Upcoming | None = None
        #: Has networks built elsewhere before they are compiled; None: `builder` does it here.
        self.prebuild: Prebuild | None = None
        #: Of the networks that are not quantised; with "int8" that is all but the autoencoder.
        self.precision = resolve(config.precision, choice.backend, choice.device)
        self.is_quantised = config.precision == INT8
        self.gate: Gate | None = None
        self.device = torch.device(choice.device)
        self.schedule = model.schedule
        self.latent_shape = latent_shape(model, (config.width, config.height))
        self.abilities = model.abilities((config.width, config.height))
        self.scale = latent_scale(model)
        self.modules: dict[str, nn.Module] = {
            "vae_encoder": PixelEncoder(model.vae),
            "unet": denoiser_of(model.unet, further_inputs(model.unet.config)),
            "vae_decoder": PixelDecoder(model.vae),
        }
        # Where nothing is built, a batch size takes no time: nobody need make do without it.
        later = None if isinstance(choice.backend, EagerBackend) else executor
        self.ports = Ports(self._compile, choice.backend.batch_sizes, executor=later)
        #: The denoiser for streams that ask for a feature bank; nothing is made until one does.
        plain = partial(self._spec, "unet")
        self.memory = Remembering(model, self.ports, plain=plain, device=self.device)

    def prepare(self, batch: int = 1, *, denoiser_batch: int | None = None) -> None:
        """Compile the networks for a number of streams; the denoiser may need more rows.

        It does where guidance passes the negative, too: two rows for each stream.
        """
        rows = dict.fromkeys(self.modules, batch) | {"unet": denoiser_batch or batch}
        sizes = self.choice.backend.batch_sizes
        self._prebuilt([(role, size) for role in rows for size in parts_of(rows[role], sizes)])
        for role in rows:
            self.ports.prepare(role, rows[role])
        if self.is_quantised and self.gate is None:
            self.gate = passed_gate(
                self.networks,
                [self._spec(role, 1) for role in QUANTISED],
                [self.modules[role] for role in QUANTISED],
                drawn=lambda frame: self.decode(self.scaled(self.encode(frame[None])))[0],
            )

    def is_built(self) -> bool:
        """Tell whether `prepare` for one stream has nothing to build; a look into the cache."""
        return all(self._is_built(role, 1) for role in self.modules)

    def build(self, role: str, batch: int) -> None:
        """Have a network in the cache for a batch size, without loading it."""
        spec, module = self._spec(role, batch), self._module(role)
        self.networks.build(spec, module, **terms_of(spec, self.modules))

    def close(self) -> None:
        """Give the networks back, and end what is being built; nothing can be drawn afterwards."""
        self.networks.cancel.set()
        self.ports.close()
        self.modules = {}
        if self.device.type == "cuda":
            torch.cuda.empty_cache()  # torch keeps what it has for itself; the next may be others

    def encode(self, pixels: Pixels) -> Tensor:
        """Return the latents, as the encoder gives them, [B, C, h, w], of uint8 [B, H, W, 3].

        Raises ConfigError for pixels of another size than the engines were made for.
        """
        wanted = (self.config.height, self.config.width)
        if pixels.shape[1:3] != wanted:
            raise ConfigError(
                f"frame {pixels.shape[2]}x{pixels.shape[1]}: these engines draw"
                f" {wanted[1]}x{wanted[0]}: resize it, or load engines of its size"
            )
        return self.ports.run("vae_encoder", pixels=torch.from_numpy(pixels)).clone()

    def unet(self, x: Tensor, t: Tensor, text: Tensor, cond: dict[str, Tensor]) -> Tensor:
        """Return the model's answer to a batch, [B, C, h, w], valid until the next call.

        x: [B, C, h, w] at the level of t, [B], in steps of the training schedule. text: [B, tokens,
        width]. cond: further inputs by name, as specified. All float32, on any device.
        """
        return self.ports.run("unet", x=x, t=t, text=text, **cond)

    def decode(self, latents: Tensor) -> Pixels:
        """Return new uint8 [B, H, W, 3] of scaled latents [B, C, h, w].

        Raises ModelError for latents with NaN or infinity: as bytes they would look like a picture.
        """
        # This waits for a GPU, as the copy of the pixels below does in any case.
        if not bool(torch.isfinite(latents).all()):
            raise ModelError(
                f"model {self.config.model!r} drew NaN or infinity: its weights or its scheduler"
                f" config are wrong, or {self.precision} is too narrow: try --precision fp32"
            )
        drawn = self.ports.run("vae_decoder", latent=latents / self.scale)
        pixels: Pixels = drawn.to("cpu", copy=True).numpy()
        return pixels

    def text(self, sentence: str) -> Tensor:
        """Return the embedding of a sentence, [tokens, width], and what `Abilities` adds to it."""
        return self.model.text(sentence).to(self.device)

    def scaled(self, latent: Tensor) -> Tensor:
        """Return a latent of any shape as the denoiser wants it, about unit variance."""
        return latent * self.scale

    def cond_of(self, source: Tensor) -> dict[str, Tensor]:
        """Return the denoiser's further inputs by name, made of what `encode` gave, not scaled.

        source: [C, h, w] of a frame or [B, C, h, w] of many; the inputs have its shape.
        """
        # InstructPix2Pix does not scale the latent it is conditioned on (arXiv 2211.09800).
        return {"source": source} if self.model.kind == "instruct_pix2pix" else {}

    def _compile(self, role: str, batch: int) -> Port:
        self._prebuilt([(role, batch)])
        spec, module = self._spec(role, batch), self._module(role)
        compiled = self.networks.compile(spec, module, **terms_of(spec, self.modules))
        shared = self.memory.slabs if role == UNET_BANK else {}
        return port_of(compiled, device=self.device, shared=shared)

    def _module(self, role: str) -> nn.Module:
        return self.memory.module if role == UNET_BANK else self.modules[role]

    def _spec(self, role: str, batch: int) -> EngineSpec:
        if role == UNET_BANK:
            return self.memory.spec(batch)
        size, precision = (self.config.width, self.config.height), self.precision_of(role)
        return spec_of(role, batch, self.model, size=size, precision=precision)

    def precision_of(self, role: str) -> str:
        """Return what a network computes in."""
        return INT8 if self.is_quantised and role in QUANTISED else self.precision

    @property
    def described_precision(self) -> str:
        """Precision of all networks in a few words."""
        return f"{INT8} autoencoder, {self.precision}" if self.is_quantised else self.precision

    def _is_built(self, role: str, batch: int) -> bool:
        spec, module = self._spec(role, batch), self._module(role)
        return self.networks.is_built(spec, module, **terms_of(spec, self.modules))

    def _prebuilt(self, wanted: Wanted) -> None:
        """Have what is missing of some networks built elsewhere, if there is such a place."""
        if self.prebuild is None:
            return
        if missing := [pair for pair in wanted if not self._is_built(*pair)]:
            kept, tell, cancel = self.networks.cache, self.networks.tell, self.networks.cancel
            self.prebuild(self.config, missing, cache=kept, tell=tell, cancel=cancel)


def find_device(device: str) -> str:
    """Return the device that "auto" means here: the first NVIDIA GPU, else the CPU."""
    found = "cuda" if torch.cuda.is_available() else "cpu"
    return found if device == "auto" else device


def engines_of(
    config: StreamConfig,
    cache: EngineCache | None = None,
    *,
    executor: Executor | None = None,
    builder: Builder = build_here,
) -> Engines:
    """Load a model and choose what draws it; nothing is compiled yet. As of `load_engines`."""
    row = find_model(config.model)
    row.check_size(config.width, config.height)
    options = BackendOptions(threads=config.threads)
    choice = choose(config.backend, device=find_device(config.device), options=options)
    kept, model = cache or EngineCache(cache_root(os.environ)), load_model(row)
    return Engines(model, config, choice=choice, cache=kept, executor=executor, builder=builder)


def load_engines(
    config: StreamConfig,
    cache: EngineCache | None = None,
    *,
    executor: Executor | None = None,
    builder: Builder = build_here,
    prebuild: Prebuild | None = None,
    start: Start = "built",
) -> Engines:
    """Load a model and compile it; the one way from a `StreamConfig` to something that draws.

    executor: where batch sizes are compiled that turn out to be needed while streams go on, and
    what "at_once" has left for later; `Engines.upcoming` has to be begun, and tells of it.
    prebuild: where anything runs beside the builds, it has to be given (`models.prebuild`).
    Raises ModelError, ConfigError, and EngineError where the backend or precision cannot be had.
    """
    engines = engines_of(config, cache, executor=executor, builder=builder)
    engines.prebuild = prebuild
    if start == "at_once" and not engines.is_built():
        return standing_in(engines, executor)
    engines.prepare()
    return engines
