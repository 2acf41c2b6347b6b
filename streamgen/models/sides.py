"""Sizes of pictures as sides of tensors, fixed or in a range; knows no networks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engines.spec import Range, Side
from streamgen.errors import ConfigError

#: Height and width, in the order of tensors.
Sides = tuple[Side, Side]


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRange:
    """Sizes (width, height) in pixels that one network is for: from least to most by step.

    usual: what it may be tuned for.
    """

    least: tuple[int, int]
    usual: tuple[int, int]
    most: tuple[int, int]
    step: int = 64


def picture_sides(size: tuple[int, int] | SizeRange, *, unit: int) -> Sides:
    """Return the sides in pixels of a size, (width, height), or a range of them.

    unit: pixels that make one where the network is coarsest. Sizes of a range are multiples of it;
    a fixed one may be any, as padding can be fixed, too. Raises ConfigError for other ranges.
    """
    if not isinstance(size, SizeRange):
        width, height = size
        return height, width
    return _ranged("h", 1, size, unit), _ranged("w", 0, size, unit)


def over(side: Side, divisor: int) -> Side:
    """Return a side of what is coarser by a divisor; of a fixed one, rounded up as padding does."""
    if isinstance(side, Range):
        return replace(side, times=side.times // divisor)
    return -(-side // divisor)


def _ranged(name: str, axis: int, size: SizeRange, unit: int) -> Range:
    least, usual, most = size.least[axis], size.usual[axis], size.most[axis]
    if any(number % unit for number in (least, usual, most, size.step)):
        raise ConfigError(
            f"sizes {least} to {most}, usually {usual}, by {size.step}: this network takes"
            f" multiples of {unit}"
        )
    return Range(
        name=name,
        least=least // unit,
        usual=usual // unit,
        most=most // unit,
        step=size.step // unit,
        times=unit,
    )
