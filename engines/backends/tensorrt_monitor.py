"""What TensorRT tells of a build that is under way, put into shares of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any  # TensorRT's bindings carry no types

from engines.progress import Watch


@dataclass(slots=True)
class _Phase:
    """A stretch of a build; parent: the one that it is a step of, None for a whole build."""

    parent: str | None
    steps: int
    done: int = 0


class Phases:
    """The phases that are under way, of which TensorRT's own threads tell."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._lock = Lock()
        self._phases: dict[str, _Phase] = {}
        self._told: tuple[str, int] | None = None

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """Begin a phase."""
        with self._lock:
            self._phases[name] = _Phase(parent, max(steps, 1))
            self._tell(name)

    def step(self, name: str, step: int) -> bool:
        """Note that a step of a phase is done; return whether the build is still wanted."""
        with self._lock:
            if name in self._phases:
                self._phases[name].done = step + 1
                self._tell(name)
        return self._watch.is_wanted()

    def finish(self, name: str) -> None:
        """End a phase; its parent tells when the step is done that it was."""
        with self._lock:
            self._phases.pop(name, None)

    def _tell(self, name: str) -> None:
        """Tell what is done of the outermost phase, once for each hundredth."""
        while (parent := self._phases[name].parent) in self._phases:
            name = parent or ""
        share = self._share(name)
        news = (name, int(100 * share))
        if news != self._told:
            self._told = news
            self._watch.tell(name, share)

    def _share(self, name: str) -> float:
        phase = self._phases[name]
        inner = [self._share(each) for each in self._phases if self._phases[each].parent == name]
        return min((phase.done + max(inner, default=0.0)) / phase.steps, 1.0)


def monitor_of(trt: Any, watch: Watch) -> Any:
    """Return the object that a build tells of its phases; it has to outlive the build."""
    phases = Phases(watch)

    # The base class is known only once TensorRT is imported.
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)  # its bindings ask for this very form

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return phases.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()
