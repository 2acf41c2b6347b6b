"""The compiled networks of one `StreamConfig` as stateless tensor → tensor callables."""

from __future__ import annotations

import logging
import os
from concurrent.futures import Executor

import torch
from torch import Tensor

from engines.building import Builder, build_here
from engines.cache import EngineCache, cache_root
from engines.protocol import BackendOptions, EagerBackend
from engines.registry import Choice, choose
from streamgen.admission import free_bytes
from streamgen.config import StreamConfig
from streamgen.errors import ConfigError, ModelError
from streamgen.frame import Pixels
from streamgen.lora.book import LoraBook, Shelf
from streamgen.lora.weights import Weights
from streamgen.models.denoisers import Denoisers
from streamgen.models.footprint import check_memory
from streamgen.models.loading import LoadedModel, load_model
from streamgen.models.motion_network import with_adapter
from streamgen.models.ports import parts_of
from streamgen.models.prebuild import Prebuild
from streamgen.models.quantised import QUANTISED, Gate, passed_gate
from streamgen.models.reading import LoraReaders, networks_of
from streamgen.models.registry import find_model, with_motion
from streamgen.models.specs import latent_scale, latent_shape
from streamgen.models.upcoming import Start, Upcoming, standing_in
from streamgen.models.weight_pool import WeightPool
from streamgen.models.workshop import UNETS, Workshop

logger = logging.getLogger(__name__)


class Engines(Workshop):
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
        super().__init__(model, config, choice=choice, cache=cache, builder=builder)
        #: What shall draw in place of these as soon as it is built; None where they are the best.
        self.upcoming: Upcoming | None = None
        #: Where LoRAs are found by name; None: streams can have none.
        self.shelf: Shelf | None = None
        self.gate: Gate | None = None
        self.schedule = model.schedule
        self.latent_shape = latent_shape(model, (config.width, config.height))
        self.abilities = model.abilities((config.width, config.height))
        self.scale = latent_scale(model)
        # Where nothing is built, a batch size takes no time: nobody need make do without it.
        later = None if isinstance(choice.backend, EagerBackend) else executor
        first = Denoisers(self, executor=later)
        self.weights = WeightPool(first, lambda number: self._another(number, later))
        self.ports, self.memory = first.ports, first.memory
        self._readers = LoraReaders(model)

    def prepare(self, batch: int = 1, *, denoiser_batch: int | None = None) -> None:
        """Compile the networks for a number of streams; the denoiser may need more rows.

        It does where guidance passes the negative, too: two rows for each stream.
        """
        denoising = dict.fromkeys(UNETS, denoiser_batch or batch)
        rows = {role: denoising.get(role, batch) for role in self.first_roles}
        sizes = self.choice.backend.batch_sizes
        self.prebuilt([(role, size) for role in rows for size in parts_of(rows[role], sizes)])
        for role in rows:
            self.ports.prepare(role, rows[role])
        if self.is_quantised and self.gate is None:
            self.gate = passed_gate(
                self.networks,
                [self._spec(role, 1) for role in QUANTISED],
                [self.modules[role] for role in QUANTISED],
                drawn=lambda frame: self.decode(self.scaled(self.encode(frame[None])))[0],
            )

    def close(self) -> None:
        """Give the networks back, and end what is being built; nothing can be drawn afterwards."""
        self.networks.cancel.set()
        self.weights.close()
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

    def text(self, sentence: str, weights: Weights | None = None) -> Tensor:
        """Return the embedding of a sentence, [tokens, width], and what `Abilities` adds to it."""
        return self._readers.text(sentence, weights).to(self.device)

    def holding(self, weights: Weights) -> Denoisers:
        """Return the networks that draw with some weights; `book_of` has them made ready."""
        return self.weights.holding(weights)

    def scaled(self, latent: Tensor) -> Tensor:
        """Return a latent of any shape as the denoiser wants it, about unit variance."""
        return latent * self.scale

    def cond_of(self, source: Tensor) -> dict[str, Tensor]:
        """Return the denoiser's further inputs by name, made of what `encode` gave, not scaled.

        source: [C, h, w] of a frame or [B, C, h, w] of many; the inputs have its shape.
        """
        # InstructPix2Pix does not scale the latent it is conditioned on (arXiv 2211.09800).
        return {"source": source} if self.model.kind == "instruct_pix2pix" else {}

    def _another(self, number: int, executor: Executor | None) -> Denoisers:
        """Return another set of denoisers; ConfigError where there is no memory for them."""
        is_eager = isinstance(self.choice.backend, EagerBackend)
        check_memory(self.learning, is_eager=is_eager, free_bytes=free_bytes(self.device))
        return Denoisers(self, executor=executor, number=number)


def book_of(engines: object) -> LoraBook | None:
    """Return a new book of the LoRAs that streams can have; None where they can have none."""
    if not isinstance(engines, Engines) or not engines.config.swaps_weights:
        return None
    if engines.shelf is None:
        return None
    networks = networks_of(engines.model, engines.learning)
    return LoraBook(engines.shelf, networks, prepare=engines.weights.prepare)


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
    shelf: Shelf | None = None,
) -> Engines:
    """Load a model and choose what draws it; nothing is compiled yet. As of `load_engines`.

    builder: how it is built what the cache has not.
    """
    row = with_motion(find_model(config.model), config.motion)
    row.check_size(config.width, config.height)
    options = BackendOptions(threads=config.threads)
    kept, device = cache or EngineCache(cache_root(os.environ)), find_device(config.device)
    choice = choose(config.backend, device=device, options=options, root=kept.root)
    model = with_adapter(load_model(row), config)
    engines = Engines(model, config, choice=choice, cache=kept, executor=executor, builder=builder)
    engines.shelf = shelf
    if engines.motion_memory is not None:
        logger.info("%s: %s", config.model, engines.motion_memory)
    return engines


def load_engines(
    config: StreamConfig,
    cache: EngineCache | None = None,
    *,
    executor: Executor | None = None,
    prebuild: Prebuild | None = None,
    start: Start = "built",
    shelf: Shelf | None = None,
) -> Engines:
    """Load a model and compile it; the one way from a `StreamConfig` to something that draws.

    executor: where batch sizes are compiled that turn out to be needed while streams go on, and
    what "at_once" has left for later; `Engines.upcoming` has to be begun, and tells of it.
    prebuild: where anything runs beside the builds, it has to be given (`models.prebuild`).
    shelf: where LoRAs are found, for a config that `swaps_weights`.
    Raises ModelError, ConfigError, and EngineError where the backend or precision cannot be had.
    """
    engines = engines_of(config, cache, executor=executor, shelf=shelf)
    engines.prebuild = prebuild
    if start == "at_once" and not engines.is_built():
        return standing_in(engines, executor)
    engines.prepare()
    return engines
