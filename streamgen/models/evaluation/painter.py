"""The model as users have it, for one picture at a time: frame in, frame out."""

from __future__ import annotations

from fractions import Fraction

from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.frame import Frame, Pixels, Stamp
from streamgen.models.engines import load_engines
from streamgen.pipeline import Pipeline

STAMP = Stamp(index=0, pts=0, time_base=Fraction(1, 30), ingest_ns=0)


class Painter:
    """Redraws square pictures through the pipeline itself, engines and all."""

    def __init__(self, config: StreamConfig) -> None:
        self.config = config
        self.engines = load_engines(config)
        self.pipeline = Pipeline(self.engines)

    def draw(self, picture: Pixels, prompt: str, **controls: object) -> Pixels:
        """Return the picture redrawn with these controls; the noise is always the same."""
        stream = self.pipeline.open_stream(
            "evaluation", controls_from({"prompts": prompt, **controls})
        )
        # The first frame of a stream makes all its steps at once.
        [answer] = self.pipeline.tick([stream], [Frame(pixels=picture, stamp=STAMP)], now=0)
        return answer.frame.pixels

    def give_back(self, picture: Pixels) -> Pixels:
        """Return the picture through the autoencoder alone."""
        latents = self.engines.encode(picture[None])
        given: Pixels = self.engines.decode(self.engines.scaled(latents))[0]
        return given
