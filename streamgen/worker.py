"""The owner of a device: the newest frame of each stream in, redrawn frames out.

    put ─▶ [inbox] ─▶ tick: oldest group, all its streams in one batch ─▶ [outbox] ─▶ take

`tick` needs neither a thread nor a clock; `loop.py` calls it from a thread. The other methods may
be called from any thread and never wait for the device.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from threading import Event, Lock

import torch

from streamgen.admission import Limits, Load, check_room, free_bytes
from streamgen.channel import Channel, StreamStatus
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.early import EarlyPatches
from streamgen.errors import ConfigError
from streamgen.frame import Frame
from streamgen.group import Group, GroupStatus
from streamgen.hub import Patched
from streamgen.models.engines import Engines, find_device

logger = logging.getLogger(__name__)

#: A stream whose frames stop coming gets those under way after this time.
SETTLE_NS = 200_000_000


class Worker:
    """Draws any number of streams of any number of `StreamConfig`s, in turns."""

    def __init__(
        self,
        load: Callable[[StreamConfig], Engines],
        *,
        limits: Limits | None = None,
        executor: Executor | None = None,
        needed_bytes: Callable[[StreamConfig], int] = lambda config: 0,
        defaults: Callable[[StreamConfig], Mapping[str, object]] = lambda config: {},
    ) -> None:
        """load: of a model, slow. executor: where models are loaded and sentences read; None does
        it in the caller. needed_bytes: what a model will take. defaults: controls of a model, as
        known before it is loaded."""
        self.wake = Event()
        self.limits = limits or Limits()
        self._load = load
        self._executor = executor
        self._needed_bytes = needed_bytes
        self._defaults = defaults
        # Under the lock: the two tables; never held while networks run or load.
        self._lock = Lock()
        self._channels: dict[str, Channel] = {}
        # The one that was left last is the last.
        self._groups: dict[StreamConfig, Group] = {}
        self._unused: list[Group] = []

    def open(self, name: str, config: StreamConfig, controls: Mapping[str, object]) -> None:
        """Begin a stream; frames may be put at once and are drawn when its model is ready.

        Raises Full where there is no room, ConfigError for a name that is taken and for controls
        that cannot be. What goes wrong while loading is in the stream's status.
        """
        early = EarlyPatches(controls_from(controls, defaults=self._defaults(config)))
        with self._lock:
            if name in self._channels:
                raise ConfigError(f"stream {name!r} is open already: choose another name")
            self._check_room(config)
            group = self._groups.get(config)
            if group is None:
                group = self._groups[config] = Group(config=config)
            channel = Channel(name=name, group=group, given=dict(controls), early=early)
            self._channels[name] = channel
            group.channels.append(channel)
        if group.pipeline is not None:
            self._begin(channel)
        elif group.loading is None:
            group.loading = self._submitted(self._load_group, group)
        self.wake.set()

    def put(self, name: str, frame: Frame, *, passed: int = 0) -> None:
        """Offer a stream's newest frame; one that still waits is dropped for it, and counted.

        passed: frames before it that were overtaken on their way here.
        """
        self._channel(name).offer(frame, passed)
        self.wake.set()

    def take(self, name: str) -> Frame | None:
        """Return the newest picture of a stream that was not taken yet."""
        return self._channel(name).shown()

    def patch(
        self,
        name: str,
        changes: Mapping[str, object],
        *,
        hand: str = "api",
        sequence: int | None = None,
        over_s: float = 0.0,
    ) -> Patched:
        """Change a stream's controls, as `ControlHub.patch` does, from its opening on."""
        channel = self._channel(name)
        patched = channel.patch(changes, hand=hand, sequence=sequence, over_s=over_s)
        self.wake.set()
        return patched

    def finish(self, name: str, *, is_on: bool = True) -> None:
        """Have what is under way in a stream drawn next, before any other stream's frames.

        Frames that still come are drawn as the first of a stream is, with all their steps at once,
        until it is closed, or is to go on as before: is_on False.
        """
        self._channel(name).is_finishing = is_on
        self.wake.set()

    def status(self, name: str) -> StreamStatus:
        """Tell how a stream is doing."""
        return self._channel(name).status()

    def groups(self) -> list[GroupStatus]:
        """Tell what is loaded and how fast it is."""
        with self._lock:
            groups = list(self._groups.values())
        return [group.status() for group in groups]

    def close(self, name: str) -> StreamStatus:
        """End a stream; what is under way is dropped and counted. Returns its last status."""
        with self._lock:
            channel = self._channels.pop(name, None)
            if channel is None:
                raise ConfigError(f"stream {name!r} is not open")
            channel.group.channels.remove(channel)
            if not channel.group.channels:
                self._leave(channel.group)
        self.wake.set()
        return channel.close()

    def tick(self, now_ns: int) -> bool:
        """Draw one batch of the group that has waited longest; False where nothing waits."""
        with self._lock:
            groups = [group for group in self._groups.values() if group.pipeline is not None]
            unused, self._unused = self._unused, []
        for group in unused:
            group.close()
        for group in groups:
            group.look_up()
        finished = [group.finish(now_ns) for group in groups]
        if any(finished):
            return True
        since = [(group.waits_since(), k) for k, group in enumerate(groups)]
        waiting = [(each, k) for each, k in since if each is not None]
        if waiting:
            _, oldest = min(waiting)
            groups[oldest].draw(now_ns)
            return True
        settled = [group.settle(now_ns, SETTLE_NS) for group in groups]
        return any(settled)

    def _channel(self, name: str) -> Channel:
        with self._lock:
            if name not in self._channels:
                raise ConfigError(f"stream {name!r} is not open")
            return self._channels[name]

    def _check_room(self, config: StreamConfig) -> None:
        group = self._groups.get(config)
        busy_ms = sum(each.frame_ms * len(each.channels) for each in self._groups.values())
        check_room(
            Load(
                streams=len(self._channels),
                stream_ms=group.frame_ms or None if group else None,
                busy_ms=busy_ms,
                needed_bytes=0 if group else self._needed_bytes(config),
                free_bytes=free_bytes(torch.device(find_device(config.device))),
            ),
            self.limits,
        )

    def _leave(self, group: Group) -> None:
        """See to a group that nobody uses any more: some stay loaded, one that failed does not."""
        del self._groups[group.config]
        if group.failure is None:
            self._groups[group.config] = group
        idle = [each for each in self._groups.values() if each.pipeline and not each.channels]
        for each in idle[: max(len(idle) - self.limits.idle_models, 0)]:
            del self._groups[each.config]
            self._unused.append(each)

    def _submitted(self, work: Callable[..., None], *args: object) -> Future[None]:
        if self._executor is not None:
            return self._executor.submit(work, *args)
        done: Future[None] = Future()
        work(*args)
        done.set_result(None)
        return done

    def _load_group(self, group: Group) -> None:
        """Load the model of a group and begin its streams; what goes wrong is theirs to tell."""
        try:
            group.ready(self._load(group.config))
        # Whatever a model's files hold: its streams say so, the other groups go on.
        except Exception as error:  # noqa: BLE001
            logger.warning("%s cannot be loaded: %s", group.config.model, error)
            group.failure = str(error) or repr(error)
        with self._lock:
            channels = list(group.channels)
        for channel in channels:
            self._begin(channel)
        group.build_upcoming(self.wake.set)
        self.wake.set()

    def _begin(self, channel: Channel) -> None:
        """Open a channel's stream in its group's pipeline, on the executor."""
        self._submitted(channel.begin, self._executor)
