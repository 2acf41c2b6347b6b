"""Sockets that cannot be had, and a real server: slow visitors, gentle and hurried ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from dataclasses import replace
from threading import Thread

import pytest

from server.app import make_app
from server.edge import Backstage
from server.nouns import SeatCount
from server.running import bind, run
from server.settings import Settings
from streamgen.errors import ConfigError, ModelError


class Nobody:
    """Sessions of a server that nobody visits; its draining lasts until it is let go."""

    def __init__(self, *, lets_go=True):
        self.began_to_drain, self.ended = asyncio.Event(), False
        self.lets_go = lets_go

    def seats(self):
        return SeatCount(all=1, free=1, waiting=0)

    def states(self):
        return {}

    def streams(self):
        return []

    async def drain(self, in_s):
        self.on_drain()
        if not self.lets_go:
            await asyncio.Event().wait()

    def on_drain(self):
        """Replaced by tests that watch."""


def site_with(sessions, *, warm_up=None, **settings):
    async def at_once():
        return

    @asynccontextmanager
    async def start(edge):
        try:
            yield Backstage(sessions=sessions, warm_up=warm_up or at_once)
        finally:
            sessions.ended = True

    return make_app(replace(Settings(), port=0, **settings), start=start)


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_port_in_use_is_said():
    (first,) = bind("127.0.0.1", 0)
    with first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 is in use: .* --port"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("no-such-host.invalid", "host 'no-such-host.invalid' is not known"),
        ("192.0.2.250", "no address of this machine"),
        ("x" * 100, "is not known"),
    ],
)
def test_a_host_that_is_not_this_machine_is_said(host, words):
    with pytest.raises(ConfigError, match=words):
        bind(host, 0)


def test_every_address_of_a_name_gets_the_same_port():
    sockets = bind("localhost", 0)

    assert len({each.getsockname()[1] for each in sockets}) == 1
    for each in sockets:
        each.close()


def serve_and(act, sessions, **settings):
    """Run a site in this thread, and `act(port)` in another once it is ready."""
    sockets = bind("127.0.0.1", 0)
    port, answers = sockets[0].getsockname()[1], []
    thread = Thread(target=lambda: answers.append(act(port)))
    try:
        is_gentle = run(site_with(sessions, **settings), sockets, on_ready=thread.start)
    finally:
        if thread.ident is not None:
            thread.join()
    return is_gentle, answers


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_with_open_doors_and_ends(number):
    sessions, while_draining = Nobody(lets_go=False), []

    def act(port):
        sessions.on_drain = lambda: watching.start()
        before = get(port, "/readyz")
        watching = Thread(target=lambda: while_draining.append(look(port)))
        os.kill(os.getpid(), number)
        return before

    def look(port):
        seen = get(port, "/readyz"), get(port, "/healthz")
        sessions.on_drain = lambda: None
        os.kill(os.getpid(), number)  # enough of waiting
        return seen

    is_gentle, (before,) = serve_and(act, sessions)

    assert before == (200, {"status": "ready"})
    (ready, healthy) = while_draining[0]
    assert (ready[0], ready[1]["error"], healthy[0]) == (503, "draining", 200)
    assert is_gentle is False
    assert sessions.ended


def test_an_end_that_nobody_hurries_is_gentle_and_signals_are_as_before():
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    sessions = Nobody()

    is_gentle, _ = serve_and(lambda port: os.kill(os.getpid(), signal.SIGTERM), sessions)

    assert is_gentle is True
    assert sessions.ended
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_model_that_cannot_be_had_ends_the_server_with_its_sentence():
    async def broken():
        raise ModelError("model 'x': its unet cannot be loaded")

    sessions = Nobody()

    with pytest.raises(ModelError, match="its unet cannot be loaded"):
        serve_and(lambda port: None, sessions, warm_up=broken)

    assert sessions.ended


def test_garbage_is_hung_up_on_and_others_are_served():
    def act(port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as garbage:
            garbage.sendall(b"\x16\x03\x01 not http at all\r\n\r\n")
            said = garbage.recv(100)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as endless:
            endless.sendall(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000)
            refused = endless.recv(100)
        healthy = get(port, "/healthz")
        os.kill(os.getpid(), signal.SIGTERM)
        return said, refused, healthy

    _, ((said, refused, healthy),) = serve_and(act, Nobody())

    assert said.startswith(b"HTTP/1.1 400")
    assert refused.startswith(b"HTTP/1.1 4")
    assert healthy == (200, {"status": "alive"})
