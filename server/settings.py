"""What a server is started with, and whether that makes sense; knows no command line."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aiortc import RTCIceServer

from server.ice import IceServer, IceSettings, ice_servers
from server.limits import LOOPBACK_RATES, Rates
from server.recorder_files import RecordingPlace
from server.rules import MotionRules, SessionRules
from server.tls import Certificate
from streamgen.errors import ConfigError
from streamgen.lora.shelf import Shelf
from streamgen.models.registry import ModelRow, find_model, with_motion
from streamgen.motion.table import AdapterRow, find_adapter
from streamgen.sources.geometry import Size

#: What a page may ask for besides the size that the server was started with.
SIZES = tuple(
    Size(width=width, height=height)
    for width, height in (
        (192, 192), (256, 256), (320, 320), (384, 384), (448, 448), (512, 512), (768, 768),
        (1024, 1024),
        (320, 240), (448, 336), (512, 384), (640, 480),
        (320, 184), (448, 256), (512, 288), (640, 360), (1024, 576),
    )
)  # fmt: skip
#: Of one picture: four times the area that a model is best at is as much as is offered.
LARGEST_AREA = 4
SHORTEST_TOKEN = 16
LONGEST_TOKEN = 256
WILDCARDS = ("0.0.0.0", "::")
_ORIGIN = re.compile(r"https?://[\w.\-\[\]:]+")
_NAME = re.compile(r"[\w\-]+(\.[\w\-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that is decided before the first request.

    public_names: under which the server is reached besides its host. origins: pages from elsewhere
    that may use it. drain_s: how long those who are connected are given on SIGTERM. recording:
    None where nothing may be recorded. make_worker: "module:function" of another worker, for
    measurements and tests. loras: folders and files of those that visitors may use.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    public_names: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    token: str | None = None
    tls: Certificate | None = None
    model: str = "tiny"
    backend: str = "auto"
    precision: str = "auto"
    device: str = "auto"
    loras: tuple[Path, ...] = ()
    motion: MotionRules = field(default_factory=MotionRules)
    size: Size = field(default_factory=lambda: Size(width=256, height=256))
    max_sessions: int = 4
    ice: IceSettings = field(default_factory=IceSettings)
    public_ip: str | None = None
    udp_ports: tuple[int, int] | None = None
    codec: Literal["auto", "vp8", "h264"] = "auto"
    drain_s: float = 10.0
    recording: RecordingPlace | None = None
    debug_barcode: bool = False
    make_worker: str | None = None

    def check(self) -> None:
        """Raise ConfigError, in one sentence, for what cannot be or would be unsafe."""
        _check_token(self.token)
        if not self.is_loopback and self.token is None:
            raise ConfigError(
                f"host {self.host!r} can be reached by others: add --token auto, or --token TEXT"
            )
        for name in self.public_names:
            if not _NAME.fullmatch(name):
                raise ConfigError(f"--public-name {name!r}: give a name without scheme and port")
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise ConfigError(f"--origin {origin!r}: write https://NAME or https://NAME:PORT")
        self.ice.check()
        _check_address(self.public_ip)
        _check_ports(self.udp_ports, self.max_sessions)
        if self.recording is not None:
            self.recording.limits.check()
        Shelf(self.loras).check()
        self.row.check_size(self.size.width, self.size.height)
        self.rules().config(self.size)

    @property
    def row(self) -> ModelRow:
        """What is known of the model before it is loaded."""
        return with_motion(find_model(self.model), self.motion.adapter)

    @property
    def adapter(self) -> AdapterRow | None:
        """What is known of the motion adapter; None where there is none."""
        return find_adapter(self.row.motion) if self.row.has_motion else None

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def scheme(self) -> Literal["http", "https"]:
        return "https" if self.tls else "http"

    @property
    def rates(self) -> Rates:
        """What one address may do."""
        return LOOPBACK_RATES if self.is_loopback else Rates()

    @property
    def sizes(self) -> tuple[Size, ...]:
        """What pages may choose from, with the server's own size among them."""
        offered = {self.size, *(size for size in SIZES if _fits(self.row, size))}
        return tuple(sorted(offered, key=lambda size: (size.width * size.height, size.width)))

    def ice_servers(self, name: str) -> tuple[IceServer, ...]:
        """Return what one peer is told; passwords count from this moment."""
        return ice_servers(self.ice, name=name, now_s=time.time())

    def rules(self) -> SessionRules:
        """Return what holds for every session."""
        adapter = self.adapter
        return SessionRules(
            model=self.model,
            size=self.size,
            sizes=self.sizes,
            backend=self.backend,
            precision=self.precision,
            device=self.device,
            swaps_weights=bool(self.loras),
            motion=self.motion,
            motion_name=None if adapter is None else adapter.name,
            seats=self.max_sessions,
            codec=self.codec,
            ice_servers=_for_aiortc(lambda: self.ice_servers("server")),
            public_ip=self.public_ip,
            barcode=self.debug_barcode,
        )


def is_loopback(host: str) -> bool:
    """Whether a host can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _for_aiortc(servers: Callable[[], tuple[IceServer, ...]]) -> Callable[[], list[RTCIceServer]]:
    def made() -> list[RTCIceServer]:
        return [
            RTCIceServer(urls=list(each.urls), username=each.username, credential=each.credential)
            for each in servers()
        ]

    return made


def _fits(row: ModelRow, size: Size) -> bool:
    try:
        row.check_size(size.width, size.height)
    except ConfigError:
        return False
    return size.width * size.height <= LARGEST_AREA * row.area_px


def _check_token(token: str | None) -> None:
    if token is None:
        return
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN or not re.fullmatch(r"[!-~]+", token):
        raise ConfigError(
            f"--token of {len(token)} characters: give {SHORTEST_TOKEN} to {LONGEST_TOKEN} letters,"
            " digits and signs without spaces, or auto"
        )


def _check_address(public_ip: str | None) -> None:
    if public_ip is None:
        return
    try:
        ipaddress.IPv4Address(public_ip)
    except ValueError as error:
        says = f"--public-ip {public_ip!r}: give an IPv4 address, as 203.0.113.7"
        raise ConfigError(says) from error


def _check_ports(ports: tuple[int, int] | None, sessions: int) -> None:
    if ports is None:
        return
    first, last = ports
    if not 1024 <= first <= last <= 65535:
        raise ConfigError(f"--udp-ports {first}-{last}: two ports from 1024 to 65535, rising")
    if last - first + 1 < sessions:
        raise ConfigError(
            f"--udp-ports {first}-{last}: {sessions} sessions need {sessions} ports at least"
        )
