"""Networks bound to their tensors, one port for each batch size; knows not what they compute."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock

import torch
from torch import Tensor

from engines.binding import torch_dtype
from engines.protocol import Binding, CompiledModule

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A network bound to its own tensors for one batch size.

    release: gives it back. compiled: where its weights can be swapped.
    """

    inputs: Mapping[str, Tensor]
    binding: Binding
    release: Callable[[], None] = lambda: None
    compiled: CompiledModule | None = None

    def run(self, **values: Tensor) -> Mapping[str, Tensor]:
        """Copy the values into the bound inputs and return the bound outputs (overwritten next).

        Inputs that are not among the values stay as they are.
        """
        for name, value in values.items():
            self.inputs[name].copy_(value)
        self.binding.run()
        return self.binding.outputs

    def swapped(self, delta: Mapping[str, Tensor]) -> Port:
        """Return the port with these weights; not while it runs, and not to be used itself then."""
        assert self.compiled is not None, "only ports of compiled networks are swapped"
        if not delta or not self.compiled.swap_weights(delta).needs_binding:
            return self
        return replace(self, binding=self.compiled.bind(self.inputs, dict(self.binding.outputs)))


def port_of(
    compiled: CompiledModule, *, device: torch.device, shared: Mapping[str, Tensor]
) -> Port:
    """Return a network bound to new tensors, but for the inputs that it shares with other ports."""
    inputs = {
        each.name: shared[each.name]
        if each.name in shared
        else torch.zeros(each.usual_shape, dtype=torch_dtype(each), device=device)
        for each in compiled.spec.inputs
    }
    bound = compiled.bind(inputs)
    return Port(inputs=inputs, binding=bound, release=compiled.close, compiled=compiled)


Change = Callable[[str, Port], Port]


class Ports:
    """Runs batches of any size on ports of the sizes that there are.

    A size that is missing is compiled by who needs it; with an executor, it is compiled there,
    and until it is ready the batch goes through the smaller sizes.
    """

    def __init__(
        self,
        compile: Callable[[str, int], Port],
        sizes: Sequence[int],
        *,
        executor: Executor | None = None,
        admit: Change = lambda role, port: port,
    ) -> None:
        """compile: returns the port of a network for a batch size, slow. sizes: rising from 1; ()
        where any will do. admit: the last touch to a port before it may be run; never at the same
        time as `changing`."""
        self._compile = compile
        self._admit = admit
        self._sizes = tuple(sizes)
        self._executor = executor
        self._ports: dict[tuple[str, int], Port] = {}
        self._under_way: dict[tuple[str, int], Future[None]] = {}
        # Held for the bookkeeping of what is added and of the end; who runs a network never waits.
        self._lock = Lock()
        self._is_closed = False

    @property
    def executor(self) -> Executor | None:
        """Where what is missing is compiled; None: by who needs it."""
        return self._executor

    @property
    def ready(self) -> frozenset[tuple[str, int]]:
        """What can be run without a wait: names of networks, and their batch sizes."""
        return frozenset(self._ports)

    def prepare(self, role: str, batch: int) -> None:
        """Compile what a batch of this size needs, here and now."""
        for size in parts_of(batch, self._sizes):
            self._port(role, size)

    def close(self) -> None:
        """Give all networks back; one that is still being compiled, when it comes."""
        with self._lock:
            self._is_closed = True
            ports, self._ports = self._ports, {}
        for future in self._under_way.values():
            future.cancel()
        for port in ports.values():
            port.release()

    @contextmanager
    def changing(self) -> Iterator[Callable[[Change], None]]:
        """Give what puts others in the place of all ports; none of them may run meanwhile.

        No port comes in until the end of the context.
        """
        with self._lock:

            def change(make: Change) -> None:
                for (role, size), port in list(self._ports.items()):
                    self._ports[role, size] = make(role, port)

            yield change

    def drop(self, roles: Collection[str]) -> None:
        """Give back all ports of some networks; they are compiled anew when they are needed."""
        with self._lock:
            dropped = [key for key in self._ports if key[0] in roles]
            ports = [self._ports.pop(key) for key in dropped]
            for key in dropped:
                self._under_way.pop(key, None)
        for port in ports:
            port.release()

    def run(self, role: str, **values: Tensor) -> Tensor:
        """Run a network on a batch of any size; the answer is valid until the next call.

        Of a network with several outputs it is the first.
        """
        return next(iter(self.run_all(role, **values).values()))

    def run_all(self, role: str, **values: Tensor) -> Mapping[str, Tensor]:
        """Run a network on a batch of any size; all outputs, valid until the next call.

        values: of the inputs that have a batch; those that ports share stay as they are.
        """
        parts = self._parts(role, len(next(iter(values.values()))))
        if len(parts) == 1:
            return self._port(role, parts[0]).run(**values)
        answers, start = [], 0
        for size in parts:
            part = {name: value[start : start + size] for name, value in values.items()}
            made = self._port(role, size).run(**part)
            answers.append({name: each.clone() for name, each in made.items()})
            start += size
        return {name: torch.cat([each[name] for each in answers]) for name in answers[0]}

    def is_there(self, role: str) -> bool:
        """Tell whether a network can be had now, at once or by compiling it here.

        With an executor, one that is missing is compiled there, and then it is there.
        """
        if self._executor is not None and (role, 1) not in self._ports:
            self._ask(role, 1, self._executor)
            return False
        return True

    def _parts(self, role: str, batch: int) -> list[int]:
        """Return a batch in the sizes to run it with; what is missing is asked for, if it can."""
        wanted = parts_of(batch, self._sizes)
        missing = {size for size in wanted if (role, size) not in self._ports}
        if not missing or self._executor is None or (role, 1) not in self._ports:
            return wanted
        for size in missing:
            self._ask(role, size, self._executor)
        there = [size for name, size in self.ready if name == role]
        return parts_of(batch, there)

    def _ask(self, role: str, size: int, executor: Executor) -> None:
        if (role, size) not in self._under_way:
            self._under_way[role, size] = executor.submit(self._add, role, size)

    def _add(self, role: str, size: int) -> None:
        try:
            self._port(role, size)
        # The stream goes on with the sizes that there are.
        except Exception as error:  # noqa: BLE001
            if not self._is_closed:
                logger.warning("%s cannot be compiled for %d at once: %s", role, size, error)

    def _port(self, role: str, size: int) -> Port:
        port = self._ports.get((role, size))
        if port is not None:
            return port
        port = self._compile(role, size)
        with self._lock:
            if not self._is_closed:
                port = self._ports[role, size] = self._admit(role, port)
                return port
        port.release()
        raise RuntimeError(f"{role} for {size} at once: closed while it was compiled")


def parts_of(batch: int, sizes: Sequence[int]) -> list[int]:
    """Return a batch in parts of the sizes allowed, the largest first; whole where any is."""
    parts = []
    for size in sorted(sizes, reverse=True):
        parts += [size] * (batch // size)
        batch %= size
    return parts or [batch]
