"""`streamgen devices`: what live pictures can come from and go to here, and how to get the rest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

from streamgen.cli.json_report import add_json_option, check_report, save_report
from streamgen.errors import StreamgenError
from streamgen.sinks.window import open_display
from streamgen.sources.cameras import Driver, driver_of
from streamgen.sources.screen import Grabber, open_mss, show

_WINDOWS = "no single one can be taken, give a part of a screen: screen:1?region=x,y,WxH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """location: what `run` takes for it. about: name or size. obstacle: what is in the way."""

    location: str
    about: str
    obstacle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The devices of one kind, and how to get one where none is found."""

    devices: list[Device] = field(default_factory=list)
    advice: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_json_option(parser)


def execute(args: argparse.Namespace) -> int:
    """Print what is there."""
    check_report(args.json)
    found = {
        "cameras": cameras(lambda: driver_of(sys.platform)),
        "screens": screens(open_mss),
        "windows": Found(advice=_WINDOWS),
        "preview": preview(open_display),
    }
    if args.json:
        save_report({kind: asdict(each) for kind, each in found.items()}, args.json)
        return 0
    for line in told(found):
        print(line)
    return 0


def cameras(driver: Callable[[], Driver]) -> Found:
    """List the cameras of a driver."""
    try:
        chosen = driver()
    except StreamgenError as error:
        return Found(advice=str(error))
    listed = chosen.listed()
    if listed is None:
        return Found(advice="they cannot be listed here: try camera:0, camera:1")
    devices = [
        Device(location=f"camera:{each.number}", about=each.name, obstacle=each.obstacle)
        for each in listed
    ]
    return Found(devices=devices, advice=None if devices else chosen.absent)


def screens(grabber: Callable[[], Grabber]) -> Found:
    """List the monitors that can be seen."""
    try:
        eye = grabber()
        try:
            monitors = eye.monitors()
        finally:
            eye.close()
    except StreamgenError as error:
        return Found(advice=str(error).removeprefix("screen: "))
    numbered = [(str(number), each) for number, each in enumerate(monitors)]
    return Found(
        devices=[
            Device(location=f"screen:{number}", about=show(each)) for number, each in numbered[1:]
        ]
    )


def preview(display: Callable[[], object]) -> Found:
    """Tell whether a window can be opened."""
    try:
        display()
    except StreamgenError as error:
        return Found(advice=str(error).removeprefix("output 'window:': "))
    return Found(devices=[Device(location="window:", about="shows what is drawn")])


def told(found: dict[str, Found]) -> Iterable[str]:
    """Return the lines to print."""
    for kind, each in found.items():
        yield kind
        for device in each.devices:
            obstacle = f": {device.obstacle}" if device.obstacle else ""
            yield f"  {device.location:<10} {device.about}{obstacle}"
        if each.advice is not None:
            yield f"  none: {each.advice}"
