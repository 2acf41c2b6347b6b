"""The WHEP client against a small server of aiortc's: pictures, ends, refusals, second attempts."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from functools import partial

import h11
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from av.video.frame import VideoFrame

from server.aiortc_tuning import Tuning, install, uninstall
from server.whep_client import Patience, newest_stream, view, watch, whep_url
from server.whep_http import Http, Refused, Unavailable
from streamgen.cli.vcam import show
from streamgen.errors import SinkError
from streamgen.sinks.virtual_camera import CameraOptions, VirtualCamera
from streamgen.sources.geometry import Size

SIZE = (64, 48)


@pytest.fixture(autouse=True)
def tuned():
    install(Tuning())
    yield
    uninstall()


def run(test):
    async def limited():
        async with asyncio.timeout(60):
            await test

    asyncio.run(limited())


def picture(level: int, size: tuple[int, int] = SIZE) -> VideoFrame:
    """A slope of grey whose middle has this level."""
    width, height = size
    made = np.full((height * 3 // 2, width), 128, np.uint8)
    made[:height] = np.clip(level + np.arange(width) - width // 2, 16, 235)
    return VideoFrame.from_ndarray(made, format="yuv420p")


class Film(MediaStreamTrack):
    """Shows the pictures that it is given, and each again until there is another."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.picture = picture(100)
        self.count = 0

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(0.02)
        self.count += 1
        shown = VideoFrame.from_ndarray(self.picture.to_ndarray(), format="yuv420p")
        shown.pts, shown.time_base = 1800 * self.count, Fraction(1, 90_000)
        return shown


class Server:
    """Answers WHEP with a film; `first` are answers that are given before.

    asked: method, path and token of every request.
    """

    def __init__(self) -> None:
        self.film: MediaStreamTrack = Film()
        self.first: list[tuple[int, dict[str, str], str]] = []
        self.streams: object = []
        self.asked: list[tuple[str, str, str]] = []
        self.offers: list[str] = []
        self.peers: list[RTCPeerConnection] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/whep/show"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, body, request = h11.Connection(h11.SERVER), b"", None
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
        token = dict(request.headers).get(b"authorization", b"").decode()
        method, path = request.method.decode(), request.target.decode()
        self.asked.append((method, path, token))
        status, headers, text = await self.answer(method, path, body.decode())
        headers |= {"Content-Length": str(len(text)), "Connection": "close"}
        for part in (
            h11.Response(status_code=status, headers=list(headers.items())),
            h11.Data(data=text.encode()),
            h11.EndOfMessage(),
        ):
            writer.write(connection.send(part))
        writer.close()

    async def answer(self, method: str, path: str, body: str) -> tuple[int, dict[str, str], str]:
        if self.first:
            return self.first.pop(0)
        if path == "/v1/streams":
            return 200, {}, json.dumps({"streams": self.streams})
        if method == "DELETE":
            await self.end()
            return 200, {}, ""
        self.offers.append(body)
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peers.append(peer)
        await peer.setRemoteDescription(RTCSessionDescription(sdp=body, type="offer"))
        peer.addTrack(self.film)
        await peer.setLocalDescription(await peer.createAnswer())
        headers = {"Location": f"/whep/show/{len(self.peers)}", "Content-Type": "application/sdp"}
        return 201, headers, peer.localDescription.sdp

    async def end(self) -> None:
        while self.peers:
            await self.peers.pop().close()


@asynccontextmanager
async def serving():
    made = Server()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        async with server:
            yield made
    finally:
        await made.end()


class Eye:
    """Takes pictures, and lets a test wait for one."""

    def __init__(self) -> None:
        self.seen: list[VideoFrame] = []
        self.has_more = asyncio.Event()

    def take(self, shown: VideoFrame) -> None:
        self.seen.append(shown)
        self.has_more.set()

    async def until(self, is_so: Callable[[VideoFrame], bool]) -> VideoFrame:
        while not (self.seen and is_so(self.seen[-1])):
            self.has_more.clear()
            await self.has_more.wait()
        return self.seen[-1]


