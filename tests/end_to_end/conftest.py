"""A real server, a real Chromium, a camera that plays the sample clip; knows no tests.

STREAMGEN_SOAK=1 runs everything at full length: 5,000 pictures, 100 visits. Without it there are
as many as fit into a test run; what is checked is the same.
"""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks.webrtc.serving import Served, serving

IS_SOAK = bool(os.environ.get("STREAMGEN_SOAK"))
TIMEOUT_MS = 60_000
PASSTHROUGH = ("--debug-worker", "streamgen.passthrough:make_passthrough_worker")
#: What a log says where something went wrong that nobody dealt with.
UNHANDLED = re.compile(r'"level": "(error|critical)"|"exception":|Traceback|was never |^\w*Warning')


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much is tried."""

    pictures: int
    visits: int


@pytest.fixture(scope="session")
def amount() -> Amount:
    return Amount(pictures=5000, visits=100) if IS_SOAK else Amount(pictures=500, visits=12)


@contextmanager
def calm(*options: str) -> Iterator[Served]:
    """Serve; the log must be calm to its end, which it has when the server has stopped."""
    with ExitStack() as stack:
        with serving(*options) as served:
            log = stack.enter_context(served.log.open(encoding="utf-8", errors="replace"))
            yield served
        assert [line for line in log if UNHANDLED.search(line)] == []


Serve = Callable[..., Any]


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Return what starts a server with these options, as a context."""
    return calm


@pytest.fixture(scope="module")
def passthrough() -> Iterator[Served]:
    """Return a server that gives every picture back, as its model saw it."""
    with calm(*PASSTHROUGH) as served:
        yield served


@pytest.fixture(scope="module")
def tiny() -> Iterator[Served]:
    """Return a server with the built-in model."""
    with calm() as served:
        yield served


def asked(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


@pytest.fixture(scope="session")
def metric() -> Callable[..., float]:
    """Return what reads one number of a server's metrics."""

    def read(served: Served, name: str) -> float:
        for line in asked(f"{served.url}metrics").splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[-1])
        raise AssertionError(f"there is no {name}")

    return read


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Somebody in front of the page. opened: the server's answers to its offers, in order."""

    page: Any
    served: Served
    opened: list[dict[str, Any]] = field(default_factory=list)

    def start(self) -> None:
        """Start the camera and wait for the first redrawn picture."""
        self.page.click("text=Start camera")
        self.page.wait_for_selector("body[data-state=live]")

    def status(self) -> dict[str, Any]:
        """Return what the server knows of the newest session."""
        told = asked(f"{self.served.url}v1/sessions/{self.opened[-1]['id']}")
        said: dict[str, Any] = json.loads(told)
        return said

    def until(self, is_so: Callable[[], object]) -> None:
        """Wait for what comes to be."""
        for _ in range(TIMEOUT_MS // 100):
            if is_so():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError("it never came to be so")


#: So that a test can cut the connections of a page.
KEEP_PEERS = """
window.peers = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...given) { super(...given); window.peers.push(this); }
};
"""


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[[Served], Visitor]]:
    """Return what opens a server's page in a browser of its own; its console must stay clean."""
    troubles: list[str] = []
    with ExitStack() as stack:

        def start(served: Served) -> Visitor:
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            stack.callback(context.close)
            context.set_default_timeout(TIMEOUT_MS)
            context.add_init_script(KEEP_PEERS)
            visitor = Visitor(page=context.new_page(), served=served)
            page = visitor.page
            page.on("pageerror", lambda error: troubles.append(str(error)))

            def hear(said: Any) -> None:
                if said.type == "error":
                    troubles.append(f"{said.text} ({said.location['url']})")

            page.on("console", hear)

            def note(response: Any) -> None:
                if response.url.endswith("/v1/sessions") and response.status == 201:
                    visitor.opened.append(response.json())

            page.on("response", note)
            page.goto(served.url)
            page.wait_for_selector(".starts > *")
            return visitor

        yield start
    assert troubles == []
