"""What forces other engines: model, size, precision, backend, device. Nothing else is in here."""

from __future__ import annotations

from dataclasses import dataclass

from engines.spec import FP8
from streamgen.errors import ConfigError

#: What `motion` may be beside an adapter: that of the model, if it has one, or none.
AUTO, NO_MOTION = "auto", "none"
MOTION_MEMORY_MB = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfig:
    """What the compiled networks of a stream are made for.

    model: a name in the registry, a diffusers folder or a hub id.
    width, height: of the picture the model draws, in pixels.
    backend, precision, device: "auto" takes the best that this machine has.
    threads: for the networks on a CPU; None lets the backend choose.
    swaps_weights: whether LoRAs can be put into the denoiser; costs speed where engines are built
    for it (tensorrt), nothing elsewhere. Raises ConfigError for a denoiser that has no room for it.
    motion: an adapter by name, a folder of one or a hub id; "auto" is the model's own, mostly none.
    motion_window: frames that motion modules see, the one that is drawn among them; motion_sinks:
    of those, the first ones of a stream, which stay; None is what the adapter was made for.
    motion_memory_mb: that all streams' rows may take in MiB; None is MOTION_MEMORY_MB.
    """

    model: str
    width: int
    height: int
    backend: str = "auto"
    precision: str = "auto"
    device: str = "auto"
    threads: int | None = None
    swaps_weights: bool = False
    motion: str = AUTO
    motion_window: int | None = None
    motion_sinks: int | None = None
    motion_memory_mb: int | None = None

    def __post_init__(self) -> None:
        if self.swaps_weights and self.precision == FP8:
            raise ConfigError(
                "precision 'fp8': LoRAs cannot be put into it, its scales are of the model's own"
                " weights: use bf16, or run without LoRAs"
            )
        self._check_motion()

    def _check_motion(self) -> None:
        if not self.motion:
            raise ConfigError(
                f"motion {self.motion!r}: give the name of an adapter, a folder, {AUTO!r} or"
                f" {NO_MOTION!r}"
            )
        least = {"motion_window": 2, "motion_sinks": 0, "motion_memory_mb": 1}
        for name, from_on in least.items():
            given = getattr(self, name)
            if given is not None and given < from_on:
                raise ConfigError(f"{name} {given}: give a whole number from {from_on} on")
            if given is not None and self.motion == NO_MOTION:
                raise ConfigError(f"{name} {given}: there is no motion adapter: leave it out")
        window, sinks = self.motion_window, self.motion_sinks
        if window is not None and sinks is not None and sinks > window - 2:
            raise ConfigError(
                f"motion_sinks {sinks}: of a window of {window} frames, one is drawn and one moves"
                f" on: give at most {window - 2}"
            )
