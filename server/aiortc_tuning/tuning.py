"""What may be set about aiortc, as one frozen piece of data; knows nothing of aiortc itself."""

from __future__ import annotations

from dataclasses import dataclass

from streamgen.errors import ConfigError

# From the fastest to the slowest that still makes sense while somebody waits for the picture.
X264_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How pictures are sent and received.

    max_fps: of the pictures that are sent; the rate control learns the real rate. bitrate_*: bits
    per second that one viewer gets. marker_bit: hand a frame over with its last packet, not with
    the first of the next; off for senders that set the marker wrongly. show_at_once: ask browsers
    not to hold pictures back against jitter. uplink_*: what Chromium is told to send at least and
    at first, in kbit/s; a floor of None tells it nothing.
    """

    max_fps: float = 30.0
    bitrate_min: int = 500_000
    bitrate_default: int = 2_500_000
    bitrate_max: int = 4_000_000
    x264_preset: str = "superfast"
    marker_bit: bool = True
    show_at_once: bool = True
    uplink_floor_kbps: int | None = 1500
    uplink_start_kbps: int = 3000

    def __post_init__(self) -> None:
        if not 1 <= self.max_fps <= 120:
            raise ConfigError(f"max_fps {self.max_fps}: choose 1 to 120")
        if not 50_000 <= self.bitrate_min <= self.bitrate_default <= self.bitrate_max:
            given = f"{self.bitrate_min}, {self.bitrate_default}, {self.bitrate_max}"
            raise ConfigError(
                f"bitrates {given}: choose minimum <= default <= maximum, from 50000 bits a second"
            )
        if self.x264_preset not in X264_PRESETS:
            raise ConfigError(f"x264_preset {self.x264_preset!r}: choose {', '.join(X264_PRESETS)}")
