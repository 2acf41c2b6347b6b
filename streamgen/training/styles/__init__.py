"""What the built-in model can be asked for, as rows of data: a name, its words, a filter.

The filters are what the model learns to imitate, and the reference of its style score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from streamgen.training.styles import drawings, paintings, patterns, worlds

Filter = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """One thing that a caption can name.

    words: phrases that mean it, the first is its name; draw: [B, 3, H, W] in [0, 1] → the same.
    weight: how often it is trained; strokes and lines need more than colours.
    """

    words: tuple[str, ...]
    draw: Filter
    weight: float = 1.0

    @property
    def name(self) -> str:
        return self.words[0]


def _row(draw: Filter, weight: float, *words: str) -> Style:
    return Style(words=words, draw=draw, weight=weight)


STYLES: tuple[Style, ...] = (
    _row(
        paintings.watercolor, 1.3, "watercolor", "watercolour", "aquarelle", "watercolor painting"
    ),
    _row(
        paintings.oil_painting, 1.3, "oil painting", "oil paint", "painted in oil", "oil on canvas"
    ),
    _row(paintings.impressionist, 1.3, "impressionist", "impressionism", "van gogh", "monet"),
    _row(drawings.pencil_sketch, 1.5, "pencil sketch", "pencil drawing", "sketch", "graphite"),
    _row(drawings.ink_manga, 1.5, "manga", "ink drawing", "ink", "black and white comic"),
    _row(drawings.charcoal, 1.2, "charcoal", "charcoal drawing", "coal drawing"),
    _row(drawings.comic, 1.4, "comic", "comic book", "cartoon", "cel shading"),
    _row(drawings.blueprint, 1.2, "blueprint", "technical drawing", "cyanotype"),
    _row(drawings.neon, 1.3, "neon", "neon lines", "glowing lines", "neon light"),
    _row(patterns.pixel_art, 0.8, "pixel art", "8-bit", "pixels", "retro game"),
    _row(patterns.stained_glass, 1.1, "stained glass", "church window", "leaded glass"),
    _row(patterns.paper_cut, 1.2, "paper cut", "paper cutout", "layered paper", "papercraft"),
    _row(patterns.gold_relief, 1.0, "gold relief", "bronze relief", "embossed metal", "gold"),
    _row(worlds.cyberpunk, 1.2, "cyberpunk", "blade runner", "synthwave city", "cyber punk"),
    _row(worlds.vaporwave, 0.6, "vaporwave", "pastel dream", "aesthetic"),
    _row(worlds.thermal, 0.6, "thermal", "heat camera", "infrared", "thermal camera"),
    _row(worlds.golden_hour, 0.6, "golden hour", "sunset", "sunset light", "warm evening"),
    _row(worlds.old_film, 0.6, "old film", "sepia", "vintage photo", "old photograph"),
)

#: Palette and light words, applied after a style.
ACCENTS: tuple[Style, ...] = (
    _row(worlds.warm, 1, "warm colors", "warm", "warm tones", "warm colours"),
    _row(worlds.cool, 1, "cool colors", "cool", "cold", "cool tones", "cold colours"),
    _row(worlds.pastel, 1, "pastel colors", "pastel", "soft colors", "pale"),
    _row(worlds.vivid, 1, "vivid colors", "vivid", "vibrant", "colorful", "saturated"),
    _row(worlds.muted, 1, "muted colors", "muted", "desaturated", "dull colors"),
    _row(worlds.dark, 1, "at night", "dark", "night", "moonlight", "low light"),
    _row(worlds.bright, 1, "bright", "bright light", "high key", "daylight", "sunny"),
)
