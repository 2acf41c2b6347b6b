"""What the page shows of motion adapters: their strength and their name, where there is one."""

from __future__ import annotations

from typing import Any

STRENGTH = "#control-motion_strength"


def open_time(page: Any) -> None:
    page.click("summary:has-text('Time')")
    page.wait_for_selector("#control-temporal_strength")


def test_without_an_adapter_there_is_no_word_of_motion(live: Any) -> None:
    open_time(live.page)
    assert live.page.locator(STRENGTH).count() == 0
    live.page.wait_for_selector(".facts:has-text('tiny · 256 × 256 · openvino · bf16')")


def test_an_adapter_is_named_and_its_strength_can_be_chosen(open_page: Any, echo: Any) -> None:
    echo.force(motion="swing")
    visitor = open_page()
    visitor.start()
    page = visitor.page
    open_time(page)

    page.wait_for_selector(".facts:has-text('tiny · swing · 256 × 256 · openvino · bf16')")
    assert page.locator(STRENGTH).input_value() == "1"
    row = page.locator(f".row:has({STRENGTH})")
    assert row.locator(".label").inner_text() == "Motion strength"
    page.fill(f".row:has({STRENGTH}) [type=number]", "0.5")
    page.keyboard.press("Enter")
    visitor.until(lambda: echo.controls.get("motion_strength") == 0.5)
