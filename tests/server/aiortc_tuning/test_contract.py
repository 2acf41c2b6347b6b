"""What the tuning relies on in aiortc. A failure here means: read the new aiortc, then mend us."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

import aiortc
import av
import numpy as np
import pytest
from aiortc import codecs, rtcrtpreceiver, rtp
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtcdtlstransport import RTCCertificate
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket

from server.aiortc_tuning import Tuning, check_aiortc, install, uninstall
from server.aiortc_tuning.ciphers import context_with_rsa, upstream_context
from server.aiortc_tuning.decoding import decode_newest
from server.aiortc_tuning.h264 import TunedH264Encoder
from server.aiortc_tuning.jitter import MarkerBitJitterBuffer
from server.aiortc_tuning.playout import PlayoutDelayMap
from server.aiortc_tuning.vp8 import TunedVp8Encoder
from streamgen.errors import ConfigError


@pytest.fixture(autouse=True)
def untuned() -> Iterator[None]:
    uninstall()
    yield
    uninstall()


def codec(name: str) -> RTCRtpCodecParameters:
    return RTCRtpCodecParameters(mimeType=f"video/{name}", clockRate=90_000, payloadType=97)


def picture(pts: int, fps: int = 30) -> av.VideoFrame:
    rng = np.random.default_rng(pts)
    pixels = np.kron(rng.integers(0, 256, (16, 16, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
    frame.pts, frame.time_base = pts * 90_000 // fps, Fraction(1, 90_000)
    return frame


def test_the_installed_aiortc_is_one_that_is_known() -> None:
    check_aiortc()
    assert re.match(r"1\.16\.", aiortc.__version__)


def test_installing_replaces_encoders_buffer_and_decoder_and_can_be_undone() -> None:
    install(Tuning())
    assert isinstance(codecs.get_encoder(codec("H264")), TunedH264Encoder)
    assert isinstance(codecs.get_encoder(codec("VP8")), TunedVp8Encoder)
    assert rtcrtpreceiver.JitterBuffer is MarkerBitJitterBuffer
    assert rtcrtpreceiver.decoder_worker is decode_newest
    assert rtp.HeaderExtensionsMap is PlayoutDelayMap
    assert RTCCertificate._create_ssl_context is context_with_rsa
    uninstall()
    assert type(codecs.get_encoder(codec("H264"))) is H264Encoder
    assert type(codecs.get_encoder(codec("VP8"))) is Vp8Encoder
    assert rtcrtpreceiver.JitterBuffer is JitterBuffer
    assert rtcrtpreceiver.decoder_worker.__name__ == "decoder_worker"
    assert rtp.HeaderExtensionsMap is HeaderExtensionsMap
    assert RTCCertificate._create_ssl_context is upstream_context


def test_marker_bit_can_be_switched_off() -> None:
    install(Tuning(marker_bit=True))
    install(Tuning(marker_bit=False))
    assert rtcrtpreceiver.JitterBuffer is JitterBuffer


def test_upstream_still_waits_for_the_next_frame() -> None:
    """Once this fails, upstream may no longer need our jitter buffer."""
    buffer = JitterBuffer(capacity=16, is_video=True)
    packet = RtpPacket(sequence_number=1, timestamp=0, marker=1)
    packet._data = b"whole"  # type: ignore[attr-defined]  # as the receiver does
    assert buffer.add(packet) == (False, None)


def test_upstream_still_rebuilds_its_encoders_with_the_bit_rate() -> None:
    """Once this fails, upstream may no longer need our bit rate steps."""
    for encoder in (H264Encoder(), Vp8Encoder()):
        encoder.target_bitrate = 1_000_000
        encoder.encode(picture(0))
        first = encoder.codec
        encoder.target_bitrate = 1_200_000
        encoder.encode(picture(1))
        assert encoder.codec is not first


def test_upstream_still_leaves_a_vp8_codec_alone_that_fits() -> None:
    encoder = TunedVp8Encoder(Tuning())
    encoder.encode(picture(0))
    first = encoder.codec
    encoder.encode(picture(1))
    assert encoder.codec is first
    assert encoder.builds == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"max_fps": 0.0}, "max_fps 0.0: choose 1 to 120"),
        ({"bitrate_min": 9_000_000}, "bitrates 9000000, 2500000, 4000000"),
        ({"x264_preset": "placebo"}, "x264_preset 'placebo': choose ultrafast"),
    ],
)
def test_impossible_tuning_is_refused_in_words(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Tuning(**wrong)  # type: ignore[arg-type]
