"""How sessions are run: seats, sizes and time-outs, as one frozen piece of data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from aiortc import RTCIceServer

from engines.registry import AUTO, TABLE
from engines.spec import PRECISIONS
from server.nouns import EngineWish
from streamgen.config import StreamConfig
from streamgen.errors import ConfigError
from streamgen.models.registry import ModelRow, find_model, with_motion
from streamgen.sources.geometry import Size

BACKENDS = (AUTO, *(row.name for row in TABLE))


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionRules:
    """Which motion adapter draws, and what it may remember; as in `StreamConfig`."""

    adapter: str = AUTO
    window: int | None = None
    sinks: int | None = None
    memory_mb: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """What holds for every session; times in seconds.

    motion_name: of the adapter, for people. ice_servers: asked for every peer, as their passwords
    age. public_ip: put into answers where the machine does not know its own address. barcode:
    numbers in the pixels, for measurements.
    ticket_s: until a ticket dies that nobody asks about, and for which a free seat is held.
    resume_s: from when a peer was last heard until its seat is free again. memory_s: for which
    controls are remembered after the end. pause_s, silent_s: without a heartbeat until frames are
    no longer drawn, until the peer is closed. notice_s, idle_s: the same without pictures.
    longest_s: of a session, None for no end. last_words_s: for a peer that is closed to hear why.
    guests: of one stream at most; arrive_s: until one
    that is not connected is let go. audience_kbps: of the one video that all of them get. quiet_s:
    without pictures until a publisher's place may be taken, and until it is told what it lacks.
    """

    model: str
    size: Size
    sizes: tuple[Size, ...]
    backend: str = "auto"
    precision: str = "auto"
    device: str = "auto"
    threads: int | None = None
    swaps_weights: bool = False
    motion: MotionRules = field(default_factory=MotionRules)
    motion_name: str | None = None
    seats: int = 4
    queue: int = 64
    codec: Literal["auto", "vp8", "h264"] = "auto"
    ice_servers: Callable[[], Sequence[RTCIceServer]] = tuple
    public_ip: str | None = None
    uplink_floor_kbps: int | None = 1500
    uplink_start_kbps: int = 3000
    barcode: bool = False
    max_pixels: int = 1920 * 1080
    max_fps: float = 60.0
    negotiation_s: float = 10.0
    ticket_s: float = 15.0
    resume_s: float = 20.0
    memory_s: float = 600.0
    pause_s: float = 6.0
    silent_s: float = 15.0
    notice_s: float = 10.0
    idle_s: float = 30.0
    longest_s: float | None = None
    last_words_s: float = 0.3
    look_s: float = 0.5
    guests: int = 32
    arrive_s: float = 20.0
    audience_kbps: int = 4000
    quiet_s: float = 2.0

    @property
    def row(self) -> ModelRow:
        """What is known of the model, with its motion adapter, before it is loaded."""
        return with_motion(find_model(self.model), self.motion.adapter)

    def config(self, size: Size) -> StreamConfig:
        """Return what draws pictures of a size; ConfigError for one that is not offered."""
        if size not in self.sizes:
            allowed = ", ".join(map(str, self.sizes))
            raise ConfigError(f"size {size}: choose {allowed}")
        return StreamConfig(
            model=self.model,
            width=size.width,
            height=size.height,
            backend=self.backend,
            precision=self.precision,
            device=self.device,
            threads=self.threads,
            swaps_weights=self.swaps_weights,
            motion=self.motion.adapter,
            motion_window=self.motion.window,
            motion_sinks=self.motion.sinks,
            motion_memory_mb=self.motion.memory_mb,
        )

    def changed(self, config: StreamConfig, wish: EngineWish) -> StreamConfig:
        """Return what draws as wished; ConfigError for what is not offered or not known.

        Whether this machine can do it turns out when it is loaded.
        """
        size = wish.size or Size(config.width, config.height)
        self.config(size)
        return replace(
            config,
            width=size.width,
            height=size.height,
            backend=_known("backend", wish.backend, BACKENDS) or config.backend,
            precision=_known("precision", wish.precision, (AUTO, *PRECISIONS)) or config.precision,
        )


def _known(kind: str, name: str | None, known: Sequence[str]) -> str | None:
    if name is not None and name not in known:
        raise ConfigError(f"{kind} {name!r}: choose {', '.join(known)}")
    return name
