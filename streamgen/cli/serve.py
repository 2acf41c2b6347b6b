"""`streamgen serve`: the page that redraws a camera, on this machine or for others."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import sys
import webbrowser
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

from engines.cache import cache_root
from server import logs, tls
from server.app import make_app
from server.backstage import open_backstage
from server.ice import IceSettings, read_secret
from server.running import bind, run
from server.settings import WILDCARDS, Settings, is_loopback
from streamgen.cli import EXIT_INTERRUPTED, serve_vcam
from streamgen.cli.logs import write_as
from streamgen.cli.parser import whole_number
from streamgen.cli.serve_model import add_model_options, motion_of
from streamgen.cli.serve_recording import add_recording_options, recording_of
from streamgen.cli.vcam import TOKEN_VARIABLE
from streamgen.lora.shelf import Shelf
from streamgen.sources.geometry import Size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    _add_door_options(parser.add_argument_group("where and for whom"))
    add_model_options(parser.add_argument_group("model"))
    _add_network_options(parser.add_argument_group("network"))
    add_recording_options(parser.add_argument_group("recording"))
    serve_vcam.add_option(parser)
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    # For measurements and tests: numbers in the pixels, another worker.
    parser.add_argument("--debug-barcode", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--debug-worker", metavar="MODULE:FUNCTION", help=argparse.SUPPRESS)


def execute(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM; return 0, or 130 where a second one cut the end short."""
    settings = settings_of(args, os.environ)
    serve_vcam.check(args.virtual_camera)
    if settings.tls is not None:
        settings.tls.context()
    if settings.recording is not None:
        settings.recording.prepare()
    if not sys.stderr.isatty():
        write_as(logs.formatter(), at_least=logging.INFO)
    sockets = bind(settings.host, settings.port)
    port = int(sockets[0].getsockname()[1])
    shows_token = args.token == "auto" and TOKEN_VARIABLE not in os.environ
    for line in announcement(settings, port, shows_token=shows_token):
        print(line)
    sys.stdout.flush()
    if args.open:
        url = page_urls(settings, port)[0] + _fragment(settings)
        Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    site = make_app(settings, start=open_backstage)
    with serve_vcam.beside(args.virtual_camera, settings, port, environ=os.environ):
        is_gentle = run(site, sockets, on_ready=lambda: print("Ready.", flush=True))
    return 0 if is_gentle else EXIT_INTERRUPTED


