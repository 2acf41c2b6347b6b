"""A real Chromium as a client: page.js on the origin of the server that is measured."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any  # of what a page answers

from benchmarks.webrtc.ages import Turn, turn_of
from benchmarks.webrtc.pictures import FPS, as_jpegs, pictures
from streamgen.errors import ConfigError, StreamgenError
from streamgen.sources import Size

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright, Route

NAMES = ("chromium", "chromium-browser", "google-chrome")
FIRST_PICTURE_MS = 60_000
#: For the last pictures to come back.
REST_MS = 1000
_SCRIPT = Path(__file__).with_name("page.js")
_PATH = "measurement"
_PAGE = "<!doctype html><title>measurement</title><body></body>"


def find_chromium() -> str:
    """Return the browser's path; ConfigError where it, or what drives it, is missing."""
    if find_spec("playwright") is None:
        raise ConfigError("a browser needs playwright: pip install playwright")
    for name in NAMES:
        if (path := shutil.which(name)) is not None:
            return path
    raise ConfigError(f"no browser is installed: {', '.join(NAMES)} are looked for")


def launched(driver: Playwright, *arguments: str) -> Browser:
    """Return a browser of its own; whoever asks for it closes it."""
    # Root, as in containers, cannot have Chromium's sandbox.
    always = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    return driver.chromium.launch(executable_path=find_chromium(), args=[*always, *arguments])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What a page sends. first: its first number. wish: what goes along with its offer."""

    size: Size
    first: int = 0
    pictures: tuple[str, ...] = ()
    wish: Mapping[str, object] | None = None

    def options(self) -> dict[str, object]:
        """Return it as page.js wants it."""
        return {
            "pictures": list(self.pictures) or as_jpegs(pictures(self.size)),
            "width": self.size.width,
            "height": self.size.height,
            "fps": FPS,
            "first": self.first,
            "wish": dict(self.wish or {}),
        }


@dataclass(frozen=True, slots=True)
class Measurement:
    """A page that sends and reads."""

    page: Page

    def wait_for_numbers(self, count: int = 1) -> None:
        """Wait until so many pictures were seen that bear a number."""
        self.page.wait_for_function(
            "count => measurement.shown.filter(([number]) => number !== null).length >= count",
            arg=count,
            timeout=FIRST_PICTURE_MS,
        )

    def watch(self, *, warmup_s: float, seconds: float) -> tuple[float, float]:
        """Let it run, and return from when to when it counts, in ms of its clock."""
        self.wait_for_numbers()
        self.page.wait_for_timeout(1000 * warmup_s)
        begin_ms = self.now_ms()
        self.page.wait_for_timeout(1000 * seconds)
        return begin_ms, self.now_ms()

    def finish(self, begin_ms: float, end_ms: float) -> Turn:
        """Wait for what is on its way, and return what was seen."""
        self.page.evaluate("measurement.halt()")
        self.page.wait_for_timeout(REST_MS)
        drawn, shown = self.marks()
        return turn_of(drawn, shown, begin_ms=begin_ms, end_ms=end_ms)

    def now_ms(self) -> float:
        """Return the time by the page's clock."""
        return float(self.page.evaluate("performance.now()"))

    def marks(self) -> tuple[list[tuple[int, float]], list[tuple[int | None, float]]]:
        """Return when which number was drawn, and when which was seen."""
        found = self.page.evaluate("({ drawn: measurement.drawn, shown: measurement.shown })")
        drawn = [(int(number), float(at)) for number, at in found["drawn"]]
        shown = [(number, float(at)) for number, at in found["shown"]]
        return drawn, shown

    def status(self) -> dict[str, Any]:
        """Return the last of the server's words on how it goes; nothing from an echo."""
        said: dict[str, Any] = self.page.evaluate("measurement.status") or {}
        return said


@contextmanager
def measuring(browser: Browser, url: str, sending: Sending) -> Iterator[Measurement]:
    """Open a page of our own on a server's origin, and have it send."""
    context = browser.new_context()
    try:
        page = context.new_page()
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))

        def answer(route: Route) -> None:
            route.fulfill(body=_PAGE, content_type="text/html")

        page.route(f"{url}{_PATH}", answer)
        page.goto(f"{url}{_PATH}")
        page.add_script_tag(content=_SCRIPT.read_text(encoding="utf-8"))
        page.evaluate("sending => measurement.start(sending)", sending.options())
        yield Measurement(page)
        if troubles:
            raise StreamgenError(f"the page of the measurement failed: {troubles[0]}")
        page.evaluate("measurement.close()")
    finally:
        context.close()
