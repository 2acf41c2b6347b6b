"""A virtual camera, which programs on this machine take for a real one; knows no network.

The library behind it, pyvirtualcam, is under the GPL: it is imported here alone, when a device is
opened, and by `streamgen vcam`, which is a process of its own.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast  # Any: a library without types

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from streamgen.errors import SinkError
from streamgen.frame import Pixels
from streamgen.sources.convert import Converter, Stance
from streamgen.sources.geometry import Size

PACKAGE = "pyvirtualcam"
INSTALL = "pip install 'streamgen[vcam]'"
_HINTS = {
    "linux": "sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=streamgen makes one"
    " (Debian, Ubuntu: sudo apt install v4l2loopback-dkms before)",
    "darwin": "install OBS 30 or newer, start and stop its virtual camera once, and close OBS",
    "win32": "install OBS 26 or newer, which brings one, or Unity Capture",
}
#: What its backends say where a device is there, and another hint would lead astray.
_IS_THERE = ("permission", "in use", "could not be configured")
_NONE_FOUND = "No v4l2 loopback device found"
# What programs expect of a camera: BT.601 of either kind, or nothing said (numbers of H.273).
_BT601 = (2, 5, 6)
_BLACK_Y, _BLACK_UV = 16, 128
_TRIAL = Size(640, 480)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraOptions:
    """fps: what programs are told. device: as the system calls it; None takes the first one.

    backend: of pyvirtualcam; None tries all that this system has.
    """

    fps: int = 30
    device: str | None = None
    backend: str | None = None


class Device(Protocol):
    """An open virtual camera; made and used by one thread."""

    @property
    def device(self) -> str:
        """What the system calls it."""
        ...

    def send(self, frame: Pixels) -> None:
        """Show a picture: uint8, Y, U and V one after the other, BT.601 in limited range."""
        ...

    def close(self) -> None: ...


Open = Callable[[Size, CameraOptions], Device]


def check_package(package: str = PACKAGE) -> None:
    """Raise SinkError, which says how to get it, where the library is not installed."""
    if importlib.util.find_spec(package) is None:
        raise SinkError(f"virtual camera: needs the library {package}: {INSTALL}")


def try_device(options: CameraOptions, *, open_device: Open | None = None) -> None:
    """Raise SinkError where there is no device; one that is busy may yet take another size."""
    try:
        (open_device or open_pyvirtualcam)(_TRIAL, options).close()
    except SinkError as error:
        if not any(word in str(error) for word in _IS_THERE):
            raise


def open_pyvirtualcam(size: Size, options: CameraOptions) -> Device:
    """Open a device for pictures of this size; SinkError says what is missing."""
    check_package()
    library: Any = importlib.import_module(PACKAGE)
    known: list[str] = list(library.camera.BACKENDS)
    if options.backend not in (None, *known):
        raise SinkError(
            f"virtual camera backend {options.backend!r}: choose {', '.join(sorted(known))}"
        )
    try:
        device: Device = library.Camera(
            width=size.width,
            height=size.height,
            fps=float(options.fps),
            fmt=library.PixelFormat.I420,
            device=options.device,
            backend=options.backend,
        )
    except RuntimeError as error:
        raise SinkError(refusal(str(error), options.device, platform=sys.platform)) from error
    return device


def refusal(reason: str, device: str | None, *, platform: str) -> str:
    """Return the sentence for a device that cannot be opened; reason: pyvirtualcam's."""
    lines = [line.partition(" backend: ")[2] or line for line in reason.splitlines()]
    said = "; ".join(line.strip().rstrip(".") for line in lines)
    if _NONE_FOUND in said:
        said = "there is none on this machine"
    name = f"virtual camera '{device}'" if device else "virtual camera"
    hint = _HINTS.get(platform)
    if hint is None or any(word in said for word in _IS_THERE):
        return f"{name}: {said}"
    return f"{name}: {said}: {hint}"


class VirtualCamera:
    """Shows pictures of any size; a new size opens the device anew.

    Where the device does not take the new size, as some do not while a program watches, it keeps
    the old one, and the pictures are fitted into that. Used by one thread.
    """

    def __init__(
        self, options: CameraOptions, *, say: Callable[[str], None], open_device: Open | None = None
    ) -> None:
        """say: told in a sentence what is shown where. open_device: None is pyvirtualcam."""
        self._options = options
        self._say = say
        self._open_device = open_device or open_pyvirtualcam
        self._device: Device | None = None
        self._size = _TRIAL
        self._refused: Size | None = None
        self._converter = Converter(_TRIAL, fit="letterbox")
        self._reformatter = VideoReformatter()

    def show(self, picture: VideoFrame) -> None:
        """Show a picture; SinkError where there is no device for it."""
        size = _even(picture)
        if self._device is None or size not in (self._size, self._refused):
            self._change_to(size)
        self._send(self._planes(picture))

    def show_black(self) -> None:
        """Show nothing, in the size of the last picture."""
        if self._device is not None:
            area = self._size.width * self._size.height
            planes = np.full(area + area // 2, _BLACK_Y, np.uint8)
            planes[area:] = _BLACK_UV
            self._send(planes)

    def close(self) -> None:
        """Let go of the device; the second time changes nothing."""
        device, self._device = self._device, None
        if device is not None:
            device.close()

    def _change_to(self, size: Size) -> None:
        had_one, self._refused = self._device is not None, None
        self.close()
        try:
            device = self._open_device(size, self._options)
        except SinkError as error:
            if not had_one:
                raise
            device = self._open_device(self._size, self._options)
            self._refused = size
            self._say(
                f"The virtual camera {device.device} stays at {self._size}, into which the"
                f" pictures of {size} are fitted ({error})."
            )
        else:
            self._size, self._converter = size, Converter(size, fit="letterbox")
            self._say(f"The virtual camera {device.device} shows pictures of {size}.")
        self._device = device

    def _planes(self, picture: VideoFrame) -> Pixels:
        """Return the picture as the device takes it; copied once where it fits as it is."""
        is_plain = (
            picture.format.name == "yuv420p"
            and (picture.width, picture.height) == (self._size.width, self._size.height)
            and picture.color_range != ColorRange.JPEG
            and picture.colorspace in _BT601
        )
        if not is_plain:
            pixels = self._converter.convert(picture, Stance())
            picture = self._reformatter.reformat(
                VideoFrame.from_ndarray(pixels, format="rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=ColorRange.MPEG,
            )
        return cast(Pixels, picture.to_ndarray()).reshape(-1)

    def _send(self, planes: Pixels) -> None:
        assert self._device is not None, "it was opened before"
        try:
            self._device.send(planes)
        except (RuntimeError, OSError) as error:
            name = self._device.device
            raise SinkError(f"virtual camera '{name}' takes no more pictures: {error}") from error


def _even(picture: VideoFrame) -> Size:
    """Return the size without the odd column or row, which its chroma planes cannot have."""
    return Size(max(2, picture.width & ~1), max(2, picture.height & ~1))
