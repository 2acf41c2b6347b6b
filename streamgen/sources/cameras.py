"""Which cameras there are, how each system opens them, and what to do where it fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from streamgen.errors import SourceError

Options = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """number, name: what a user calls it. address: what its driver opens.

    obstacle: a sentence about what is in the way of using it, None where nothing is known to be.
    """

    number: int
    name: str
    address: str
    obstacle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """How a system's cameras are listed and opened, as data for libav.

    listed: the cameras, None where the system cannot tell. address: of a camera that is in no
    list. attempts: options to try one after the other, fast compressed video first; what the user
    asks for takes their place. absent, refused: what helps where none is there, or it will not
    open.
    """

    format: str
    listed: Callable[[], Sequence[Camera] | None]
    address: Callable[[str], str]
    attempts: Sequence[Options]
    absent: str
    refused: str

    def options(self, *, size: str, rate: str) -> list[dict[str, str]]:
        """Return the options to try; "" leaves size or rate to the attempt."""
        asked = {"video_size": size, "framerate": rate}
        return [
            {**attempt, **{name: value for name, value in asked.items() if value}}
            for attempt in self.attempts
        ]


_SYS, _DEV = Path("/sys/class/video4linux"), Path("/dev")
_VIDEO_GROUP = "add yourself to the group video (sudo usermod -aG video $USER) and log in again"


def may_use(device: Path) -> bool:
    """Whether this user may read and set a device."""
    return os.access(device, os.R_OK | os.W_OK)


def list_v4l2(
    sys: Path = _SYS, dev: Path = _DEV, *, is_allowed: Callable[[Path], bool] = may_use
) -> list[Camera]:
    """List the cameras of Linux, by the kernel's own names where it tells them."""
    nodes = sys if sys.is_dir() else dev
    found = {int(path.name[5:]) for path in nodes.glob("video*") if path.name[5:].isdecimal()}
    cameras = []
    for number in sorted(found):
        facts, device = sys / f"video{number}", dev / f"video{number}"
        # A camera has further nodes for metadata, with an index of their own.
        if _read(facts / "index") not in ("", "0"):
            continue
        obstacle = None
        if not device.exists():
            obstacle = f"there is no {device}: in a container, add --device {device}"
        elif not is_allowed(device):
            obstacle = f"{device} may not be read: {_VIDEO_GROUP}"
        name = _read(facts / "name") or device.name
        cameras.append(Camera(number=number, name=name, address=str(device), obstacle=obstacle))
    return cameras


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _list_by_libav(name: str) -> Callable[[], list[Camera] | None]:
    def listed() -> list[Camera] | None:
        try:
            devices = av.enumerate_input_devices(name)
        except (av.FFmpegError, OSError, ValueError):  # not every driver can list
            return None
        cameras = [each for each in devices if "video" in each.media_types]
        return [
            Camera(number=number, name=each.description, address=f"video={each.name}")
            for number, each in enumerate(cameras)
        ]

    return listed


_HD, _VGA = {"video_size": "1280x720", "framerate": "30"}, {"video_size": "640x480"}
DRIVERS: Mapping[str, Driver] = {
    "linux": Driver(
        format="v4l2",
        listed=list_v4l2,
        address=lambda text: text,
        # Over USB 2 a large picture is only fast as JPEG.
        attempts=({"input_format": "mjpeg", **_HD}, {**_VGA, "framerate": "30"}),
        absent="connect one; in a container, add --device /dev/video0",
        refused=_VIDEO_GROUP,
    ),
    "darwin": Driver(
        format="avfoundation",
        listed=lambda: None,  # libav prints the list, but does not return it
        address=lambda text: f"{text or '0'}:none",
        # It refuses its own default rate of 29.97.
        attempts=(_HD, {"framerate": "30"}, {}),
        absent="connect one",
        refused="close other programs that use it, and allow the terminal to use the camera"
        " (System Settings, Privacy & Security, Camera)",
    ),
    "win32": Driver(
        format="dshow",
        listed=_list_by_libav("dshow"),
        address=lambda text: f"video={text}",
        # Its own buffer is smaller than one picture of 1920x1080.
        attempts=({"rtbufsize": "64M", **_HD}, {"rtbufsize": "64M"}),
        absent="connect one",
        refused="close other programs that use it, and allow desktop apps to use the camera"
        " (Settings, Privacy & security, Camera)",
    ),
}


def driver_of(platform: str) -> Driver:
    """Return the driver of a system, named as sys.platform names it."""
    if platform not in DRIVERS:
        raise SourceError(f"camera: has no driver on {platform}: there are {', '.join(DRIVERS)}")
    return DRIVERS[platform]


def find_camera(text: str, driver: Driver) -> Camera:
    """Find a camera by number, name or address, "" being the first that can be used."""
    listed = driver.listed()
    if listed is None:
        return Camera(number=0, name=text or "0", address=driver.address(text))
    if "/" in text and Path(text).exists():
        return Camera(number=0, name=text, address=driver.address(text))
    if not listed:
        raise SourceError(f"input 'camera:{text}': there is no camera here: {driver.absent}")
    usable = [camera for camera in listed if camera.obstacle is None]
    found = _matching(text, listed) if text else (usable or listed)[:1]
    if len(found) != 1:
        many = "several cameras have" if found else "no camera has"
        there = ", ".join(f"camera:{each.number} ({each.name})" for each in listed)
        raise SourceError(f"input 'camera:{text}': {many} that name; there are {there}")
    if found[0].obstacle is not None:
        raise SourceError(f"camera '{found[0].name}' cannot be used: {found[0].obstacle}")
    return found[0]


def _matching(text: str, cameras: Sequence[Camera]) -> list[Camera]:
    if text.isdecimal():
        return [each for each in cameras if each.number == int(text)]
    wanted = text.casefold()
    exact = [each for each in cameras if wanted in (each.name.casefold(), each.address)]
    return exact or [each for each in cameras if wanted in each.name.casefold()]


def refusal(camera: Camera, driver: Driver, error: Exception) -> SourceError:
    """Return the sentence for a camera that will not open."""
    code = error.errno if isinstance(error, (av.FFmpegError, OSError)) else None
    reason = getattr(error, "strerror", None) or str(error)
    help_by_code = {
        errno.EBUSY: "another program uses it: close that one",
        errno.ENOENT: f"it is not there: {driver.absent}",
        errno.ENODEV: f"it is not there: {driver.absent}",
        errno.ENOTTY: "it is no camera",
        errno.EINVAL: "it does not do that: leave out size and rate, or choose others",
    }
    way_out = help_by_code.get(code or 0, f"{reason}: {driver.refused}")
    return SourceError(f"camera '{camera.name}' cannot be opened: {way_out}")
