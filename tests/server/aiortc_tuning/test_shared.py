from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc.codecs.h264 import H264Decoder, H264Encoder, h264_depayload
from aiortc.jitterbuffer import JitterFrame
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from server.aiortc_tuning.shared import SharedH264
from server.aiortc_tuning.tuning import Tuning
from server.pictures import picture_of
from streamgen.errors import ConfigError

NOISE = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
SEQUENCE, PARAMETERS, IDR, OTHER = 7, 8, 5, 1


def picture(number: int, fps: float = 30, width: int = 256, height: int = 256) -> VideoFrame:
    pixels = np.ascontiguousarray(np.roll(NOISE, 3 * number, axis=1)[:height, :width])
    made = picture_of(pixels, VideoReformatter())
    made.pts, made.time_base = round(number * 90_000 / fps), Fraction(1, 90_000)
    return made


def units(packet: Packet[VideoStream]) -> list[int]:
    """Return the kinds of the NAL units, but for those that only comment."""
    kinds = [unit[0] & 31 for unit in H264Encoder._split_bitstream(bytes(packet))]
    return [kind for kind in kinds if kind in (SEQUENCE, PARAMETERS, IDR, OTHER)]


def test_every_picture_is_one_packet_on_the_clock_of_rtp() -> None:
    encoder = SharedH264(Tuning(), bitrate=1_000_000)
    coded = [encoder.encode(picture(number), is_key=False) for number in range(5)]
    assert [len(packets) for packets in coded] == [1] * 5
    assert [packets[0].pts for packets in coded] == [0, 3000, 6000, 9000, 12_000]
    assert {packets[0].time_base for packets in coded} == {Fraction(1, 90_000)}
    assert (encoder.encoded, encoder.builds) == (5, 1)


def test_parameter_sets_come_before_every_key_frame_and_only_wished_ones_are_made() -> None:
    encoder = SharedH264(Tuning(), bitrate=1_000_000)
    coded = [encoder.encode(picture(number), is_key=number == 3)[0] for number in range(6)]
    key = [SEQUENCE, PARAMETERS, IDR]
    assert [units(packet)[:3] for packet in coded] == [key, [OTHER], [OTHER], key, [OTHER], [OTHER]]
    assert [packet.is_keyframe for packet in coded] == [n in (0, 3) for n in range(6)]


def test_other_size_begins_with_a_key_frame() -> None:
    encoder, decoder = SharedH264(Tuning(), bitrate=1_000_000), av.CodecContext.create("h264", "r")
    sizes, keys = [], []
    for number, (width, height) in enumerate([(256, 256), (256, 256), (128, 96), (128, 96)]):
        (packet,) = encoder.encode(picture(number, width=width, height=height), is_key=False)
        keys.append(packet.is_keyframe)
        sizes += [(each.width, each.height) for each in decoder.decode(packet)]
    assert sizes == [(256, 256), (256, 256), (128, 96), (128, 96)]
    assert keys == [True, False, True, False]
    assert encoder.builds == 2


@pytest.mark.parametrize("fps", [15, 30])
def test_bit_rate_holds_whatever_the_rate_of_the_pictures(fps: int) -> None:
    encoder = SharedH264(Tuning(), bitrate=1_200_000)
    sizes = [encoder.encode(picture(n, fps), is_key=False)[0].size for n in range(90)]
    assert 0.7 < 8 * sum(sizes[45:]) / 45 * fps / 1_200_000 < 1.25


def test_the_sender_of_aiortc_packs_what_it_is_given_so_that_it_can_be_decoded() -> None:
    encoder, decoder = SharedH264(Tuning(), bitrate=1_000_000), H264Decoder()
    for number in range(3):
        (packet,) = encoder.encode(picture(number), is_key=False)
        payloads, timestamp = H264Encoder().pack(packet)
        assert timestamp == 3000 * number
        assert max(len(payload) for payload in payloads) <= 1300
        data = b"".join(h264_depayload(payload) for payload in payloads)
        (decoded,) = decoder.decode(JitterFrame(data, timestamp))
        assert isinstance(decoded, VideoFrame)
        difference = decoded.to_ndarray().astype(int) - picture(number).to_ndarray()
        assert np.abs(difference[:256]).mean() < 30  # noise at a low bit rate


def test_picture_after_one_that_could_not_be_encoded_is_a_key_frame() -> None:
    encoder = SharedH264(Tuning(), bitrate=1_000_000)
    encoder.encode(picture(0), is_key=False)
    with pytest.raises(av.FFmpegError):
        encoder.encode(VideoFrame(20_000, 16, "yuv420p"), is_key=False)
    (packet,) = encoder.encode(picture(1), is_key=False)
    assert (packet.is_keyframe, encoder.encoded) == (True, 2)


def test_hardly_any_bit_rate_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="bitrate 10: choose 50000 bits a second or more"):
        SharedH264(Tuning(), bitrate=10)
