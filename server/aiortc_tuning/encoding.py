"""What the tuned encoders share: their time per frame, and what their colours mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

RTP_TIME_BASE = Fraction(1, 90_000)

# Numbers of ITU-T H.273: RGB of the web, as YUV of the kind that every browser expects of WebRTC.
BT709_PRIMARIES, SRGB_TRANSFER, BT601_MATRIX, LIMITED_RANGE = 1, 13, 6, 1

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class EncodeReport:
    """Rides on a picture as its `opaque`; `tell` is called with the milliseconds of its encoding.

    The call comes from the thread that encoded it.
    """

    tell: Callable[[float], None]


def report_encoding(picture: object, seconds: float) -> None:
    """Tell whoever sent this picture how long its encoding took."""
    if isinstance(picture, VideoFrame) and isinstance(picture.opaque, EncodeReport):
        picture.opaque.tell(1000 * seconds)


def tag(target: VideoFrame | VideoCodecContext) -> None:
    """Say that its YUV is BT.601, limited range, of sRGB pixels."""
    target.colorspace, target.color_range = BT601_MATRIX, LIMITED_RANGE
    target.color_primaries, target.color_trc = BT709_PRIMARIES, SRGB_TRANSFER


def thread_count(width: int, height: int) -> int:
    """Threads of one encoder: more only delay the others, as several encode at once."""
    return 1 if width * height <= 640 * 480 else 2
