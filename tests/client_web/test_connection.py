"""Seats, queues, lost connections: what the visitor sees, and that all is given back."""

from __future__ import annotations

from typing import Any


def test_the_waiting_room_counts_down_and_lets_in(visitor: Any, echo: Any) -> None:
    page = visitor.page
    echo.force(seats=0, queue=1)
    page.click("text=Start camera")

    page.wait_for_selector("#caption:has-text('All seats are taken. You are number 2.')")
    assert page.locator(".plain-button:has-text('Leave')").is_visible()
    echo.force(serve=True)
    page.wait_for_selector("#caption:has-text('You are number 1.')")
    echo.force(seats=1)
    page.wait_for_selector("body[data-state=live]")
    assert echo.state["tickets"] == 0


def test_who_leaves_the_queue_gives_the_place_back(visitor: Any, echo: Any) -> None:
    page = visitor.page
    echo.force(seats=0)
    page.click("text=Start camera")
    page.click("#caption >> text=Leave")

    page.wait_for_selector("body[data-view=start]")
    visitor.until(lambda: echo.state["tickets"] == 0)


def test_a_lost_connection_comes_back_with_its_controls_and_mode(live: Any, echo: Any) -> None:
    page = live.page
    page.fill("textarea", "comic, cool colors")
    live.until(lambda: echo.controls["prompts"][0]["text"] == "comic, cool colors")
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    live.until(lambda: echo.state["visits"][0]["output"] == "black")
    echo.force(drop=True)
    page.wait_for_selector(".notice:has-text('Connection lost. Reconnecting…')")

    assert page.locator("canvas.held").is_visible()
    page.wait_for_selector("body[data-state=live]")
    assert page.locator(".notice").count() == 0
    assert echo.controls["prompts"][0]["text"] == "comic, cool colors"
    live.until(lambda: echo.state["visits"][0]["output"] == "black")


def test_what_is_chosen_while_nobody_listens_is_sent_later(live: Any, echo: Any) -> None:
    page = live.page
    page.context.route("**/v1/sessions", lambda route: route.abort())
    echo.force(drop=True)
    page.wait_for_selector("body[data-state=lost]")
    page.click(".style-tile:has-text('thermal')")
    live.troubles.clear()
    page.context.unroute("**/v1/sessions")
    page.wait_for_selector("body[data-state=live]")

    live.until(lambda: echo.controls["prompts"][0]["text"] == "thermal")
    live.troubles.clear()  # the requests that were cut off


def test_stopping_and_leaving_give_the_seat_back(live: Any, echo: Any) -> None:
    page = live.page
    page.click("#sources button:has-text('Stop')")
    page.wait_for_selector("body[data-view=start]")
    live.until(lambda: echo.state["visits"] == [])
    live.start()
    page.goto("about:blank")

    live.until(lambda: echo.state["visits"] == [])


def test_a_token_in_the_address_is_used_and_not_left_there(
    browser: Any, thumbnails: Any, is_asked: Any
) -> None:
    url, visit = is_asked
    with visit("#token=open-sesame") as visitor:
        visitor.start()
        assert visitor.page.url == url
        visitor.page.reload()
        visitor.page.wait_for_selector("text=Start camera")
    with visit("") as visitor:
        visitor.page.fill("[aria-label=Token]", "open-sesame")
        visitor.page.click("text=Continue")
        visitor.page.wait_for_selector("text=Start camera")
