"""IOptimizationProfile: the shapes that an engine may be run at."""

from __future__ import annotations

from typing import Any

from fake_tensorrt.arguments import text
from fake_tensorrt.foundation import Dims, sides

Sides = tuple[int, ...]


class IOptimizationProfile:
    """Least, usual and most shape of each input whose shape is not fixed."""

    __slots__ = ("_shapes", "extra_memory_target")

    def __init__(self) -> None:
        raise TypeError("IOptimizationProfile: No constructor defined!")

    @classmethod
    def _made(cls) -> IOptimizationProfile:
        profile = cls.__new__(cls)
        profile._shapes: dict[str, tuple[Sides, Sides, Sides]] = {}
        profile.extra_memory_target = 1.0
        return profile

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        """Set the shapes of an input; RuntimeError where they contradict each other."""
        name = text(input, "set_shape")
        least, usual, most = (sides(each, "set_shape") for each in (min, opt, max))
        for kind, low, high in (("opt", least, usual), ("max", usual, most)):
            if len(low) != len(high) or any(a > b for a, b in zip(low, high, strict=True)):
                raise RuntimeError(f"Shape provided for {kind} is inconsistent with other shapes.")
        if any(side < 0 for side in least):
            raise RuntimeError("Shape provided for min is inconsistent with other shapes.")
        self._shapes[name] = (least, usual, most)

    def get_shape(self, input: str) -> list[Dims]:
        """Return the three shapes of an input, or nothing."""
        return [Dims(each) for each in self._shapes.get(text(input, "get_shape"), ())]

    def __bool__(self) -> bool:
        return bool(self._shapes)
