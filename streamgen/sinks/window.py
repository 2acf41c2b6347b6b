"""A window that shows the newest picture, by Tk, which comes with Python; keeps nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from PIL import Image

from streamgen.errors import SinkError
from streamgen.frame import Frame, Pixels, VideoInfo
from streamgen.sinks.protocol import Sink

if TYPE_CHECKING:
    import tkinter

# A picture that is smaller than this is shown larger.
_SMALLEST_PX = 512


class Window(Protocol):
    """A window on the desktop; made and used by one thread."""

    is_open: bool

    def show(self, pixels: Pixels) -> None:
        """Show a picture, uint8 [H, W, 3]."""
        ...

    def look_after(self) -> None:
        """Answer what the user did to the window."""
        ...

    def close(self) -> None: ...


class WindowSink(Sink):
    """Is wanted until its window is closed; what comes after that is not shown.

    frames: how many were shown.
    """

    def __init__(self, window: Window) -> None:
        self.notes: list[str] = []
        self.frames = 0
        self._window = window

    def write(self, frame: Frame) -> None:
        """Show the frame."""
        if self._window.is_open:
            self._window.show(frame.pixels)
            self.frames += 1
        self.is_wanted = self._window.is_open

    def idle(self) -> None:
        """Keep the window alive."""
        if self._window.is_open:
            self._window.look_after()
        self.is_wanted = self._window.is_open

    def finish(self) -> None:
        """Close the window."""
        self._window.close()

    def abandon(self) -> None:
        """Close the window."""
        self._window.close()


def open_window(info: VideoInfo, *, display: str | None = None) -> WindowSink:
    """Open a window for pictures of this size; SinkError says what is missing.

    display: of X11, None is the one that this session has.
    """
    return WindowSink(_TkWindow(_root(display), info))


def open_display(display: str | None = None) -> None:
    """Try whether there is a display to open windows on; SinkError says what is missing."""
    _root(display).destroy()


def _root(display: str | None) -> tkinter.Tk:
    try:
        import tkinter
    except ImportError as error:
        raise SinkError(
            "output 'window:': this Python comes without Tk: install python3-tk (Debian, Ubuntu)"
            " or python-tk (Homebrew)"
        ) from error
    try:
        return tkinter.Tk(screenName=display, className="streamgen")
    except tkinter.TclError as error:
        raise SinkError(
            f"output 'window:': there is no display to open it on ({error}): run it in a desktop"
            " session, or write a file"
        ) from error


class _TkWindow:
    def __init__(self, root: tkinter.Tk, info: VideoInfo) -> None:
        import tkinter

        from PIL.ImageTk import PhotoImage

        self.is_open = True
        self._root = root
        self._zoom = zoom_of(info)
        size = (info.width * self._zoom, info.height * self._zoom)
        self._image = PhotoImage("RGB", size, master=root)
        root.title("streamgen")
        root.resizable(width=False, height=False)
        tkinter.Label(root, image=self._image, borderwidth=0).pack()
        root.protocol("WM_DELETE_WINDOW", self.close)
        root.bind("<Escape>", lambda event: self.close())

    def show(self, pixels: Pixels) -> None:
        shown = pixels.repeat(self._zoom, axis=0).repeat(self._zoom, axis=1)
        self._image.paste(Image.fromarray(shown))
        self._root.update()

    def look_after(self) -> None:
        self._root.update()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._root.destroy()


def zoom_of(info: VideoInfo) -> int:
    """Return how many pixels of the screen stand for one of the picture, each way."""
    return max(1, -(-_SMALLEST_PX // max(info.width, info.height)))