def middle(shown: VideoFrame) -> int:
    return int(shown.to_ndarray()[shown.height // 2, shown.width // 2])


@asynccontextmanager
async def during(work):
    """Have something go on meanwhile; cancelled at the end, which must be quick."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def found(url: str) -> str:
    return url


def test_pictures_come_as_they_were_sent():
    async def test():
        async with serving() as server:
            eye, said = Eye(), []
            watching = view(Http(token="t"), server.url, eye.take, say=said.append, stall_s=30)
            async with during(watching):
                for level in (60, 180):
                    server.film.picture = picture(level)
                    await eye.until(lambda shown: abs(middle(shown) - level) <= 3)  # noqa: B023
                    sent = server.film.picture.to_ndarray().astype(int)
                    off = np.abs(eye.seen[-1].to_ndarray().astype(int) - sent)
                    assert off.mean() < 3
                assert eye.seen[-1].colorspace == 6
            assert said == ["The stream is there, 64x48."]
            assert server.asked == [
                ("POST", "/whep/show", "Bearer t"),
                ("DELETE", "/whep/show/1", "Bearer t"),
            ]

    run(test())


def test_only_h264_is_offered_and_nothing_is_sent():
    async def test():
        async with serving() as server:
            eye = Eye()
            async with during(view(Http(), server.url, eye.take, say=print, stall_s=30)):
                await eye.until(lambda shown: True)
            (offer,) = server.offers
            assert "H264/90000" in offer and "VP8" not in offer
            assert "a=recvonly" in offer and "a=candidate" in offer

    run(test())


def test_nothing_is_left_behind():
    async def test():
        async with serving() as server:
            before = len(asyncio.all_tasks())
            for _ in range(2):
                eye = Eye()
                async with during(view(Http(), server.url, eye.take, say=print, stall_s=30)):
                    await eye.until(lambda shown: True)
            # The server's own last handler may still be closing its socket.
            assert len(asyncio.all_tasks()) <= before + 1
            assert "video-decoder" not in [each.name for each in threading.enumerate()]

    run(test())


def test_a_stream_that_ends_is_found_again():
    async def test():
        async with serving() as server:
            eye, said, pauses = Eye(), [], []

            async def pause(seconds: float) -> None:
                pauses.append(seconds)
                server.film = Film()
                server.film.picture = picture(180)

            patience = Patience(pause=pause)
            watching = watch(
                Http(), lambda: found(server.url), eye.take, say=said.append, patience=patience
            )
            async with during(watching):
                await eye.until(lambda shown: abs(middle(shown) - 100) <= 3)
                await server.end()
                await eye.until(lambda shown: abs(middle(shown) - 180) <= 3)
            assert pauses == [1.0]
            assert said == [
                "The stream is there, 64x48.",
                "The stream has ended. It is tried again until it works.",
                "The stream is there, 64x48.",
            ]

    run(test())


def test_a_stream_that_is_not_there_yet_is_waited_for_ever_more_patiently():
    async def test():
        async with serving() as server:
            eye, said, pauses = Eye(), [], []

            async def pause(seconds: float) -> None:
                pauses.append(seconds)

            says = json.dumps({"error": "unknown-stream", "says": "No stream is called show."})
            server.first = [(409, {"Retry-After": "2"}, says)] * 6
            server.first += [(503, {"Retry-After": "9000"}, "")]
            patience = Patience(pause=pause)
            watching = watch(
                Http(), lambda: found(server.url), eye.take, say=said.append, patience=patience
            )
            async with during(watching):
                await eye.until(lambda shown: True)
            assert pauses == [2, 2, 4, 8, 10, 10, 60]
            assert len(said) == 3
            assert "answers 409 (No stream is called show). It is tried again" in said[0]

    run(test())


def test_a_wrong_token_ends_it():
    async def test():
        async with serving() as server:
            server.first = [(401, {}, "")]
            with pytest.raises(Refused, match="answers 401: give a token that may view it"):
                await watch(Http(), lambda: found(server.url), Eye().take, say=print)
            assert len(server.asked) == 1

    run(test())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, {}, "hello"), "answers 200 instead of 201: is it the WHEP address"),
        ((201, {"Location": "/whep/show/1"}, "v=0"), "gives an answer that cannot be used"),
        ((405, {}, ""), "answers 405"),
    ],
)
def test_what_is_no_whep_server_is_told(answer, words):
    async def test():
        async with serving() as server:
            server.first = [answer]
            with pytest.raises(Refused, match=words):
                await view(Http(), server.url, Eye().take, say=print, stall_s=30)

    run(test())


def test_the_token_is_not_told_to_another_server():
    async def test():
        async with serving() as server, serving() as other:
            answer = server.answer

            async def moved(method: str, path: str, body: str):
                status, headers, text = await answer(method, path, body)
                return status, headers | {"Location": f"{other.url}/1"}, text

            server.answer = moved
            eye = Eye()
            async with during(view(Http(token="t"), server.url, eye.take, say=print, stall_s=30)):
                await eye.until(lambda shown: True)
            assert other.asked == []

    run(test())


def test_silence_is_taken_for_an_end():
    class Silent(Film):
        async def recv(self) -> VideoFrame:
            if self.count < 1:
                return await super().recv()
            await asyncio.Event().wait()
            raise AssertionError("nobody waits for so long")

    async def test():
        async with serving() as server:
            server.film = Silent()
            with pytest.raises(Unavailable, match="no picture came for 1 s"):
                await view(Http(), server.url, Eye().take, say=print, stall_s=1)
            assert server.asked[-1][0] == "DELETE"

    run(test())


def test_the_newest_stream_that_runs_is_taken():
    async def test():
        async with serving() as server:
            base = f"http://127.0.0.1:{server.port}"
            for states, name in (
                ((("old", "running"), ("new", "resting"), ("gone", "failed")), "new"),
                ((("only", "loading"),), "only"),
            ):
                server.streams = [{"name": name, "state": state} for name, state in states]
                assert await newest_stream(Http(), base) == f"{base}/whep/{name}"
            server.streams = [{"name": "gone", "state": "lost"}]
            with pytest.raises(Unavailable, match="no stream runs at 127.0.0.1"):
                await newest_stream(Http(), base)
            server.streams = [{"title": "of a film"}]
            with pytest.raises(Refused, match="gives no list of streams"):
                await newest_stream(Http(), base)
            server.first = [(401, {}, "")]
            with pytest.raises(Refused, match="answers 401"):
                await newest_stream(Http(), base)

    run(test())


class Screen:
    """What a virtual camera is to those who show pictures; notes the level in the middle."""

    device = "screen"

    def __init__(self, size: Size, options: CameraOptions) -> None:
        self.size, self.fps = size, options.fps
        self.levels: list[int] = []
        self.is_open = True
        self.is_bright = threading.Event()

    def send(self, frame: np.ndarray) -> None:
        picture = frame.reshape(-1, self.size.width)
        self.levels.append(int(picture[self.size.height // 2, self.size.width // 2]))
        if self.levels[-1] > 170:
            self.is_bright.set()

    def close(self) -> None:
        self.is_open = False


def test_a_virtual_camera_shows_what_is_sent_and_follows_its_size():
    screens: list[Screen] = []

    def open_screen(size: Size, options: CameraOptions) -> Screen:
        screens.append(Screen(size, options))
        return screens[-1]

    async def test():
        async with serving() as server:
            said = []
            camera = VirtualCamera(CameraOptions(fps=50), say=said.append, open_device=open_screen)
            find = partial(found, server.url)
            async with during(show(Http(), find, camera, fps=50, say=said.append)):
                while not screens:
                    await asyncio.sleep(0.005)
                server.film.picture = picture(180)
                assert await asyncio.to_thread(screens[0].is_bright.wait, 30)
                server.film.picture = picture(180, (96, 96))
                while len(screens) < 2:
                    await asyncio.sleep(0.005)
                assert await asyncio.to_thread(screens[1].is_bright.wait, 30)
            assert [(each.size, each.is_open) for each in screens] == [
                (Size(64, 48), False),
                (Size(96, 96), False),
            ]
            assert abs(screens[0].levels[0] - 100) <= 3
            assert abs(screens[1].levels[-1] - 180) <= 3
            assert said == [
                "The stream is there, 64x48.",
                "The virtual camera screen shows pictures of 64x48.",
                "The virtual camera screen shows pictures of 96x96.",
            ]

    run(test())


def test_a_camera_that_fails_ends_the_watching():
    def refuse(size: Size, options: CameraOptions) -> Screen:
        raise SinkError("virtual camera: there is none")

    async def test():
        async with serving() as server:
            camera = VirtualCamera(CameraOptions(), say=print, open_device=refuse)
            with pytest.raises(SinkError, match="there is none"):
                await show(Http(), partial(found, server.url), camera, fps=50, say=print)
            assert server.asked[-1][0] == "DELETE"

    run(test())


def test_a_name_is_a_part_of_an_address():
    assert whep_url("http://x:1/", "show") == "http://x:1/whep/show"
    assert whep_url("http://x:1", "../v1") == "http://x:1/whep/..%2Fv1"
