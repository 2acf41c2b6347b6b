"""Publishers that others wrote, with an ICE, DTLS and encoder of their own; see server/OBS.md."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import av
import numpy as np
import pytest
import trustme

from benchmarks.webrtc.obs import Viewer, ask
from benchmarks.webrtc.pictures import pictures
from streamgen.frame import Pixels
from streamgen.sources import Size

pytestmark = pytest.mark.slow

FILM = pictures(Size(256, 256), count=8)
#: GStreamer's bindings are the system's, and not to be had from PyPI.
SYSTEM_PYTHON = "/usr/bin/python3"
GSTREAMER = Path(__file__).with_name("gstreamer_whip.py")


@pytest.fixture(scope="module")
def gstreamer() -> tuple[str, str]:
    """Return the command of a publisher by GStreamer, where that is installed."""
    command = (SYSTEM_PYTHON, str(GSTREAMER))
    if sys.platform != "linux" or not Path(SYSTEM_PYTHON).exists():
        pytest.skip(f"there is no {SYSTEM_PYTHON}")
    tried = subprocess.run(
        [*command, "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    if tried.returncode:
        pytest.skip((tried.stderr.strip().splitlines() or ["it does not start"])[-1])
    return command


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, str]:
    """Return FFmpeg's options for a certificate over P-256."""
    # Its own, by GnuTLS, is over P-224, which OpenSSL takes from nobody any more.
    made = trustme.CA().issue_cert("ffmpeg.example")
    paths = {"cert_file": tmp_path / "cert.pem", "key_file": tmp_path / "key.pem"}
    made.cert_chain_pems[0].write_to_path(paths["cert_file"])
    made.private_key_pem.write_to_path(paths["key_file"])
    return {option: str(path) for option, path in paths.items()}


async def see(
    root: str, name: str, publishing: asyncio.Future[Any], leave: Callable[[], object]
) -> list[Pixels]:
    """Return ten pictures of a stream that is being published; it has left then."""
    viewer = Viewer(url=f"{root}/whep/{name}")
    try:
        async with asyncio.timeout(60):
            while (await ask("GET", f"{root}/v1/streams/{name}")).status != 200:
                assert not publishing.done(), publishing.result()
                await asyncio.sleep(0.1)
        assert (await viewer.start()).status == 201
        await viewer.until(10)
        leave()
        await asyncio.wait_for(publishing, 60)
        await asyncio.wait_for(viewer.is_over.wait(), 60)
    finally:
        leave()
        await viewer.stop()
    assert (await ask("GET", f"{root}/v1/streams/{name}")).status == 404
    return viewer.pictures


def test_gstreamer_publishes(passthrough: Any, gstreamer: tuple[str, str]) -> None:
    root = passthrough.url.rstrip("/")

    async def watch() -> tuple[list[Pixels], str]:
        process = await asyncio.create_subprocess_exec(
            *gstreamer,
            f"{root}/whip/gstreamer",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdin is not None and process.stdout is not None
        saying = asyncio.ensure_future(process.stdout.read())
        seen = await see(root, "gstreamer", saying, process.stdin.close)
        said = (await saying).decode()
        assert await asyncio.wait_for(process.wait(), 60) == 0, said
        return seen, said

    seen, said = asyncio.run(watch())

    assert "POST 201" in said
    assert "DELETE 200" in said
    # A white ball before a colour, and it moves.
    assert all(picture.max() > 200 and picture.std() > 10 for picture in seen)
    assert np.abs(seen[-1].astype(int) - seen[0]).mean() > 1


def test_ffmpeg_publishes_by_its_own_whip(passthrough: Any, certificate: dict[str, str]) -> None:
    """FFmpeg 8 has a WHIP muxer, which PyAV brings along."""
    root, is_over = passthrough.url.rstrip("/"), Event()

    async def watch() -> list[Pixels]:
        url = f"{root}/whip/ffmpeg"
        publishing = asyncio.ensure_future(asyncio.to_thread(publish, url, certificate, is_over))
        return await see(root, "ffmpeg", publishing, is_over.set)

    for picture in asyncio.run(watch()):
        apart = [np.abs(picture.astype(int) - one).mean() for one in FILM]
        assert min(apart) < 15


def publish(url: str, options: dict[str, str], is_over: Event) -> None:
    """Stream the film by FFmpeg until it was seen."""
    with av.open(url, "w", format="whip", options=options) as whip:
        stream = whip.add_stream("libx264", rate=15)
        stream.width = stream.height = 256
        stream.pix_fmt = "yuv420p"
        stream.codec_context.options = {"preset": "ultrafast", "tune": "zerolatency", "bf": "0"}
        stream.codec_context.profile = "Baseline"
        stream.codec_context.gop_size = 15
        for index in range(15 * 120):
            pixels = np.ascontiguousarray(FILM[index % len(FILM)])
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts = index
            for packet in stream.encode(picture):
                whip.mux(packet)
            if is_over.wait(1 / 15):
                return
    raise AssertionError("nobody saw it")
