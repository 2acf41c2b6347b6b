"""GStreamer as a publisher: a moving ball by WHIP, until stdin ends, and DELETE then.

    /usr/bin/python3 tests/end_to_end/gstreamer_whip.py URL
    /usr/bin/python3 tests/end_to_end/gstreamer_whip.py --check

ICE, DTLS, SRTP and the encoder are GStreamer's (webrtcbin, x264enc); only HTTP is done here. Knows
nothing of ours, and runs with the system's Python. Debian has it all: apt-get install python3-gi
gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice gstreamer1.0-plugins-{base,good,bad,ugly}
"""

from __future__ import annotations

import sys
import urllib.request
from threading import Thread
from typing import Any
from urllib.parse import urljoin

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")

from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

NEEDED = ("videotestsrc", "x264enc", "rtph264pay", "webrtcbin", "nicesrc", "dtlsenc", "srtpenc")
PIPELINE = """
    videotestsrc is-live=true pattern=ball background-color=0xff3060a0
    ! video/x-raw,format=I420,width=320,height=240,framerate=15/1
    ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 bitrate=1000
    ! video/x-h264,profile=constrained-baseline
    ! rtph264pay config-interval=-1 aggregate-mode=zero-latency
    ! application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000
    ! webrtcbin name=peer bundle-policy=max-bundle
"""
SDP = "application/sdp"


class Publisher:
    """One stream to one WHIP endpoint."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._location: str | None = None
        self.trouble: str | None = None
        self._loop = GLib.MainLoop()
        self._pipeline = Gst.parse_launch(PIPELINE)
        self._peer = self._pipeline.get_by_name("peer")
        sending = GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY
        self._peer.emit("get-transceiver", 0).set_property("direction", sending)
        self._peer.connect("on-negotiation-needed", self._offer)
        self._peer.connect("notify::ice-gathering-state", self._look_at_gathering)
        bus = self._pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, message: self._fail(message.parse_error()))

    def run(self) -> None:
        """Publish until stdin ends, or something goes wrong."""
        Thread(target=self._wait_for_the_end, daemon=True).start()
        self._pipeline.set_state(Gst.State.PLAYING)
        try:
            self._loop.run()
            if self._location is not None:
                self._request("DELETE", self._location)
        finally:
            self._pipeline.set_state(Gst.State.NULL)

    def _wait_for_the_end(self) -> None:
        sys.stdin.read()
        GLib.idle_add(self._loop.quit)

    def _offer(self, peer: Any) -> None:
        peer.emit("create-offer", None, Gst.Promise.new_with_change_func(self._take_offer))

    def _take_offer(self, promise: Any) -> None:
        # The description is the reply's, and goes with it.
        reply = promise.get_reply()
        self._peer.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def _look_at_gathering(self, peer: Any, _: object) -> None:
        if peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self._agree)

    def _agree(self) -> bool:
        """Exchange the descriptions; all candidates are in the offer."""
        if self._location is not None:
            return False
        offer = self._peer.get_property("local-description").sdp.as_text()
        try:
            self._location, text = self._request("POST", self._url, offer)
        except OSError as error:
            self._fail(error)
            return False
        _, answer = GstSdp.SDPMessage.new_from_text(text)
        described = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, answer)
        self._peer.emit("set-remote-description", described, Gst.Promise.new())
        return False

    def _request(self, method: str, url: str, body: str | None = None) -> tuple[str, str]:
        data = None if body is None else body.encode()
        request = urllib.request.Request(url, data, {"Content-Type": SDP}, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            sys.stdout.write(f"{method} {response.status}\n")
            sys.stdout.flush()
            return urljoin(url, response.headers["Location"] or ""), response.read().decode()

    def _fail(self, error: object) -> None:
        self.trouble = str(error)
        self._loop.quit()


def missing() -> list[str]:
    """Return the elements that are not installed."""
    return [name for name in NEEDED if Gst.ElementFactory.find(name) is None]


if __name__ == "__main__":
    Gst.init(None)
    if absent := missing():
        sys.exit(f"GStreamer has no {', '.join(absent)}")
    if sys.argv[1] != "--check":
        publisher = Publisher(sys.argv[1])
        publisher.run()
        sys.exit(publisher.trouble)