def settings_of(args: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """Return what the options come to; ConfigError for what cannot be."""
    size = Size(width=args.size.width, height=args.size.height)
    settings = Settings(
        host=args.host,
        port=args.port,
        public_names=tuple(args.public_name),
        origins=tuple(args.origin),
        token=_token(args.token, environ),
        model=args.model,
        backend=args.backend,
        precision=args.precision,
        device=args.device,
        loras=tuple(args.lora_places),
        motion=motion_of(args),
        size=size,
        max_sessions=args.max_sessions,
        ice=IceSettings(
            stun=tuple(args.stun),
            turn=tuple(args.turn),
            turn_secret=None if args.turn_secret is None else read_secret(args.turn_secret),
        ),
        public_ip=args.public_ip,
        udp_ports=args.udp_ports,
        codec=args.codec,
        drain_s=_drain_s(args.drain, args.host),
        recording=recording_of(args),
        debug_barcode=args.debug_barcode,
        make_worker=args.debug_worker,
    )
    settings.check()
    return replace(settings, tls=_certificate(args.tls, settings, environ))


def page_urls(settings: Settings, port: int) -> list[str]:
    """Return where the page is found, the best address first."""
    if settings.host in WILDCARDS:
        hosts = ["localhost", *tls.lan_addresses(), *settings.public_names]
    else:
        hosts = [settings.host, *settings.public_names]
    shown = [f"[{host}]" if ":" in host else host for host in hosts]
    return [f"{settings.scheme}://{host}:{port}/" for host in shown]


def announcement(settings: Settings, port: int, *, shows_token: bool) -> list[str]:
    """Return what is said once at the start; a token that the user knows is not repeated."""
    ending = _fragment(settings) if shows_token else "#token=…" if settings.token else ""
    lines = [f"streamgen redraws with {settings.row.name} at {settings.size}. The page is at"]
    lines += [f"  {url}{ending}" for url in page_urls(settings, port)]
    if not settings.is_loopback and settings.tls is None:
        lines.append("Browsers give cameras to https and localhost only: --tls auto, or a proxy.")
    if settings.tls is not None:
        lines += settings.tls.advice()
    if settings.adapter is not None:
        lines.append(f"Motion adapter: {settings.adapter.name}")
    if settings.loras:
        lines.append(f"LoRAs to choose from: {len(Shelf(settings.loras).names())}")
    if settings.recording is not None:
        lines.append(f"Who may control a stream can record it to {settings.recording.folder}")
    return [*lines, "The model is being loaded. Ctrl-C stops."]


def _fragment(settings: Settings) -> str:
    """Return what browsers keep to themselves: a fragment is never sent to a server."""
    return f"#token={settings.token}" if settings.token else ""


def _certificate(
    text: str, settings: Settings, environ: Mapping[str, str]
) -> tls.Certificate | None:
    if text == "off":
        return None
    if text != "auto":
        return tls.given(text)
    public = [settings.public_ip] if settings.public_ip else []
    names = tls.names_of(settings.host, [*settings.public_names, *public])
    return tls.own(cache_root(environ) / "tls", names, now=datetime.now(UTC))


def _token(given: str | None, environ: Mapping[str, str]) -> str | None:
    if given not in (None, "auto"):
        return given
    made = secrets.token_urlsafe(24) if given == "auto" else None
    return environ.get(TOKEN_VARIABLE) or made


def _drain_s(given: int | None, host: str) -> float:
    if given is not None:
        return given
    return 1.0 if is_loopback(host) else 10.0


def _udp_ports(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r}: write FIRST-LAST, as 50000-50100")
    return int(first), int(last)


def _add_door_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--host", default="127.0.0.1", help="127.0.0.1 by default; 0.0.0.0 for all who reach it")
    add("--port", type=whole_number(0, 65535), default=7860, metavar="N", help="7860 by default")
    add(
        "--token",
        nargs="?",
        const="auto",
        metavar="TEXT|auto",
        help=f"what visitors must know; auto: what {TOKEN_VARIABLE} holds, or a new one; needed"
        " where others reach the host",
    )
    add(
        "--tls",
        default="off",
        metavar="off|auto|CERT,KEY",
        help="auto: a certificate by an authority of this machine; off by default",
    )
    add(
        "--public-name",
        action="append",
        default=[],
        metavar="NAME",
        help="under which the server is reached, too; may be repeated",
    )
    add(
        "--origin",
        action="append",
        default=[],
        metavar="URL",
        help="of a page from elsewhere that may use this server; may be repeated",
    )


def _add_network_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--public-ip", metavar="IP", help="of a server behind NAT or in a container")
    add("--udp-ports", type=_udp_ports, metavar="A-B", help="for media; any by default")
    add("--stun", action="append", default=[], metavar="URL", help="stun:HOST:PORT; none")
    add("--turn", action="append", default=[], metavar="URL", help="turn:HOST:PORT; none")
    add(
        "--turn-secret",
        type=Path,
        metavar="FILE",
        help="holds coturn's static-auth-secret; visitors get passwords that last an hour",
    )
    add(
        "--codec",
        choices=("auto", "vp8", "h264"),
        default="auto",
        help="of the pictures; auto by default",
    )
    add(
        "--drain",
        type=whole_number(0, 3600),
        metavar="S",
        help="seconds that visitors are given when the server is told to stop; 10 by default, 1"
        " where it is for this machine alone",
    )
