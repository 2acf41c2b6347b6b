"""A page that watches a stream which runs already: no camera, and controls where it may steer."""

from __future__ import annotations

from typing import Any

import pytest

OUTPUT = ".output video:nth-of-type(2)"


def watch(open_page: Any, address: str = "?stream=Studio") -> Any:
    visitor = open_page(address)
    visitor.page.wait_for_selector("body[data-state=live]")
    return visitor


def guests(echo: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = echo.state["watched"]
    return found


def test_it_shows_the_stream_at_once_and_asks_for_no_camera(open_page: Any, echo: Any) -> None:
    visitor = watch(open_page)
    page = visitor.page

    assert page.locator("#sources").inner_text().startswith("Watching studio")
    assert not page.locator(".tile.input").is_visible()
    assert page.locator("#sources button").all_inner_texts() == ["Leave"]
    assert page.locator(OUTPUT).evaluate("one => [one.videoWidth, one.paused]") == [256, False]
    assert [one["kind"] for one in guests(echo)] == ["page"]
    assert echo.state["visits"] == []


def test_who_may_steer_changes_the_stream_and_is_answered(open_page: Any, echo: Any) -> None:
    page = (visitor := watch(open_page)).page
    page.click(".style-tile:has-text('charcoal')")
    visitor.until(lambda: guests(echo)[0]["controls"]["prompts"][0]["text"] == "charcoal")
    page.keyboard.press("f")

    visitor.until(lambda: guests(echo)[0]["output"] == "freeze")
    page.wait_for_selector(".style-tile:has-text('charcoal') input:checked", state="attached")


def test_the_controls_of_a_stream_are_not_taken_home(open_page: Any, echo: Any) -> None:
    visitor = watch(open_page)
    visitor.page.click(".style-tile:has-text('charcoal')")
    visitor.until(lambda: guests(echo)[0]["controls"]["prompts"][0]["text"] == "charcoal")
    visitor.page.goto(echo.url)

    visitor.page.wait_for_selector(
        ".style-tile:has-text('watercolor') input:checked", state="attached"
    )


def test_who_may_only_look_sees_the_controls_and_cannot_change_them(
    open_page: Any, echo: Any
) -> None:
    echo.force(rights="view")
    page = watch(open_page).page

    page.wait_for_selector(".read-only:has-text('You watch with this link.')")
    assert page.locator("textarea").is_disabled()
    assert page.locator("#panel input:not(:disabled)").count() == 0
    assert page.locator("[data-action]:visible").evaluate_all(
        "all => all.map((one) => one.dataset.action)"
    ) == ["record", "snapshot"]
    page.keyboard.press("Escape")
    page.wait_for_selector(".notice:has-text('It does not let you change anything.')")
    # It is told how the stream is doing without data channels.
    page.wait_for_selector(".facts:has-text('tiny · 256 × 256 · openvino · bf16')")
    assert not page.locator("#layouts >> [title='Show in OBS']").is_visible()
    assert guests(echo)[0]["output"] == "live"


def test_leaving_gives_the_place_back_and_the_page_can_come_again(
    open_page: Any, echo: Any
) -> None:
    page = (visitor := watch(open_page)).page
    page.click("#sources >> text=Leave")
    visitor.until(lambda: guests(echo) == [])
    page.click("text=Watch studio")
    page.wait_for_selector("body[data-state=live]")
    page.goto("about:blank")

    visitor.until(lambda: guests(echo) == [])


def test_a_stream_that_does_not_run_yet_is_waited_for(open_page: Any, echo: Any) -> None:
    echo.force(running=[])
    visitor = open_page("?stream=studio")
    visitor.page.wait_for_selector("#caption:has-text('studio is not running yet.')")

    assert visitor.page.locator("#caption >> text=Leave").is_visible()
    echo.force(running=["studio"])
    visitor.page.wait_for_selector("body[data-state=live]")
    visitor.troubles.clear()  # the refusals


@pytest.mark.parametrize("rights", ["control", "view"])
def test_a_stream_that_ends_keeps_its_last_picture_until_it_comes_back(
    open_page: Any, echo: Any, rights: str
) -> None:
    echo.force(rights=rights)
    page = (visitor := watch(open_page)).page
    echo.force(running=[], drop=True)
    page.wait_for_selector("#caption:has-text('studio is not running yet.')")

    assert page.locator("canvas.held").is_visible()
    echo.force(running=["studio"])
    page.wait_for_selector("body[data-state=live]")
    assert page.locator(".notice").count() == 0
    visitor.troubles.clear()  # the refusals


def test_a_link_without_the_right_to_watch_says_so(open_page: Any, echo: Any) -> None:
    echo.force(rights="none")
    visitor = open_page("?stream=studio")

    visitor.page.wait_for_selector(
        ".notice[role=alert]:has-text('Your link does not let you watch studio.')"
    )
    visitor.troubles.clear()  # the refusal


def test_a_link_that_is_too_old_says_so_and_takes_a_token(open_page: Any, echo: Any) -> None:
    visitor = open_page("?stream=studio#token=too-old")
    page = visitor.page
    page.wait_for_selector("#starts:has-text('This link to studio is too old, or wrong.')")
    page.fill("[aria-label=Token]", "a-new-one")
    page.click("text=Continue")

    page.wait_for_selector("body[data-state=live]")
    assert page.url == f"{echo.url}?stream=studio"
    visitor.troubles.clear()  # the refusal
