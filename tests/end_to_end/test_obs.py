"""OBS both ways: a publisher of its shape, viewers, a control page, and the end of all of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from threading import Thread
from typing import Any

import numpy as np
import pytest

from benchmarks.webrtc.obs import Answer, Publisher, Viewer, ask
from benchmarks.webrtc.pictures import pictures
from streamgen.sources import Size

pytestmark = pytest.mark.slow

FILM = pictures(Size(256, 256), count=8)
VIEWED = """() => {
  const video = document.querySelector("video");
  return video && video.videoWidth > 0 && video.currentTime > 0;
}"""


@pytest.fixture(scope="module")
def drawn(serve: Any) -> Iterator[Any]:
    """Return a server that redraws."""
    with serve("--max-sessions", "2") as served:
        yield served


async def names(root: str) -> list[str]:
    """Return the streams that run."""
    answer = await ask("GET", f"{root}/v1/streams")
    assert answer.status == 200, answer.body
    return [row["name"] for row in json.loads(answer.body)["streams"]]


async def prompt(root: str) -> str:
    """Return the first of what the stream is drawn with."""
    status = json.loads((await ask("GET", f"{root}/v1/streams/show")).body)
    return str(status["controls"]["prompts"][0]["text"])


def brightness_apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.mean(axis=(0, 1)) - other.mean(axis=(0, 1))).mean())


@pytest.fixture
def aside() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Return what has a loop of another thread do something: it goes on beside the browser."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="peers")
    thread.start()
    yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(120)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def publishing(root: str) -> tuple[Publisher, Answer]:
    publisher = Publisher(url=f"{root}/whip/show", film=FILM)
    return publisher, await publisher.start()


async def watching(root: str) -> tuple[list[Viewer], list[int]]:
    viewers = [Viewer(url=f"{root}/whep/show") for _ in range(2)]
    answers = [(await viewer.start()).status for viewer in viewers]
    await asyncio.gather(*(viewer.until(5) for viewer in viewers))
    return viewers, answers


async def let_go(viewer: Viewer) -> None:
    """Wait until the server has ended it."""
    await asyncio.wait_for(viewer.is_over.wait(), 60)
    await viewer.stop()


def test_obs_publishes_two_watch_a_page_steers_and_all_is_released(
    browser: Any, drawn: Any, metric: Any, aside: Any
) -> None:
    root = drawn.url.rstrip("/")
    publisher, answer = aside(publishing(root))
    assert answer.status == 201, answer.body
    assert answer.seconds < 1
    assert answer.headers["location"].startswith("/whip/show/")
    assert answer.body.startswith("v=0")
    viewers, statuses = aside(watching(root))
    assert statuses == [201, 201]
    # The film's own pictures are not what they see.
    apart = [np.abs(viewers[0].pictures[-1].astype(int) - own).mean() for own in FILM]
    assert min(apart) > 8

    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(60_000)
    viewer_page, control_page = context.new_page(), context.new_page()
    viewer_page.goto(f"{root}/viewer#stream=show")
    viewer_page.wait_for_function(VIEWED)
    control_page.goto(f"{root}/?stream=show")
    control_page.wait_for_selector("body[data-state=live]")
    before = viewers[0].pictures[-1]
    control_page.click(".style-tile:has-text('thermal')")
    for _ in range(300):
        if "thermal" in aside(prompt(root)):
            break
        control_page.wait_for_timeout(100)
    assert "thermal" in aside(prompt(root))
    aside(viewers[0].until(8))
    assert brightness_apart(viewers[0].pictures[-1], before) > 5

    assert aside(publisher.stop(root)).status == 200
    for viewer in viewers:
        aside(let_go(viewer))
    context.close()
    assert aside(names(root)) == []
    assert metric(drawn, 'streamgen_sessions{state="running"}') == 0
    assert metric(drawn, 'streamgen_seats{kind="free"}') == 2
    assert metric(drawn, "streamgen_viewers") == 0
