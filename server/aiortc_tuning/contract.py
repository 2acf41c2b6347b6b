"""What this package relies on inside aiortc, checked before anything is replaced."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType

import aiortc
from aioice.ice import Connection
from aiortc import codecs, jitterbuffer, rtcrtpreceiver, rtcrtpsender, rtp
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpTransport

from server.aiortc_tuning.ciphers import upstream_context
from server.aiortc_tuning.closing import upstream_consent, upstream_start
from server.errors import ServerError

KNOWN_VERSIONS = ("1.16",)

# Functions that are replaced or overridden, and the parameters they must have.
PARAMETERS: tuple[tuple[Callable[..., object], tuple[str, ...]], ...] = (
    (JitterBuffer.__init__, ("self", "capacity", "prefetch", "is_video")),
    (JitterBuffer.add, ("self", "packet")),
    (JitterBuffer._remove_frame, ("self", "sequence_number")),
    (JitterBuffer.remove, ("self", "count")),
    (JitterFrame.__init__, ("self", "data", "timestamp")),
    (H264Encoder.__init__, ("self",)),
    (H264Encoder.encode, ("self", "frame", "force_keyframe")),
    (H264Encoder._encode_frame, ("self", "frame", "force_keyframe")),
    (H264Encoder._split_bitstream, ("buf",)),
    (H264Encoder.pack, ("self", "packet")),
    (Vp8Encoder.__init__, ("self",)),
    (Vp8Encoder.encode, ("self", "frame", "force_keyframe")),
    (rtp.HeaderExtensionsMap.configure, ("self", "parameters")),
    (rtp.HeaderExtensionsMap.set, ("self", "values")),
    (rtp.pack_header_extensions, ("extensions",)),
    (rtp.unpack_header_extensions, ("extension_profile", "extension_value")),
    (rtcrtpsender.RTCRtpSender._send_keyframe, ("self",)),
    (codecs.get_encoder, ("codec",)),
    (codecs.get_decoder, ("codec",)),
    (upstream_context, ("self", "srtp_profiles")),
    (upstream_consent, ("self",)),
    (upstream_start, ("self", "remoteParameters")),
)

# Functions that must look these names up each time, so that replacing the name is enough.
LOOK_UPS: tuple[tuple[Callable[..., object], tuple[str, ...]], ...] = (
    (codecs.get_encoder, ("H264Encoder", "Vp8Encoder")),
    (rtcrtpreceiver.RTCRtpReceiver.__init__, ("JitterBuffer",)),
    (rtcrtpreceiver.RTCRtpReceiver.receive, ("decoder_worker",)),
    (rtcrtpsender.RTCRtpSender.__init__, ("HeaderExtensionsMap",)),
    (
        rtcrtpsender.RTCRtpSender._next_encoded_frame,
        ("get_encoder", "run_in_executor", "encode", "pack"),
    ),
    (rtcrtpsender.RTCRtpSender._handle_rtcp_packet, ("target_bitrate", "_send_keyframe")),
    (jitterbuffer.JitterBuffer.add, ("_remove_frame",)),
    (H264Encoder.encode, ("_encode_frame", "_packetize")),
    (H264Encoder.pack, ("_split_bitstream", "_packetize", "pts", "time_base")),
    (Vp8Encoder.encode, ("codec", "bit_rate", "target_bitrate")),
    (RTCDtlsTransport.start, ("_create_ssl_context", "Connection")),
    (upstream_context, ("set_cipher_list", "Context")),
    (Connection.connect, ("query_consent",)),
    (RTCSctpTransport._data_channel_flush, ("_data_channel_queue", "_outbound_queue")),
    (RTCSctpTransport._transmit, ("_outbound_queue", "_sent_queue")),
    (Connection.close, ("_closing",)),
)

FIELDS: tuple[tuple[Callable[[], object], tuple[str, ...]], ...] = (
    (lambda: JitterBuffer(capacity=1), ("_capacity", "_origin", "_packets", "_is_video")),
    (Vp8Encoder, ("codec", "picture_id")),
    (lambda: Connection(ice_controlling=False), ("_closing",)),
)


def check_aiortc() -> None:
    """Raise ServerError where the installed aiortc is not one that this package knows."""
    version = aiortc.__version__
    if not version.startswith(tuple(f"{known}." for known in KNOWN_VERSIONS)):
        known = ", ".join(KNOWN_VERSIONS)
        raise ServerError(f"aiortc {version}: its insides are known for {known}; install one")
    surprises = [*_wrong_parameters(), *_missing_look_ups(), *_missing_fields()]
    if surprises:
        raise ServerError(f"aiortc {version} is not as it was: {'; '.join(surprises)}")


def _wrong_parameters() -> list[str]:
    return [
        f"{function.__qualname__} takes {', '.join(inspect.signature(function).parameters)}"
        for function, expected in PARAMETERS
        if tuple(inspect.signature(function).parameters) != expected
    ]


def _missing_look_ups() -> list[str]:
    return [
        f"{function.__qualname__} does not use {name}"
        for function, names in LOOK_UPS
        for name in names
        if not isinstance(function, FunctionType) or name not in function.__code__.co_names
    ]


def _missing_fields() -> list[str]:
    return [
        f"{type(made).__qualname__} has no {name}"
        for made, names in ((make(), names) for make, names in FIELDS)
        for name in names
        if name not in vars(made)
    ]
