"""The process that owns a device: a worker behind a pipe of plain data and slots of shared memory.

    parent                        pipe                         child
    WorkerProcess   ── open, put, patch, finish, … ──────▶   Worker, called by its pipe's thread
                    ◀── replies, "frame", beats ───────────   WorkerLoop, the device's thread

Imports nothing that needs torch before `run_child` has set up the process.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any  # Any: plain data, as JSON has it

from streamgen.config import StreamConfig
from streamgen.errors import ModelError, StreamgenError
from streamgen.shared import FrameSlot

if TYPE_CHECKING:
    from streamgen.worker import Worker

logger = logging.getLogger(__name__)

Message = Mapping[str, Any]
#: How often the process shows that it is alive.
BEAT_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildOptions:
    """What a child is started with.

    threads: for the networks on a CPU. make_worker: "module:function" that returns the worker; only
    tests and benchmarks give another than the default. lora_places: folders and files, as text.
    """

    threads: int
    max_streams: int
    min_fps: float
    make_worker: str = "streamgen.child:make_worker"
    lora_places: tuple[str, ...] = ()


def make_worker(options: ChildOptions) -> Worker:
    """Return a worker on real models."""
    from concurrent.futures import ThreadPoolExecutor
    from functools import partial
    from pathlib import Path

    from streamgen.admission import Limits
    from streamgen.lora.shelf import Shelf
    from streamgen.models.engines import load_engines
    from streamgen.models.footprint import needed_bytes
    from streamgen.models.prebuild import prebuild
    from streamgen.threads import use_threads
    from streamgen.worker import Worker

    use_threads(options.threads)
    compiling = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compiling")
    shelf = Shelf([Path(place) for place in options.lora_places])
    return Worker(
        partial(load_engines, executor=compiling, prebuild=prebuild, start="at_once", shelf=shelf),
        limits=Limits(max_streams=options.max_streams, min_fps=options.min_fps),
        executor=ThreadPoolExecutor(max_workers=1, thread_name_prefix="loading"),
        needed_bytes=needed_bytes,
        defaults=known_controls,
    )


def known_controls(config: StreamConfig) -> Mapping[str, object]:
    """Return the defaults of a model as far as they are known before it is loaded."""
    from streamgen.models.registry import find_model, with_motion

    try:
        return with_motion(find_model(config.model), config.motion).controls
    except ModelError:
        return {}  # loading it will say what is wrong


def run_child(connection: Connection, options: ChildOptions) -> None:
    """Serve one parent until it says stop, or is gone."""
    # The parent decides when to end; Ctrl-C in a terminal reaches the whole group of processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    from importlib import import_module

    from streamgen.loop import WorkerLoop

    # Libraries that show progress would make named semaphores, which outlive a killed process.
    import_module("tqdm").tqdm.set_lock(RLock())
    module, _, function = options.make_worker.partition(":")
    worker = getattr(import_module(module), function)(options)
    server = _Server(connection, worker)
    with WorkerLoop(worker, on_turn=server.after_turn) as loop:
        while loop.is_running and server.serve_one():
            pass
    if loop.error is not None:
        logger.error("the device loop ended: %r", loop.error)
        raise SystemExit(1) from loop.error


class _Server:
    """Turns messages into calls of the worker, and its pictures into messages."""

    def __init__(self, connection: Connection, worker: Worker) -> None:
        self._connection = connection
        self._worker = worker
        self._slots: dict[str, tuple[FrameSlot, FrameSlot]] = {}
        # Two threads write to the pipe: this one's replies, the device's pictures and beats.
        self._writing = Lock()
        # Held while a picture is copied, so that no slot is closed under it.
        self._copying = Lock()
        self._last_beat = self._last_turn = time.monotonic()

    def serve_one(self) -> bool:
        """Wait for a message and answer it; False when there will be no more."""
        is_asked = self._connection.poll(BEAT_S)
        self._beat()
        if not is_asked:
            return True
        try:
            message = json.loads(self._connection.recv_bytes())
        except EOFError:
            return False
        if message["do"] == "stop":
            return False
        if message["do"] == "frame":
            self._take_in(message["name"])
            return True
        handle: Callable[[Message], object] = getattr(self, f"_{message['do']}")
        try:
            answer = {"id": message["id"], "ok": handle(message)}
        except StreamgenError as error:
            answer = {"id": message["id"], "error": type(error).__name__, "says": str(error)}
        self._send(answer)
        return True

    def after_turn(self) -> None:
        """Hand out the pictures that are ready; called by the device's thread."""
        with self._copying:
            ready = []
            for name, (_, outbox) in self._slots.items():
                while (frame := self._worker.take(name)) is not None:
                    outbox.write(frame)
                    ready.append(name)
        for name in ready:
            self._send({"frame": name})
        self._last_turn = time.monotonic()

    def _beat(self) -> None:
        """Show that the process is alive, and for how long the device's thread was busy."""
        now = time.monotonic()
        if now - self._last_beat >= BEAT_S:
            self._last_beat = now
            self._send({"beat": now - self._last_turn})

    def _open(self, message: Message) -> None:
        config = StreamConfig(**message["config"])
        size = (config.width, config.height)
        name = message["name"]
        self._worker.open(name, config, message["controls"])
        inbox, outbox = (FrameSlot.attach(message[key], *size) for key in ("inbox", "outbox"))
        with self._copying:
            self._slots[name] = (inbox, outbox)

    def _take_in(self, name: str) -> None:
        if name not in self._slots:
            return
        read = self._slots[name][0].read()
        if read is not None:
            frame, passed = read
            self._worker.put(name, frame, passed=passed)

    def _patch(self, message: Message) -> object:
        keys = ("hand", "sequence", "over_s")
        options = {key: message[key] for key in keys}
        patched = self._worker.patch(message["name"], message["changes"], **options)
        return {
            "revision": patched.revision,
            "is_stale": patched.is_stale,
            "controls": patched.controls.model_dump(mode="json"),
        }

    def _finish(self, message: Message) -> None:
        self._worker.finish(message["name"], is_on=message["is_on"])

    def _status(self, message: Message) -> object:
        return asdict(self._worker.status(message["name"]))

    def _groups(self, message: Message) -> object:
        return [asdict(group) for group in self._worker.groups()]

    def _close(self, message: Message) -> object:
        with self._copying:
            slots = self._slots.pop(message["name"], ())
            status = asdict(self._worker.close(message["name"]))
            for slot in slots:
                slot.close()
        return status

    def _send(self, message: Message) -> None:
        data = json.dumps(message, separators=(",", ":")).encode()
        with self._writing:
            self._connection.send_bytes(data)
