from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc.codecs.h264 import H264Decoder, h264_depayload
from aiortc.codecs.vpx import Vp8Decoder, vp8_depayload
from aiortc.jitterbuffer import JitterFrame
from av.video.reformatter import VideoReformatter

from server.aiortc_tuning.bitrate import Pace, SteadyBitrate
from server.aiortc_tuning.encoding import EncodeReport
from server.aiortc_tuning.h264 import TunedH264Encoder
from server.aiortc_tuning.tuning import Tuning
from server.aiortc_tuning.vp8 import TunedVp8Encoder
from server.barcode import read, write
from server.pictures import picture_of
from streamgen.sources.convert import Converter, Stance
from streamgen.sources.geometry import Size

Encoder = TunedH264Encoder | TunedVp8Encoder

NOISE = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
BOTH: list[type[Encoder]] = [TunedH264Encoder, TunedVp8Encoder]


class Seconds:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def picture(number: int, fps: float = 30, width: int = 256, height: int = 256) -> av.VideoFrame:
    pixels = np.ascontiguousarray(np.roll(NOISE, 3 * number, axis=1)[:height, :width])
    made = picture_of(pixels, VideoReformatter())
    made.pts, made.time_base = round(number * 90_000 / fps), Fraction(1, 90_000)
    return made


def encode(encoder: Encoder, made: av.VideoFrame, *, key: bool = False) -> bytes:
    """Return the frame as its decoder wants it."""
    depayload: Callable[[bytes], bytes] = (
        h264_depayload if isinstance(encoder, TunedH264Encoder) else vp8_depayload
    )
    return b"".join(depayload(part) for part in encoder.encode(made, key)[0])


def is_key(encoder: Encoder, data: bytes) -> bool:
    if isinstance(encoder, TunedVp8Encoder):
        return not data[0] & 1
    return b"\x00\x00\x01\x67" in data  # the parameter sets go with each key frame


def bits_per_second(sizes: list[int], fps: float) -> float:
    return 8 * sum(sizes) * fps / len(sizes)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("fps", [15, 30, 60])
def test_the_bit_rate_holds_whatever_the_rate_of_the_pictures(
    kind: type[Encoder], fps: int
) -> None:
    encoder = kind(Tuning(bitrate_default=1_200_000, bitrate_max=2_000_000))
    sizes = [len(encode(encoder, picture(number, fps))) for number in range(90)]
    assert 0.7 < bits_per_second(sizes[45:], fps) / 1_200_000 < 1.25


def test_no_h264_picture_takes_much_more_than_two_shares() -> None:
    tuning = Tuning(bitrate_default=2_000_000, bitrate_max=2_000_000)
    encoder = TunedH264Encoder(tuning)
    sizes = [len(encode(encoder, picture(n), key=n % 20 == 0)) for n in range(60)]
    assert 8 * max(sizes) < 2.2 * 2_000_000 / 30


@pytest.mark.parametrize("kind", BOTH)
def test_every_picture_comes_out_at_once(kind: type[Encoder]) -> None:
    encoder = kind(Tuning())
    assert all(encode(encoder, picture(number)) for number in range(5))


@pytest.mark.parametrize("kind", BOTH)
def test_only_the_first_and_the_wished_pictures_are_key_frames(kind: type[Encoder]) -> None:
    encoder = kind(Tuning())
    repeated = picture(6)
    coded = [encode(encoder, picture(n), key=n == 3) for n in range(6)]
    coded.append(encode(encoder, repeated, key=True))
    repeated.pts = 7 * 3000
    coded.append(encode(encoder, repeated))
    keys = [n for n, data in enumerate(coded) if is_key(encoder, data)]
    assert keys == [0, 3, 6]


@pytest.mark.parametrize("kind", BOTH)
def test_wavering_wishes_of_the_peer_neither_rebuild_nor_send_key_frames(
    kind: type[Encoder],
) -> None:
    clock = Seconds()
    encoder = kind(Tuning(), clock=clock)
    coded = []
    for number in range(60):
        clock.now_s = number / 30
        encoder.target_bitrate = 2_000_000 if number % 10 else 600_000
        coded.append(encode(encoder, picture(number)))
    assert encoder.builds == 1
    assert [n for n, data in enumerate(coded) if is_key(encoder, data)] == [0]


