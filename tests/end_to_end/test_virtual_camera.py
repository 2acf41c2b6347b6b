"""From a publisher through a real server to a virtual camera, with a sheet of paper as the device.

The real program, which has no device in most places, is started beside the server meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from av.video.frame import VideoFrame

from server.aiortc_tuning import Tuning, install, uninstall
from server.whep_client import newest_stream
from server.whep_http import Http
from streamgen.cli.vcam import show
from streamgen.sinks.virtual_camera import CameraOptions, VirtualCamera
from streamgen.sources.geometry import Size

pytestmark = pytest.mark.slow

WORKER = ("--debug-worker", "streamgen.passthrough:make_passthrough_worker")
RED, BLUE = (81, 90, 240), (41, 240, 110)
WAIT_S = 60


@pytest.fixture(autouse=True)
def tuned() -> Any:
    install(Tuning())
    yield
    uninstall()


class Film(MediaStreamTrack):
    """Shows one colour, Y, U and V, until it is told another one."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.colour = RED
        self.count = 0

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(1 / 30)
        self.count += 1
        picture = VideoFrame(256, 256, "yuv420p")
        for plane, level in zip(picture.planes, self.colour, strict=True):
            plane.update(bytes([level]) * plane.buffer_size)
        picture.pts, picture.time_base = 3000 * self.count, Fraction(1, 90_000)
        return picture


class Paper:
    """A device on which the colour in the middle is read."""

    device = "paper"

    def __init__(self, size: Size, options: CameraOptions) -> None:
        self.size = size
        self.is_open = True
        self.seen: list[tuple[int, int, int]] = []
        self.changed = threading.Condition()

    def send(self, frame: Any) -> None:
        area = self.size.width * self.size.height
        y, u, v = np.split(frame, [area, area + area // 4])
        middle = (area + self.size.width) // 2
        with self.changed:
            chroma = middle // 4
            self.seen.append((int(y[middle]), int(u[chroma]), int(v[chroma])))
            self.changed.notify_all()

    def close(self) -> None:
        self.is_open = False

    def wait_for(self, colour: tuple[int, int, int]) -> bool:
        def is_seen() -> bool:
            return bool(self.seen) and np.abs(np.subtract(self.seen[-1], colour)).max() <= 3

        with self.changed:
            return self.changed.wait_for(is_seen, WAIT_S)


async def publish(http: Http, url: str, film: Film) -> RTCPeerConnection:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    known = RTCRtpSender.getCapabilities("video").codecs
    peer.addTransceiver(film, "sendonly").setCodecPreferences(
        [each for each in known if each.name in ("H264", "rtx")]
    )
    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp
    reply = await http.ask("POST", url, body=offer, kind="application/sdp")
    assert reply.status == 201, reply.body
    await peer.setRemoteDescription(RTCSessionDescription(sdp=reply.body, type="answer"))
    return peer


async def shown(url: str) -> tuple[list[Paper], list[str]]:
    """Publish red, then blue; return the devices on which it was seen, and what was said."""
    http, film = Http(), Film()
    devices: list[Paper] = []
    said: list[str] = []
    has_one = threading.Event()

    def open_device(size: Size, options: CameraOptions) -> Paper:
        devices.append(Paper(size, options))
        has_one.set()
        return devices[-1]

    camera = VirtualCamera(CameraOptions(), say=said.append, open_device=open_device)
    find = partial(newest_stream, http, url)
    showing = asyncio.create_task(show(http, find, camera, fps=30, say=said.append))
    publisher = await publish(http, f"{url}whip/stage", film)
    try:
        for film.colour in (RED, BLUE):
            assert await asyncio.to_thread(has_one.wait, WAIT_S)
            assert await asyncio.to_thread(devices[0].wait_for, film.colour)
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        await publisher.close()
    return devices, said


def test_what_is_published_is_seen_on_the_virtual_camera(serve: Any) -> None:
    with serve(*WORKER, "--virtual-camera") as served:
        devices, said = asyncio.run(shown(served.url))
        log = served.log.read_text()

    assert [(str(each.size), each.is_open) for each in devices] == [("256x256", False)]
    assert said[-2:] == [
        "The stream is there, 256x256.",
        "The virtual camera paper shows pictures of 256x256.",
    ]
    assert "vcam: " in log
