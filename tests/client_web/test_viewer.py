"""The page for OBS: the picture alone on nothing, and back by itself whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

#: What a browser says of requests that a test made fail.
FAILED = "Failed to load resource"
#: How clear the page is in its middle: 0 lets through all that is behind.
ALPHA = """() => {
  const [html, body] = [document.documentElement, document.body];
  return [html, body].map((one) => getComputedStyle(one).backgroundColor);
}"""
CLEAR = ["rgba(0, 0, 0, 0)"] * 2

View = Callable[..., Any]


@pytest.fixture
def view(browser: Any, echo: Any) -> Iterator[View]:
    """Return what opens the viewer; its console must stay clean but for what was refused."""
    context = browser.new_context(viewport={"width": 640, "height": 360})
    context.set_default_timeout(20_000)
    troubles: list[str] = []

    def open_viewer(address: str = "viewer#stream=studio&debug") -> Any:
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: said.type == "error" and troubles.append(said.text))
        page.goto(echo.url + address)
        return page

    yield open_viewer
    context.close()
    assert [trouble for trouble in troubles if FAILED not in trouble] == []


def until(page: Any, is_so: Callable[[], object]) -> None:
    for _ in range(400):
        if is_so():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came to be so")


def watched(echo: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = echo.state["watched"]
    return found


@contextmanager
def without_picture(echo: Any) -> Iterator[None]:
    echo.force(has_picture=False)
    yield
    echo.force(has_picture=True)


def test_the_picture_is_shown_moving_without_a_click_and_with_nothing_around_it(
    view: View, echo: Any
) -> None:
    page = view("viewer?stream=Studio")
    page.wait_for_selector("[data-has=picture] video")

    video = page.locator("video")
    assert page.evaluate(ALPHA) == CLEAR
    assert not page.locator("#words").is_visible()
    assert video.evaluate("one => [one.muted, one.paused, one.videoWidth]") == [True, False, 256]
    assert video.evaluate("one => getComputedStyle(one).objectFit") == "contain"
    box = video.bounding_box()
    assert (box["width"], box["height"]) == (640, 360)
    before = video.evaluate("one => one.currentTime")
    until(page, lambda: video.evaluate("one => one.currentTime") > before)
    assert [one["kind"] for one in watched(echo)] == ["whep"]


def test_it_fills_the_source_where_that_is_asked_for(view: View) -> None:
    page = view("viewer#stream=studio&fit=cover")

    assert page.locator("video").evaluate("one => getComputedStyle(one).objectFit") == "cover"


def test_until_there_is_a_picture_nothing_at_all_is_shown(view: View, echo: Any) -> None:
    with without_picture(echo):
        page = view("viewer#stream=studio")
        page.wait_for_selector("[data-state=live]")

        assert not page.locator("video").is_visible()
        assert not page.locator("#words").is_visible()
        clear = page.screenshot(omit_background=True)
    page.wait_for_selector("[data-has=picture] video")
    assert page.screenshot(omit_background=True) != clear


def test_addresses_follow_the_offer_under_its_tag(view: View, echo: Any) -> None:
    page = view()
    page.wait_for_selector("[data-has=picture]")
    until(page, lambda: watched(echo)[0]["patches"])

    fragment = watched(echo)[0]["patches"][0]
    names = [line.partition(":")[0] for line in fragment.splitlines()]
    assert names[0] == "a=ice-ufrag"
    assert names[1] == "a=ice-pwd"
    assert names[2].startswith("m=video")
    assert names[3] == "a=mid"
    assert set(names[4:]) == {"a=candidate"}


def test_a_lost_stream_leaves_nothing_behind_and_comes_back(view: View, echo: Any) -> None:
    page = view()
    page.wait_for_selector("[data-has=picture]")
    (first,) = watched(echo)
    echo.force(running=[], drop=True)
    page.wait_for_selector("[data-state=lost]")

    assert not page.locator("video").is_visible()
    page.wait_for_selector("#words:has-text('There is no such stream.')")
    echo.force(running=["studio"])
    page.wait_for_selector("[data-has=picture]")
    (second,) = watched(echo)
    assert second["id"] != first["id"]


def test_it_tries_again_at_once_when_the_network_is_back(view: View, echo: Any) -> None:
    echo.force(running=[])
    page = view()
    page.wait_for_selector("[data-state=lost]")
    echo.force(running=["studio"])
    page.evaluate("window.dispatchEvent(new Event('online'))")

    page.wait_for_selector("[data-has=picture]")


def test_who_goes_away_gives_the_place_back(view: View, echo: Any) -> None:
    page = view()
    page.wait_for_selector("[data-has=picture]")
    page.goto("about:blank")

    until(page, lambda: watched(echo) == [])


def test_the_token_of_the_fragment_goes_to_the_server_and_that_of_the_query_does_not(
    view: View, echo: Any
) -> None:
    page = view("viewer#stream=studio&token=a-pass")
    with page.expect_request("**/whep/studio") as asked:
        page.reload()
    assert asked.value.headers["authorization"] == "Bearer a-pass"
    with page.expect_request("**/whep/studio") as asked:
        page.goto(f"{echo.url}viewer?stream=studio&token=a-pass")
    assert "authorization" not in asked.value.headers


def test_without_a_name_it_says_what_is_missing(view: View) -> None:
    page = view("viewer")

    page.wait_for_selector("#words:has-text('Add #stream=NAME')")


@pytest.mark.parametrize(
    ("link", "servers"),
    [
        (None, []),
        ('<stun:a.test:3478>; rel="ice-server"', [{"urls": "stun:a.test:3478"}]),
        (
            '<turn:a.test?transport=udp>; rel=ice-server; username="1:x"; credential="a=/,;b";'
            ' credential-type="password", </docs>; rel="help"',
            [{"urls": "turn:a.test?transport=udp", "username": "1:x", "credential": "a=/,;b"}],
        ),
    ],
)
def test_ice_servers_are_read_from_the_links_of_the_answer(
    view: View, link: str | None, servers: list[dict[str, str]]
) -> None:
    page = view("viewer")
    read = "async link => (await import('/whep.js')).iceServersOf(link)"

    assert page.evaluate(read, link) == servers