def test_h264_follows_a_lasting_wish_without_a_key_frame() -> None:
    clock = Seconds()
    encoder = TunedH264Encoder(Tuning(), clock=clock)
    coded = []
    for number in range(120):
        clock.now_s = number / 30
        encoder.target_bitrate = 800_000
        coded.append(encode(encoder, picture(number)))
    sizes = [len(data) for data in coded]
    assert encoder.builds == 1
    assert [n for n, data in enumerate(coded) if is_key(encoder, data)] == [0]
    assert bits_per_second(sizes[:30], 30) > 1_500_000
    assert 600_000 < bits_per_second(sizes[75:], 30) < 1_000_000


def test_vp8_follows_a_lasting_wish_with_one_new_encoder() -> None:
    clock = Seconds()
    encoder = TunedVp8Encoder(Tuning(), clock=clock)
    for number in range(90):
        clock.now_s = number / 30
        encoder.target_bitrate = 800_000
        encode(encoder, picture(number))
    assert (encoder.builds, encoder.target_bitrate) == (2, 800_000)


@pytest.mark.parametrize("kind", BOTH)
def test_size_may_change_between_two_pictures(kind: type[Encoder]) -> None:
    encoder = kind(Tuning())
    decoder = H264Decoder() if kind is TunedH264Encoder else Vp8Decoder()
    sizes = []
    for number, (width, height) in enumerate([(256, 256), (128, 96), (256, 192)]):
        data = encode(encoder, picture(number, width=width, height=height))
        decoded = decoder.decode(JitterFrame(data, 3000 * number))
        sizes += [(each.width, each.height) for each in decoded if isinstance(each, av.VideoFrame)]
    assert sizes == [(256, 256), (128, 96), (256, 192)]


@pytest.mark.parametrize("kind", BOTH)
def test_barcode_survives_the_lowest_bit_rate(kind: type[Encoder]) -> None:
    tuning = Tuning(bitrate_min=200_000, bitrate_default=200_000, bitrate_max=200_000)
    encoder = kind(tuning)
    decoder = H264Decoder() if kind is TunedH264Encoder else Vp8Decoder()
    converter = Converter(Size(256, 256), fit="crop")
    numbers = []
    for number in range(30):
        pixels = np.roll(NOISE, 3 * number, axis=1)
        write(pixels, 31_337 * (number + 1))
        made = picture_of(pixels, VideoReformatter())
        made.pts, made.time_base = 3000 * number, Fraction(1, 90_000)
        for decoded in decoder.decode(JitterFrame(encode(encoder, made), 3000 * number)):
            assert isinstance(decoded, av.VideoFrame)
            numbers.append(read(converter.convert(decoded, Stance())))
    assert numbers == [31_337 * (number + 1) for number in range(30)]


def test_h264_says_what_its_colours_mean() -> None:
    encoder = TunedH264Encoder(Tuning())
    (decoded,) = H264Decoder().decode(JitterFrame(encode(encoder, picture(0)), 0))
    assert isinstance(decoded, av.VideoFrame)
    assert (decoded.colorspace, decoded.color_range, decoded.color_primaries) == (6, 1, 1)


@pytest.mark.parametrize("kind", BOTH)
def test_the_time_of_an_encoding_is_told_with_its_picture(kind: type[Encoder]) -> None:
    times = iter(range(100))
    encoder = kind(Tuning(), clock=lambda: float(next(times)))
    told: list[float] = []
    made = picture(0)
    made.opaque = EncodeReport(told.append)
    encode(encoder, made)
    assert told == [1000.0]


def test_bit_rate_stays_within_its_bounds() -> None:
    steady = SteadyBitrate(default=1_000_000, minimum=500_000, maximum=2_000_000)
    rates = [steady.follow(wish, now_s) for now_s in range(60) for wish in (1, 1)]
    assert min(rates) == 500_000
    rates = [steady.follow(10**12, now_s) for now_s in range(60, 120)]
    assert max(rates) == 2_000_000


def test_bit_rate_falls_soon_and_rises_late() -> None:
    steady = SteadyBitrate(default=1_000_000, minimum=100_000, maximum=4_000_000)
    steady.follow(400_000, 0.0)
    assert steady.follow(400_000, 0.9) == 1_000_000
    assert steady.follow(400_000, 1.0) == 400_000
    steady.follow(2_000_000, 2.0)
    assert steady.follow(2_000_000, 9.9) == 400_000
    assert steady.follow(2_000_000, 10.0) == 2_000_000
    assert steady.steps == 2


def test_pace_learns_the_rate_of_the_pictures() -> None:
    pace = Pace(30)
    for number in range(60):
        pace.see(number / 12)
    assert pace.fps == pytest.approx(12, rel=0.02)
