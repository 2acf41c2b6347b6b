"""A stream with a name, its address for OBS, and the recording that the server makes of it."""

from __future__ import annotations

from typing import Any

import pytest

ADDRESS = "[aria-label='Address for OBS']"


def start(open_page: Any, address: str = "?as=Studio") -> Any:
    visitor = open_page(address)
    visitor.start()
    visitor.page.click("#layouts >> [title='Show in OBS']")
    return visitor


def test_a_stream_is_opened_under_the_name_of_the_address(open_page: Any, echo: Any) -> None:
    page = start(open_page).page

    assert echo.state["visits"][0]["name"] == "studio"
    assert page.locator(ADDRESS).input_value() == f"{echo.url}viewer#stream=studio"
    page.wait_for_selector("dialog:has-text('In OBS: Sources, +, Browser.')")
    assert page.locator("text=Keep this address").count() == 0


def test_a_name_that_is_taken_is_waited_for(open_page: Any, echo: Any) -> None:
    echo.force(taken=["studio"])
    visitor = open_page("?as=studio")
    visitor.page.click("text=Start camera")
    visitor.page.wait_for_selector("#caption:has-text('The name studio is taken')")

    echo.force(taken=[])
    visitor.page.wait_for_selector("body[data-state=live]")
    visitor.troubles.clear()  # the refusals


def test_a_stream_without_a_name_is_offered_one_that_stays(open_page: Any, echo: Any) -> None:
    page = start(open_page, "").page
    assert page.locator(ADDRESS).input_value() == (
        f"{echo.url}viewer#stream={echo.state['visits'][0]['name']}"
    )
    page.fill("[aria-label='Name of the stream']", "My-Show")
    page.click("text=Use this name")

    page.wait_for_selector("text=Start camera")
    assert page.url == f"{echo.url}?as=my-show"


def test_the_address_is_copied(open_page: Any, echo: Any) -> None:
    page = start(open_page).page
    page.context.grant_permissions(["camera", "clipboard-read", "clipboard-write"])
    page.click("dialog >> text=Copy")

    page.wait_for_selector("dialog >> text=Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{echo.url}viewer#stream=studio"


def test_the_address_opens_the_viewer_of_this_stream(open_page: Any, echo: Any) -> None:
    page = start(open_page).page
    with page.context.expect_page() as opened:
        page.evaluate("url => window.open(url)", page.locator(ADDRESS).input_value())

    opened.value.wait_for_selector("[data-has=picture]")


def test_where_the_server_has_a_token_the_address_carries_a_pass_to_watch(
    is_asked: Any,
) -> None:
    url, visit = is_asked
    with visit("?as=studio#token=open-sesame") as visitor:
        visitor.start()
        visitor.page.click("#layouts >> [title='Show in OBS']")
        visitor.page.wait_for_selector("dialog:has-text('Whoever has it can watch for a day.')")

        address = visitor.page.locator(ADDRESS).input_value()
        assert address == f"{url}viewer#stream=studio&token=a-pass-to-watch"


def test_the_server_records_and_the_page_says_so_all_the_time(open_page: Any, echo: Any) -> None:
    page = start(open_page).page
    assert page.locator("dialog [role=status]").inner_text() == "The server is not recording."
    page.click("dialog >> button:has-text('Record')")
    page.wait_for_selector("dialog [role=status]:has-text('The server records 0:01')")
    page.keyboard.press("Escape")
    page.wait_for_selector("#strip .tape:has-text('The server records')")

    page.click("#layouts >> [title='Show in OBS']")
    page.click("dialog >> text=Stop recording")
    page.wait_for_selector("dialog:has-text('The server kept studio-20261121-120000.mp4.')")
    assert not page.locator("#strip .tape").is_visible()


def test_a_recording_that_somebody_else_began_is_shown(open_page: Any, echo: Any) -> None:
    page = start(open_page).page
    page.evaluate("name => fetch(`/v1/streams/${name}/recording`, {method: 'POST'})", "studio")
    page.keyboard.press("Escape")
    echo.force(say={"type": "status", "is_recording": True, "width": 256, "height": 256})

    page.wait_for_selector("#strip .tape:has-text('The server records')")


def test_a_server_that_records_nothing_says_how_it_would(open_page: Any, echo: Any) -> None:
    echo.force(keeps=False)
    visitor = start(open_page)
    visitor.page.click("dialog >> button:has-text('Record')")

    visitor.page.wait_for_selector("dialog [role=status]:has-text('start it with --record-dir')")
    visitor.troubles.clear()  # the refusal


@pytest.mark.parametrize("size", [(360, 640), (1440, 900)])
def test_the_card_fits_its_window(open_page: Any, size: tuple[int, int]) -> None:
    page = start(open_page, "").page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    box = page.locator("dialog.obs").bounding_box()

    assert box["x"] >= 0
    assert box["x"] + box["width"] <= size[0]
    wide = page.locator("dialog.obs").evaluate("one => one.scrollWidth - one.clientWidth")
    assert wide == 0
