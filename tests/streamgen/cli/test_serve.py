"""`streamgen serve`: its options, what it refuses, what it says, and that it really serves."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from server.running import bind
from server.settings import Settings
from streamgen.cli.parser import Parser
from streamgen.cli.serve import add_arguments, announcement, page_urls, settings_of
from streamgen.errors import ConfigError

TOKEN = "a-token-of-some-length"


def settings(*arguments, **environ):
    parser = Parser(prog="streamgen serve")
    add_arguments(parser)
    return settings_of(parser.parse_args(arguments), environ)


def test_by_default_it_is_for_this_machine_alone():
    made = settings()

    assert (made.host, made.port, made.token, made.tls) == ("127.0.0.1", 7860, None, None)
    assert (str(made.size), made.max_sessions, made.drain_s) == ("256x256", 4, 1.0)


def test_every_option_has_its_place(tmp_path):
    (tmp_path / "secret").write_text("north\n")

    made = settings(
        *("--host", "0.0.0.0", "--token", TOKEN, "--size", "384x256", "--max-sessions", "2"),
        *("--public-ip", "192.0.2.7", "--udp-ports", "50000-50010", "--stun", "stun:s:3478"),
        *("--turn", "turn:t:3478", "--turn-secret", str(tmp_path / "secret")),
        *("--origin", "https://show.example", "--public-name", "stage", "--codec", "vp8"),
        *("--debug-barcode", "--debug-worker", "streamgen.passthrough:make_worker"),
    )

    assert (str(made.size), made.max_sessions, made.drain_s) == ("384x256", 2, 10.0)
    assert (made.public_ip, made.udp_ports) == ("192.0.2.7", (50000, 50010))
    assert (made.ice.stun, made.ice.turn_secret) == (("stun:s:3478",), "north")
    assert (made.origins, made.public_names) == (("https://show.example",), ("stage",))
    assert (made.codec, made.debug_barcode) == ("vp8", True)
    assert made.make_worker == "streamgen.passthrough:make_worker"


def test_a_token_is_made_given_or_read_from_the_environment():
    assert len(settings("--token").token) >= 32
    assert settings("--token", "auto").token != settings("--token", "auto").token
    assert settings("--token", TOKEN, STREAMGEN_TOKEN="another-token-from-there").token == TOKEN
    assert settings(STREAMGEN_TOKEN=TOKEN).token == TOKEN
    assert settings("--token", "auto", STREAMGEN_TOKEN=TOKEN).token == TOKEN


def test_a_certificate_is_made_and_kept_in_the_cache(tmp_path):
    made = settings("--tls", "auto", STREAMGEN_CACHE=str(tmp_path))

    assert made.tls.authority == tmp_path / "tls" / "authority.pem"
    assert made.scheme == "https"


def test_folders_of_loras_are_given_to_the_server_and_counted(tmp_path):
    (tmp_path / "rain.safetensors").touch()

    made = settings("--loras", str(tmp_path))

    assert made.loras == (tmp_path,)
    assert "LoRAs to choose from: 1" in announcement(made, 80, shows_token=False)


def test_a_motion_adapter_is_given_to_the_server_and_named(tmp_path):
    (tmp_path / "swing").mkdir()

    made = settings(
        *("--motion", str(tmp_path / "swing"), "--motion-window", "8", "--motion-sinks", "2"),
        *("--motion-memory", "256"),
    )

    config = made.rules().config(made.size)
    assert (config.motion, config.motion_window) == (str(tmp_path / "swing"), 8)
    assert (config.motion_sinks, config.motion_memory_mb) == (2, 256)
    assert "Motion adapter: swing" in announcement(made, 80, shows_token=False)
    with pytest.raises(ConfigError, match="--motion-window 8 has no effect without a motion"):
        settings("--motion", "none", "--motion-window", "8")


def test_hidden_options_are_not_in_the_help():
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    assert "--debug" not in parser.format_help()


@pytest.mark.parametrize(
    ("host", "urls"),
    [
        ("127.0.0.1", ["http://127.0.0.1:80/"]),
        ("::1", ["http://[::1]:80/"]),
    ],
)
def test_the_page_is_where_the_host_is(host, urls):
    assert page_urls(Settings(host=host), 80) == urls


def test_a_token_that_was_made_is_shown_once_and_one_that_was_given_is_not():
    served = Settings(host="0.0.0.0", token=TOKEN)

    shown = announcement(served, 80, shows_token=True)
    hidden = announcement(served, 80, shows_token=False)

    assert f"  http://localhost:80/#token={TOKEN}" in shown
    assert TOKEN not in "".join(hidden)
    assert any("--tls auto" in line for line in hidden)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--host", "0.0.0.0"), "can be reached by others: add --token auto"),
        (("--host", "no-such.invalid", "--token"), "host 'no-such.invalid' is not known"),
        (("--token", "short"), "--token of 5 characters"),
        (("--tls", "maybe"), "--tls 'maybe': write off, auto, or CERT,KEY"),
        (("--tls", "none.pem,none.pem"), "'none.pem' cannot be read: No such file"),
        (("--port", "70000"), "--port: '70000': give a whole number from 0 to 65535"),
        (("--max-sessions", "0"), "--max-sessions: '0': give a whole number from 1"),
        (("--udp-ports", "many"), "--udp-ports: 'many': write FIRST-LAST"),
        (("--turn", "turn:t:3478"), "--turn needs --turn-secret FILE"),
        (("--turn-secret", "none.txt"), "--turn-secret 'none.txt' cannot be read"),
        (("--model", "nonsense"), "model 'nonsense': choose tiny"),
        (("--loras", "nowhere"), "LoRA place 'nowhere': there is no such folder"),
        (("--size", "250"), "size 250x250: tiny takes"),
        (("--codec", "av1"), "--codec: invalid choice: 'av1'"),
        (("--hots", "x"), "unknown option '--hots'; did you mean --host?"),
    ],
)
def test_what_cannot_be_is_one_sentence(streamgen, arguments, words):
    done = streamgen("serve", *arguments)

    assert done.code == 2
    assert done.err.startswith("streamgen: ") and done.err.count("\n") == 1
    assert words in done.err
    assert done.out == ""


def test_a_port_in_use_is_one_sentence(streamgen):
    (taken,) = bind("127.0.0.1", 0)
    with taken:
        port = taken.getsockname()[1]
        done = streamgen("serve", "--port", port)

    assert (done.code, done.out) == (2, "")
    assert f"port {port} of 127.0.0.1 is in use: choose another with --port" in done.err


def test_udp_ports_fewer_than_sessions_are_refused():
    with pytest.raises(ConfigError, match="4 sessions need 4 ports"):
        settings("--udp-ports", "50000-50001")


def get(url, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        asked = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.slow
def test_it_serves_the_built_in_model_and_ends_without_a_trace(tmp_path):
    """One life of the real program: start, ready, questions, SIGTERM; nothing is left behind."""
    command = [sys.executable, "-m", "streamgen", "serve", "--port", "0", "--token"]
    command += ["--backend", "torch", "--size", "64"]
    environ = {**os.environ, "STREAMGEN_CACHE": str(tmp_path)}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
        start_new_session=True,
    ) as process:
        said = []
        while not said or said[-1] not in ("Ready.\n", ""):
            said.append(process.stdout.readline())
        url, token = re.search(r"(http://\S+/)#token=(\S+)", "".join(said)).groups()
        answers = [
            get(f"{url}{path}", token) for path in ("readyz", "v1/about", "v1/ice", "v1/nowhere")
        ]
        without = get(f"{url}v1/ice")
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        log = process.stderr.read()
        code = process.wait()
    left = members(process.pid)

    assert [status for status, _ in answers] == [200, 200, 200, 404]
    assert without[0] == 401
    assert code == 0
    assert left == []
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert any(line["event"].startswith("the model is ready after") for line in lines)
    assert token not in log and "127.0.0.1" not in log


def members(session):
    """Return the processes of a session that are still running: one that is ending has no words."""
    found = []
    for process in filter(lambda each: each.name.isdecimal(), Path("/proc").iterdir()):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            words = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if int(fields[3]) == session and words:
            found.append(words)
    return found
