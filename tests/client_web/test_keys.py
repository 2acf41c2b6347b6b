"""The keyboard: every key of the card, and where keys mean something else."""

from __future__ import annotations

from typing import Any


def pressed(page: Any) -> list[str]:
    names: list[str] = page.locator("[data-action][aria-pressed=true]").evaluate_all(
        "found => found.map((one) => one.dataset.action)"
    )
    return names


MODES = (("b", "bypass"), ("f", "freeze"), ("Escape", "black"), ("Space", "bypass"))


def test_keys_choose_what_goes_out_and_take_it_back(live: Any, echo: Any) -> None:
    for key, mode in MODES:
        live.page.keyboard.press(key)
        assert pressed(live.page) == [mode]
        # Panic is black before the server answers.
        assert live.page.locator(".black").is_visible() == (mode == "black")
        live.until(lambda mode=mode: echo.state["visits"][0]["output"] == mode)
        live.page.keyboard.press(key)
        live.until(lambda: echo.state["visits"][0]["output"] == "live")
        assert pressed(live.page) == []


def test_numbers_choose_styles_and_letters_save(live: Any, echo: Any) -> None:
    page = live.page
    page.keyboard.press("2")
    live.until(lambda: echo.controls["prompts"][0]["text"] == "oil painting")

    with page.expect_download() as saved:
        page.keyboard.press("s")
    assert saved.value.suggested_filename.endswith(".png")
    page.keyboard.press("r")
    page.wait_for_selector(".is-recording:has-text('0:01')")
    with page.expect_download() as film:
        page.keyboard.press("r")
    assert film.value.suggested_filename.endswith((".mp4", ".webm"))


def test_a_question_mark_shows_the_keys_and_escape_hides_them_without_panic(
    live: Any, echo: Any
) -> None:
    page = live.page
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")

    page.wait_for_selector("dialog", state="hidden")
    assert echo.heard("output") == []


def test_letters_in_the_prompt_are_letters_and_space_after_a_click_is_bypass(
    live: Any, echo: Any
) -> None:
    page = live.page
    page.focus("textarea")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("bfrs 12?")

    live.until(lambda: echo.controls["prompts"][0]["text"] == "bfrs 12?")
    assert echo.heard("output") == []
    page.click(".style-tile:has-text('manga')")
    page.keyboard.press("Space")
    assert pressed(page) == ["bypass"]


def test_everything_is_reached_by_tab_and_the_small_picture_moves_by_arrows(live: Any) -> None:
    page = live.page
    page.click("summary:has-text('Look')")
    page.evaluate("document.activeElement.blur()")
    seen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        about = page.evaluate(
            """() => {
              const one = document.activeElement;
              const ring = getComputedStyle(one).outlineStyle !== "none";
              const row = one.closest("label, .row");
              const isShown = ring || row?.querySelector(".thumbnail, .segments");
              return [one.dataset.action ?? one.className ?? "", Boolean(isShown), one.tagName];
            }"""
        )
        if about[2] == "BODY":
            break
        assert about[1], about
        seen.append(about[0])

    assert {"bypass", "freeze", "black", "record", "snapshot"} <= set(seen)

    small = page.locator(".tile.input")
    before = small.bounding_box()
    small.focus()
    page.keyboard.press("ArrowLeft")

    assert small.bounding_box()["x"] < before["x"]
    page.keyboard.press("Enter")
    assert page.locator(".tile.output").get_attribute("data-role") == "small"
