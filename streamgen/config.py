"""What forces other engines: model, size, precision, backend, device. Nothing else is in here."""

from __future__ import annotations

from dataclasses import dataclass

from engines.spec import FP8
from streamgen.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfig:
    """What the compiled networks of a stream are made for.

    model: a name in the registry, a diffusers folder or a hub id.
    width, height: of the picture the model draws, in pixels.
    backend, precision, device: "auto" takes the best that this machine has.
    threads: for the networks on a CPU; None lets the backend choose.
    swaps_weights: whether LoRAs can be put into the denoiser; costs speed where engines are built
    for it (tensorrt), nothing elsewhere. Raises ConfigError for a denoiser that has no room for it.
    """

    model: str
    width: int
    height: int
    backend: str = "auto"
    precision: str = "auto"
    device: str = "auto"
    threads: int | None = None
    swaps_weights: bool = False

    def __post_init__(self) -> None:
        if self.swaps_weights and self.precision == FP8:
            raise ConfigError(
                "precision 'fp8': LoRAs cannot be put into it, its scales are of the model's own"
                " weights: use bf16, or run without LoRAs"
            )
