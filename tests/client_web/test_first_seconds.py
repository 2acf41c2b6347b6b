"""From the first look at the page to the first redrawn picture, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Mean colour of 8 x 8 parts of a video.
LOOK = """video => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 8;
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0, 8, 8);
  return [...pen.getImageData(0, 0, 8, 8).data].filter((_, index) => index % 4 < 3);
}"""
OUTPUT = ".output video:nth-of-type(2)"
INPUT = ".input video"


def look(page: Any, selector: str) -> list[int]:
    pixels: list[int] = page.locator(selector).evaluate(LOOK)
    return pixels


def difference(one: list[int], other: list[int]) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def test_the_page_opens_with_a_style_and_another_is_that_of_the_first_picture(
    visitor: Any, echo: Any
) -> None:
    page = visitor.page

    assert page.locator("h1").inner_text() == "streamgen"
    assert page.locator(".style-tile").count() >= 10
    assert page.locator(".style-tile input:checked").get_attribute("value") == "watercolor"
    assert page.locator(".still-word.is-drawn").inner_text() == "watercolor"
    visitor.page.click(".style-tile:has-text('charcoal')")
    visitor.start()

    assert echo.controls["prompts"] == [{"text": "charcoal", "weight": 1.0}]
    assert echo.heard("patch") == []


def test_the_camera_is_shown_redrawn_moving_and_changed_by_another_style(live: Any) -> None:
    page = live.page
    first = look(page, OUTPUT)

    live.until(lambda: difference(look(page, OUTPUT), first) > 0.5)
    assert difference(look(page, OUTPUT), look(page, INPUT)) > 10
    before = look(page, OUTPUT)
    page.click(".style-tile:has-text('oil painting')")
    live.until(lambda: difference(look(page, OUTPUT), before) > 12)


def test_the_strip_splits_the_latency_and_says_what_runs(live: Any) -> None:
    page = live.page

    page.wait_for_selector(".meter[title*='model 38']")
    parts = page.locator(".meter").get_attribute("title")
    assert all(part in parts for part in ("network", "queue", "encode", "display"))
    assert page.locator(".facts").inner_text() == "tiny · 256 × 256 · openvino · bf16"
    page.click(".meter")
    page.wait_for_selector("#sheet canvas")
    assert page.locator("#sheet tr").count() == 5


def test_a_screen_can_take_the_place_of_the_camera(live: Any, echo: Any) -> None:
    live.page.click("#sources button:has-text('Screen')")
    live.page.wait_for_selector("#sources button:has-text('Screen')[aria-pressed=true]")
    # A screen is not mirrored: the server has to treat it otherwise.
    live.until(lambda: len(echo.state["visits"]) == 1)
    live.page.wait_for_selector("body[data-state=live]")

    assert live.page.locator(".is-mirrored").count() == 0


def test_a_picture_from_a_file_is_redrawn(visitor: Any, thumbnails: Path, echo: Any) -> None:
    visitor.page.set_input_files("#file", thumbnails / "oil-painting.webp")
    visitor.page.wait_for_selector("body[data-state=live]")

    assert len(echo.state["visits"]) == 1


def test_a_reload_brings_settings_and_session_back(live: Any, echo: Any) -> None:
    page = live.page
    page.fill("textarea", "neon, warm colors")
    page.click("#layouts [title='Input and output side by side']")
    page.click("summary:has-text('Time')")
    live.until(lambda: echo.controls["prompts"][0]["text"] == "neon, warm colors")
    page.reload()
    page.wait_for_selector(".style-tile:has-text('neon') input:checked", state="attached")
    live.start()

    assert echo.controls["prompts"][0]["text"] == "neon, warm colors"
    assert page.locator("#panes").get_attribute("data-layout") == "side"
    assert page.locator("details:has-text('Time')").get_attribute("open") == ""


def test_the_small_picture_is_dragged_swapped_and_stays_where_it_is(live: Any) -> None:
    page = live.page
    small = page.locator(".tile.input")
    before = small.bounding_box()
    x, y = before["x"] + 20, before["y"] + 20
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 120, y - 80, steps=4)
    page.mouse.up()

    after = small.bounding_box()
    assert after["x"] < before["x"] - 80
    assert after["y"] < before["y"] - 50
    small.dblclick()
    assert page.locator(".tile.output").get_attribute("data-role") == "small"


def until_saved(page: Any, act: Callable[[], None]) -> Path:
    with page.expect_download() as saved:
        act()
    path: Path = saved.value.path()
    return path


def test_a_snapshot_and_a_recording_are_saved(live: Any) -> None:
    page = live.page

    picture = until_saved(page, lambda: page.click("[data-action=snapshot]"))
    assert picture.read_bytes().startswith(b"\x89PNG")
    page.click("[data-action=record]")
    page.wait_for_selector("[data-action=record]:has-text('0:01')")
    assert page.title() == "● streamgen"
    film = until_saved(page, lambda: page.click("[data-action=record]"))
    assert film.stat().st_size > 1000
    assert page.locator("[data-action=record] .word").inner_text() == "Record"


def test_the_strip_says_what_is_being_built_and_what_could_not_be(live: Any, echo: Any) -> None:
    coming = {"backend": "inductor", "precision": "bf16", "stage": "building", "message": "unet"}
    facts = live.page.locator(".facts")
    echo.force(upcoming={**coming, "failure": None})
    live.until(lambda: facts.inner_text().startswith("inductor is being built · tiny"))
    assert facts.get_attribute("title").endswith("building unet")
    echo.force(upcoming={**coming, "failure": "unet: no memory"})
    live.until(lambda: facts.inner_text().startswith("inductor could not be built · tiny"))
    assert facts.get_attribute("title").endswith("unet: no memory")
