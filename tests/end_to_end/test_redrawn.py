"""Somebody in front of the real page, redrawn by the built-in model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow

SIDE = 32
OUTPUT = ".output video:nth-of-type(2)"
INPUT = ".input video"
#: Mean colours of 32 x 32 parts of a video; flipped, as the server flips what a camera sends.
LOOK = """(video, isFlipped) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const pen = canvas.getContext("2d");
  if (isFlipped) { pen.translate(32, 0); pen.scale(-1, 1); }
  const side = Math.min(video.videoWidth, video.videoHeight);
  const [x, y] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
  pen.drawImage(video, x, y, side, side, 0, 0, 32, 32);
  return [...pen.getImageData(0, 0, 32, 32).data].filter((_, index) => index % 4 < 3);
}"""
#: Looks at every picture that comes; `clicked` is how many had come when something was chosen.
WATCH = """video => {
  window.looks = [];
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 8;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const see = () => {
    pen.drawImage(video, 0, 0, 8, 8);
    window.looks.push([...pen.getImageData(0, 0, 8, 8).data].filter((_, at) => at % 4 < 3));
    video.requestVideoFrameCallback(see);
  };
  video.requestVideoFrameCallback(see);
  addEventListener("click", () => { window.clicked = window.looks.length; }, true);
}"""
AROUND = 30


def look(page: Any, selector: str, *, flipped: bool = False) -> np.ndarray:
    pixels = page.locator(selector).evaluate(LOOK, flipped)
    return np.array(pixels, np.float32).reshape(SIDE, SIDE, 3)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


def least_change(page: Any) -> float:
    """Return how far output and input are apart where they are nearest: one comes after the other.

    What moves meanwhile is a difference, too.
    """
    looks = [(look(page, OUTPUT), look(page, INPUT, flipped=True)) for _ in range(20)]
    return min(difference(*pair) for pair in looks)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """How alike the brightness of two pictures is: 1 for the same scene, 0 for any other."""
    return float(np.corrcoef(one.mean(axis=2).ravel(), other.mean(axis=2).ravel())[0, 1])


def prompt_of(status: dict[str, Any]) -> str:
    text: str = status["controls"]["prompts"][0]["text"]
    return text


def test_the_camera_is_shown_changed_and_moving(visit: Any, tiny: Any, tmp_path: Path) -> None:
    visitor = visit(tiny)
    page = visitor.page
    visitor.start()
    page.click(".style-tile:has-text('charcoal')")
    visitor.until(lambda: "charcoal" in prompt_of(visitor.status()))
    page.wait_for_timeout(1500)
    drawn, plain = look(page, OUTPUT), look(page, INPUT, flipped=True)
    page.screenshot(path=tmp_path / "redrawn.png")

    visitor.until(lambda: difference(look(page, OUTPUT), drawn) > 1)
    changed = least_change(page)
    # The same eyes tell what is not redrawn from what is.
    page.click("[data-action=bypass]")
    visitor.until(lambda: visitor.status()["output"] == "bypass")
    page.wait_for_timeout(1500)
    assert changed > 2 * least_change(page)
    assert changed > 8
    assert likeness(drawn, plain) > 0.4


def test_another_style_is_seen_within_ten_pictures_more_than_the_steps(
    visit: Any, tiny: Any
) -> None:
    visitor = visit(tiny)
    page = visitor.page
    visitor.start()
    page.click(".style-tile:has-text('charcoal')")
    visitor.until(lambda: "charcoal" in prompt_of(visitor.status()))
    page.wait_for_timeout(1500)
    page.locator(OUTPUT).evaluate(WATCH)
    visitor.until(lambda: page.evaluate("looks.length") >= AROUND)
    page.click(".style-tile:has-text('thermal')")
    visitor.until(lambda: page.evaluate("looks.length - clicked") >= 2 * AROUND)

    clicked: int = page.evaluate("clicked")
    looks = np.array(page.evaluate("looks"), np.float32)
    before, after = looks[:clicked].mean(axis=0), looks[clicked + AROUND :].mean(axis=0)
    way = after - before
    assert np.abs(way).mean() > 12
    ways = (looks[clicked:] - before) @ way / (way @ way)
    steps = len(visitor.status()["controls"]["t_index_list"] or [1] * steps_of(visitor))
    assert int(np.argmax(ways > 0.5)) <= steps + 10


def steps_of(visitor: Any) -> int:
    steps: int = visitor.status()["controls"]["steps"]
    return steps


def test_a_reload_and_a_lost_connection_bring_the_controls_back(visit: Any, tiny: Any) -> None:
    visitor = visit(tiny)
    page = visitor.page
    visitor.start()
    page.fill("textarea", "neon, warm colors")
    visitor.until(lambda: prompt_of(visitor.status()) == "neon, warm colors")
    page.reload()
    page.wait_for_selector(".starts > *")
    visitor.start()
    assert prompt_of(visitor.opened[-1]) == "neon, warm colors"
    page.evaluate("peers.at(-1).close()")
    visitor.until(lambda: len(visitor.opened) == 3)
    page.wait_for_selector("body[data-state=live]")

    first, second, third = (told["id"] for told in visitor.opened)
    assert (first != second, second == third) == (True, True)
    assert prompt_of(visitor.status()) == "neon, warm colors"
    drawn = look(page, OUTPUT)
    visitor.until(lambda: difference(look(page, OUTPUT), drawn) > 1)
