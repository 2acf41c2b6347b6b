"""Newest frame in, picture out, as time passes; knows no command line.

    source ──▶ [1] ──▶ draw ──▶ [1] ──▶ sink
    thread            thread           caller

No one waits for another: a frame or a picture that is not taken in time gives way to the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from threading import Thread

from streamgen.drawing import Pair
from streamgen.errors import SourceError
from streamgen.frame import Frame, VideoInfo
from streamgen.metrics import WINDOW, Percentiles, percentiles
from streamgen.offline import Artist
from streamgen.sinks import Sink
from streamgen.slot import Slot
from streamgen.sources import Source
from streamgen.sources.live import TIME_BASE, Arrivals

# How often the caller looks up where no picture comes: to be asked to stop, to keep a window alive.
_LOOK_UP_S = 0.1


@dataclass(slots=True, kw_only=True)
class Played:
    """What became of the frames so far.

    read: frames that came from the source; drawn: answered; frames: answers that the sink took.
    not_drawn: gave way to newer frames. ages_ms: from arrival to the sink, of the last frames.
    is_whole: whether it went on to the end of the source. error: what the source ended with.
    """

    read: int = 0
    drawn: int = 0
    frames: int = 0
    not_drawn: int = 0
    is_whole: bool = True
    error: SourceError | None = None
    ages_ms: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    @property
    def not_shown(self) -> int:
        """Pictures that gave way to newer ones before the sink took them."""
        return self.drawn - self.frames

    @property
    def ages(self) -> Percentiles | None:
        """Percentiles of the age, None before the first picture."""
        return percentiles(list(self.ages_ms)) if self.ages_ms else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """Plays a source through an artist into a sink, until its end or until it is stopped.

    clock: monotonic ns, the one the source stamps arrivals with. limit: frames drawn at most.
    is_stopped: asked after each picture and ten times a second. on_frame: told how it goes.
    """

    clock: Callable[[], int]
    limit: int | None = None
    is_stopped: Callable[[], bool] = lambda: False
    on_frame: Callable[[Played], None] = lambda played: None

    def play(self, source: Source, sink: Sink, *, artist: Artist) -> Played:
        """Return what became of the frames; source and sink are left open.

        An error of the source is in the result, as what was made before it is worth keeping; what
        artist or sink raise comes out here.
        """
        played = Played()
        frames: Slot[Frame] = Slot()
        pictures: Slot[Sequence[Frame]] = Slot()
        reader = Thread(target=_read, args=(source, frames), name="source", daemon=True)
        drawer = Thread(
            target=self._draw, args=(artist, frames, pictures, played), name="draw", daemon=True
        )
        reader.start()
        drawer.start()
        try:
            self._show(pictures, sink, frames=frames, played=played)
        except SourceError as error:
            played.error, played.is_whole = error, False
        finally:
            source.interrupt()
            frames.close()
            _join(drawer)
            _join(reader)
        played.read, played.not_drawn = frames.given, frames.given - frames.taken
        return played

    def _draw(
        self,
        artist: Artist,
        frames: Slot[Frame],
        pictures: Slot[Sequence[Frame]],
        played: Played,
    ) -> None:
        """Answer the newest frame, then the newest after that."""
        end: BaseException | None = None

        def hand_over(pairs: Sequence[Pair]) -> None:
            if pairs:
                played.drawn += len(pairs)
                pictures.put([pair.drawn for pair in pairs])

        try:
            try:
                for frame in frames:
                    hand_over(artist.draw(frame))
                    if frames.taken == self.limit:
                        break
            except SourceError as error:
                end = error
            hand_over(artist.finish())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller gets it
            end = error
        frames.close()
        pictures.close(end)

    def _show(
        self,
        pictures: Slot[Sequence[Frame]],
        sink: Sink,
        *,
        frames: Slot[Frame],
        played: Played,
    ) -> None:
        """Write the newest pictures until no more come."""
        arrivals = Arrivals()
        while not pictures.has_ended:
            if pictures.wait(_LOOK_UP_S):
                for picture in pictures.take() or ():
                    sink.write(_stamped(picture, arrivals))
                    played.frames += 1
                    played.ages_ms.append((self.clock() - picture.stamp.ingest_ns) / 1e6)
            else:
                sink.idle()
            played.read, played.not_drawn = frames.given, frames.dropped
            self.on_frame(played)
            if not frames.is_closed and (self.is_stopped() or not sink.is_wanted):
                played.is_whole = not sink.is_wanted
                frames.close()
        pictures.take()  # raises what it ended with


def at_wall_clock(info: VideoInfo) -> VideoInfo:
    """Return what a sink is told of a video that is stamped by the clock."""
    return replace(info, time_base=TIME_BASE, frame_count=None)


def _stamped(picture: Frame, arrivals: Arrivals) -> Frame:
    """Give a picture the time at which its frame arrived."""
    pts = arrivals.pts(picture.stamp.ingest_ns)
    stamp = replace(picture.stamp, pts=pts, time_base=TIME_BASE)
    return Frame(pixels=picture.pixels, stamp=stamp)


def _read(source: Source, frames: Slot[Frame]) -> None:
    """Put every frame of a source into the slot, until either ends."""
    try:
        for frame in source.frames():
            frames.put(frame)
            if frames.is_closed:
                break
        frames.close()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the caller gets it
        frames.close(error)


def _join(thread: Thread) -> None:
    """Wait for a thread, even through an interruption: what it works with is closed next."""
    try:
        thread.join()
    except BaseException:
        thread.join()
        raise
