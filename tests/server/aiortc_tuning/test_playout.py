"""Pictures are shown at once where a browser agrees to it, and sent as before where it does not."""

from __future__ import annotations

from aiortc.codecs import HEADER_EXTENSIONS
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensions, HeaderExtensionsMap, unpack_header_extensions

from server.aiortc_tuning import Tuning, install, uninstall
from server.aiortc_tuning.playout import EXTENSION, URI, PlayoutDelayMap

MID = RTCRtpHeaderExtensionParameters(id=1, uri="urn:ietf:params:rtp-hdrext:sdes:mid")


def agreed(*extensions: RTCRtpHeaderExtensionParameters) -> RTCRtpParameters:
    return RTCRtpParameters(headerExtensions=list(extensions))


def packed(made: HeaderExtensionsMap, values: HeaderExtensions) -> list[tuple[int, bytes]]:
    profile, value = made.set(values)
    return unpack_header_extensions(profile, value) if value else []


def test_a_packet_asks_for_no_delay_under_the_number_that_was_agreed() -> None:
    made = PlayoutDelayMap()
    made.configure(agreed(MID, RTCRtpHeaderExtensionParameters(id=9, uri=URI)))
    assert packed(made, HeaderExtensions(mid="0")) == [(1, b"0"), (9, bytes(3))]
    assert packed(made, HeaderExtensions()) == [(9, bytes(3))]


def test_a_number_of_two_bytes_is_packed_as_such() -> None:
    made = PlayoutDelayMap()
    made.configure(agreed(MID, RTCRtpHeaderExtensionParameters(id=20, uri=URI)))
    assert packed(made, HeaderExtensions(mid="0")) == [(1, b"0"), (20, bytes(3))]


def test_a_peer_that_does_not_know_it_gets_the_packets_of_aiortc() -> None:
    made, plain = PlayoutDelayMap(), HeaderExtensionsMap()
    for each in (made, plain):
        each.configure(agreed(MID))
    values = HeaderExtensions(mid="0", abs_send_time=7)
    assert made.set(values) == plain.set(values)


def test_a_packet_with_it_is_read_as_one_without() -> None:
    made = PlayoutDelayMap()
    made.configure(agreed(MID, EXTENSION))
    assert made.get(*made.set(HeaderExtensions(mid="0"))) == HeaderExtensions(mid="0")


def test_it_is_offered_once_and_can_be_switched_off() -> None:
    def offered() -> int:
        return [each.uri for each in HEADER_EXTENSIONS["video"]].count(URI)

    try:
        install(Tuning())
        install(Tuning())
        assert offered() == 1
        install(Tuning(show_at_once=False))
        assert offered() == 0
    finally:
        uninstall()
    assert offered() == 0
