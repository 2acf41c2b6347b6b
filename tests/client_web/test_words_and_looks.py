"""Words for every failure, and a page that fits, with nothing that shuts somebody out."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("arguments", "host", "says", "offers"),
    [
        (
            ["--use-fake-ui-for-media-stream=deny", "--use-fake-device-for-media-stream"],
            "localhost",
            "The browser blocked the camera for this site.",
            ["Try again", "Share screen", "Use a file"],
        ),
        (
            ["--use-fake-ui-for-media-stream"],
            "localhost",
            "No camera found.",
            ["Try again", "Share screen", "Use a file"],
        ),
        (
            ["--host-resolver-rules=MAP streamgen.test 127.0.0.1"],
            "streamgen.test",
            "Cameras work only on https or localhost.",
            ["Use a file"],
        ),
    ],
)
def test_a_camera_that_cannot_be_had_is_told_in_words(
    visit_with: Any, arguments: list[str], host: str, says: str, offers: list[str]
) -> None:
    with visit_with(arguments, host) as visitor:
        visitor.page.click("text=Start camera")
        visitor.page.wait_for_selector(".notice[role=alert]")

        assert visitor.page.locator(".notice strong").inner_text() == says
        assert visitor.page.locator(".offers span").all_inner_texts() == offers


def test_a_camera_that_is_busy_offers_to_try_again(visitor: Any) -> None:
    page = visitor.page
    page.evaluate(
        """() => {
          const first = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getUserMedia = () => {
            navigator.mediaDevices.getUserMedia = first;
            return Promise.reject(new DOMException("in use", "NotReadableError"));
          };
        }"""
    )
    page.click("text=Start camera")
    page.click(
        ".notice:has-text('Another program is using the camera.') >> button:has-text('Try again')"
    )

    page.wait_for_selector("body[data-state=live]")


TOLD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"state": "failed", "says": "The model stopped: out of memory."}, "out of memory"),
    ({"state": "restarting", "says": "The model starts again."}, "The model starts again."),
    ({"state": "running", "say": {"type": "draining", "in_s": 20}}, "The server restarts in 20 s."),
    (
        {"say": {"type": "notice", "level": "warning", "says": "No media.", "key": "no-media"}},
        "No media.",
    ),
    ({"say": {"type": "closed", "says": "The seat was given away."}}, "The seat was given away."),
)


def test_what_the_server_tells_is_shown_in_the_bar(live: Any, echo: Any) -> None:
    for forced, says in TOLD:
        echo.force(**forced)
        live.page.wait_for_selector(f".notice:has-text('{says}')")


def test_a_slow_model_offers_the_next_smaller_size(live: Any, echo: Any) -> None:
    echo.force(frame_ms=180)
    live.page.click(".notice:has-text('180 ms a frame') >> text=256 → 192")

    live.until(lambda: echo.state["visits"][0]["size"]["width"] == 192)


def test_loading_and_resting_are_said_in_words(visitor: Any, echo: Any) -> None:
    page = visitor.page
    echo.force(hold=True, state="loading")
    page.click("text=Start camera")

    page.wait_for_selector("#caption:has-text('Loading the model (first start can take a minute)')")
    assert page.locator("video[aria-label='Your picture']").first.is_visible()
    echo.force(hold=False, state="resting")
    page.wait_for_selector(".state:has-text('Nothing moves, resting.')")


def violations(page: Any) -> list[tuple[str, str]]:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    found = axe.Axe().run(page).response["violations"]
    return [
        (one["id"], one["nodes"][0]["html"])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_serious(open_page: Any, echo: Any, scheme: str) -> None:
    visitor = open_page(color_scheme=scheme, reduced_motion="reduce")
    page = visitor.page

    assert violations(page) == []
    visitor.start()
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    page.click("text=Blend in another")
    page.click(".meter")
    echo.force(state="failed", says="The model stopped.")
    page.wait_for_selector(".notice")
    assert violations(page) == []
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    assert violations(page) == []


SIZES = [(360, 640), (390, 844), (844, 390), (1024, 768), (1440, 900), (3840, 2160)]
OVERFLOW = """() => {
  const root = document.documentElement;
  const panel = document.querySelector("#panel");
  const wide = (one) => one.scrollWidth - one.clientWidth;
  return [wide(root), wide(panel)];
}"""
#: Buttons of the page that stand outside of the window, or are too small to be touched.
ASTRAY = """() => [...document.querySelectorAll("header button, footer button, .starts button")]
  .filter((one) => one.checkVisibility())
  .filter((one) => {
    const box = one.getBoundingClientRect();
    const isSmall = matchMedia("(pointer: coarse)").matches && box.height < 40;
    const isOut = box.left < 0 || box.right > innerWidth + 0.5;
    return isOut || isSmall;
  })
  .map((one) => one.textContent || one.title)"""


def test_the_page_fits_from_a_small_phone_to_a_4k_screen(open_page: Any) -> None:
    visitor = open_page(has_touch=True, is_mobile=True)
    page = visitor.page
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate(OVERFLOW) == [0, 0], width
        assert page.evaluate(ASTRAY) == [], width
    visitor.start()
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate(OVERFLOW) == [0, 0], width
        assert page.evaluate(ASTRAY) == [], width


@pytest.mark.parametrize("rights", ["control", "view"])
def test_axe_finds_nothing_serious_while_watching(open_page: Any, echo: Any, rights: str) -> None:
    echo.force(rights=rights)
    visitor = open_page("?stream=studio", reduced_motion="reduce")
    page = visitor.page
    page.wait_for_selector("body[data-state=live]")

    assert violations(page) == []
    if rights == "control":
        page.click("#layouts [title='Show in OBS']")
        assert violations(page) == []


def test_a_long_name_fits_from_a_small_phone_to_a_4k_screen(open_page: Any, echo: Any) -> None:
    name = "a" * 40
    echo.force(running=[name])
    page = open_page(f"?stream={name}", has_touch=True, is_mobile=True).page
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_selector("#layouts [title='Show in OBS']")

    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate(OVERFLOW) == [0, 0], width
        assert page.evaluate(ASTRAY) == [], width
