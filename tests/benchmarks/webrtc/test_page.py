"""The numbers of page.js are those of server/barcode.py."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import benchmarks.webrtc.browser as clients
from server.barcode import MAX_NUMBER, read, write
from streamgen.errors import ConfigError

NUMBERS = (0, 1, 250, 251, 123_456, MAX_NUMBER)
SCRIPT = Path(clients.__file__).with_name("page.js").read_text(encoding="utf-8")
WRITE = """number => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [320, 240];
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#8a6";
  pen.fillRect(0, 0, 320, 240);
  writeNumber(pen, number);
  return canvas.toDataURL().split(",")[1];
}"""
#: A picture stands in for a video's frame: both can be drawn, and know their size.
READ = """async text => {
  const picture = await decoded(text);
  [picture.videoWidth, picture.videoHeight] = [picture.width, picture.height];
  return readNumber(picture, measurement.pen);
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    try:
        clients.find_chromium()
    except ConfigError as error:
        pytest.skip(str(error))
    with playwright.sync_playwright() as driver:
        browser = clients.launched(driver)
        page = browser.new_page()
        page.add_script_tag(content=SCRIPT)
        yield page
        browser.close()


def as_text(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("number", NUMBERS)
def test_the_server_reads_what_the_page_writes(page: Any, number: int) -> None:
    picture = Image.open(io.BytesIO(base64.b64decode(page.evaluate(WRITE, number))))

    assert read(np.array(picture.convert("RGB"))) == number


@pytest.mark.parametrize("number", NUMBERS)
def test_the_page_reads_what_the_server_writes(page: Any, number: int) -> None:
    pixels = np.full((256, 256, 3), 120, np.uint8)
    write(pixels, number)

    assert page.evaluate(READ, as_text(pixels)) == number


def test_a_picture_without_a_number_has_none(page: Any) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)

    assert page.evaluate(READ, as_text(np.full((256, 256, 3), 120, np.uint8))) is None
    assert page.evaluate(READ, as_text(noise)) is None
