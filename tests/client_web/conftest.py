"""A real Chromium on the page, and an echo server behind it; knows nothing of what is tested."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
UNDERSTANDS = ROOT / "streamgen" / "models" / "tiny" / "understands.json"
TIMEOUT_MS = 20_000


@dataclass(frozen=True, kw_only=True)
class Echo:
    """The server behind the page."""

    url: str

    def force(self, **wanted: object) -> None:
        """Make it pretend something, see echo_server.py."""
        body = json.dumps(wanted).encode()
        asked = urllib.request.Request(
            f"{self.url}force", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked):
            pass

    @property
    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}heard") as answer:
            said: dict[str, Any] = json.load(answer)
        return said

    def heard(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of one type, in order."""
        return [one for one in self.state["heard"] if one["type"] == kind]

    @property
    def controls(self) -> dict[str, Any]:
        """Return those of the only session."""
        (visit,) = self.state["visits"]
        controls: dict[str, Any] = visit["controls"]
        return controls


@contextmanager
def echoing(*options: str) -> Iterator[Echo]:
    command = [sys.executable, str(Path(__file__).with_name("echo_server.py")), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Echo(url=process.stdout.readline().strip())
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def thumbnails(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of plain pictures under the names of the model's own."""
    folder = tmp_path_factory.mktemp("thumbnails")
    understands = json.loads(UNDERSTANDS.read_text(encoding="utf-8"))
    paths = [understands["original"], *(style["thumbnail"] for style in understands["styles"])]
    for number, path in enumerate(paths):
        Image.new("RGB", (32, 32), (40 + 9 * number, 90, 160)).save(folder / Path(path).name)
    return folder


@pytest.fixture(scope="session")
def server(thumbnails: Path) -> Iterator[Echo]:
    with echoing("--thumbnails", str(thumbnails)) as echo:
        yield echo


@pytest.fixture
def echo(server: Echo) -> Echo:
    """Return the server, pretending nothing and remembering nobody."""
    server.force(reset=True)
    return server


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Somebody in front of the page. troubles: what the console said was wrong."""

    page: Any
    troubles: list[str]

    def start(self) -> None:
        """Start the camera and wait for the first redrawn picture."""
        self.page.click("text=Start camera")
        self.page.wait_for_selector("body[data-state=live]")

    def until(self, is_so: Callable[[], object]) -> None:
        """Wait for what the server comes to hear."""
        for _ in range(TIMEOUT_MS // 50):
            if is_so():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("it never came to be so")


@contextmanager
def visiting(browser: Any, url: str, **options: Any) -> Iterator[Visitor]:
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: said.type == "error" and troubles.append(said.text))
    try:
        page.goto(url)
        page.wait_for_selector(".starts > *", state="attached")
        yield Visitor(page=page, troubles=troubles)
    finally:
        context.close()


Open = Callable[..., Visitor]


@pytest.fixture
def open_page(browser: Any, echo: Echo) -> Iterator[Open]:
    """Return what opens the page in a browser of its own; its console must stay clean."""
    with ExitStack() as stack:
        visitors: list[Visitor] = []

        def start(address: str = "", **options: Any) -> Visitor:
            url = echo.url + address
            visitors.append(stack.enter_context(visiting(browser, url, **options)))
            return visitors[-1]

        yield start
        assert [visitor.troubles for visitor in visitors if visitor.troubles] == []


@pytest.fixture
def visitor(open_page: Open) -> Visitor:
    """Return somebody who has just opened the page."""
    return open_page()


@pytest.fixture
def live(visitor: Visitor) -> Visitor:
    """Return somebody who sees themselves redrawn."""
    visitor.start()
    return visitor


@pytest.fixture
def is_asked(browser: Any, thumbnails: Path) -> Iterator[Any]:
    """Return the address of a server that asks for the token, and what opens its page."""
    with echoing("--thumbnails", str(thumbnails), "--token", "open-sesame") as echo:
        yield echo.url, lambda fragment: visiting(browser, echo.url + fragment)


@pytest.fixture
def visit_with(launch: Callable[..., Any], echo: Echo) -> Any:
    """Return what opens the page in a browser with other arguments, under another name."""

    def visit(arguments: list[str], host: str) -> Any:
        return visiting(launch(*arguments), echo.url.replace("localhost", host))

    return visit
