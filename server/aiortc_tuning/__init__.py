"""The one place that reaches into aiortc: what is replaced there, and how it is taken back."""

from __future__ import annotations

from functools import partial
from typing import Any  # Any: modules, whose names are replaced

from aiortc import codecs, rtcrtpreceiver, rtp
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtcdtlstransport import RTCCertificate
from aiortc.rtcrtpreceiver import decoder_worker
from aiortc.rtp import HeaderExtensionsMap

from server.aiortc_tuning.answer import tuned_answer
from server.aiortc_tuning.ciphers import context_with_rsa, upstream_context
from server.aiortc_tuning.closing import has_arrived, mind_closing
from server.aiortc_tuning.contract import check_aiortc
from server.aiortc_tuning.decoding import decode_newest
from server.aiortc_tuning.h264 import TunedH264Encoder
from server.aiortc_tuning.jitter import MarkerBitJitterBuffer
from server.aiortc_tuning.losses import on_losses
from server.aiortc_tuning.playout import EXTENSION, PlayoutDelayMap
from server.aiortc_tuning.ports import limit_ports
from server.aiortc_tuning.shared import SharedH264
from server.aiortc_tuning.tuning import Tuning
from server.aiortc_tuning.vp8 import TunedVp8Encoder

__all__ = [
    "SharedH264",
    "Tuning",
    "check_aiortc",
    "has_arrived",
    "install",
    "limit_ports",
    "on_losses",
    "tuned_answer",
    "uninstall",
]


def install(tuning: Tuning) -> None:
    """Tune all peer connections made from now on; the last call counts.

    Raises ServerError for an aiortc whose version or insides are not known.
    """
    check_aiortc()
    _replace(
        h264=partial(TunedH264Encoder, tuning),
        vp8=partial(TunedVp8Encoder, tuning),
        jitter=MarkerBitJitterBuffer if tuning.marker_bit else JitterBuffer,
        decode=decode_newest,
        extensions=PlayoutDelayMap if tuning.show_at_once else HeaderExtensionsMap,
        context=context_with_rsa,
    )
    mind_closing(is_on=True)


def uninstall() -> None:
    """Give all peer connections made from now on what aiortc brings."""
    _replace(
        h264=H264Encoder,
        vp8=Vp8Encoder,
        jitter=JitterBuffer,
        decode=decoder_worker,
        extensions=HeaderExtensionsMap,
        context=upstream_context,
    )
    mind_closing(is_on=False)


def _replace(
    *,
    h264: object,
    vp8: object,
    jitter: object,
    decode: object,
    extensions: object,
    context: object,
) -> None:
    encoders: Any = codecs
    certificates: Any = RTCCertificate
    receiver: Any = rtcrtpreceiver
    packets: Any = rtp
    encoders.H264Encoder, encoders.Vp8Encoder = h264, vp8
    receiver.JitterBuffer, receiver.decoder_worker = jitter, decode
    packets.HeaderExtensionsMap = extensions
    certificates._create_ssl_context = context
    offered = [each for each in codecs.HEADER_EXTENSIONS["video"] if each.uri != EXTENSION.uri]
    if extensions is PlayoutDelayMap:
        offered.append(EXTENSION)
    codecs.HEADER_EXTENSIONS["video"][:] = offered
