"""From controls to a revision: levels and embeddings, made once and not for every frame."""

from __future__ import annotations

from dataclasses import dataclass

from streamgen.controls import Controls
from streamgen.errors import ConfigError
from streamgen.prompts import PromptBook
from streamgen.rows import Revision
from streamgen.schedule import Level, NoiseSchedule, levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a model can be asked for.

    reads_picture: its denoiser sees the clean latent of the picture, as InstructPix2Pix's does.
    works_blind: it was trained with that latent left out, too, and can be guided by the picture.
    """

    reads_picture: bool
    works_blind: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviser:
    """Makes controls ready for one model; has_picture: of the stream that they are for."""

    schedule: NoiseSchedule
    prompts: PromptBook
    abilities: Abilities
    has_picture: bool = True

    def revise(self, controls: Controls, number: int = 0) -> Revision:
        """Return what frames are drawn with; ConfigError for what this model cannot do.

        Reads the sentences that are new, so it may take as long as a frame.
        """
        ladder = self.check(controls)
        asks_negative = controls.is_guided and controls.guidance in ("full", "initialize")
        return Revision(
            number=number,
            controls=controls,
            levels=ladder,
            text=self.prompts.blend(controls.prompts, controls.prompt_blend),
            negative_text=self.prompts.embed(controls.negative_prompt) if asks_negative else None,
        )

    def check(self, controls: Controls) -> tuple[Level, ...]:
        """Return the levels of controls; ConfigError for what this model cannot do. Fast."""
        ladder = levels(self.schedule, controls.indices)
        self._check_delta(controls, ladder)
        self._check_image_guidance(controls)
        if not self.has_picture:
            self._check_words_alone(controls)
        return ladder

    def _check_delta(self, controls: Controls, ladder: tuple[Level, ...]) -> None:
        is_virtual = controls.is_guided and controls.guidance in ("self", "initialize")
        if is_virtual and controls.delta != 1 and any(level.alpha == 0 for level in ladder):
            raise ConfigError(
                f"delta {controls.delta:g}: this model has none of the picture left at its first"
                " level: give delta 1, or start lower"
            )

    def _check_image_guidance(self, controls: Controls) -> None:
        if not controls.guides_by_image:
            return
        named = f"image_guidance_scale {controls.image_guidance_scale:g}"
        if not self.abilities.reads_picture:
            raise ConfigError(f"{named}: this model does not read the picture: give 1")
        if not self.abilities.works_blind:
            raise ConfigError(
                f"{named}: this model was never trained with its picture left out: give 1"
            )
        if controls.guidance != "full":
            raise ConfigError(
                f"{named}: builds on the negative's pass at every step: give guidance full"
            )

    def _check_words_alone(self, controls: Controls) -> None:
        if self.abilities.reads_picture:
            raise ConfigError("words alone: this model redraws a picture: give it one")
        if controls.is_guided and controls.guidance == "self":
            raise ConfigError(
                "guidance self: its negative is the picture, and there is none: choose none, full,"
                " initialize"
            )
        if not controls.indices or controls.indices[0] != 0:
            start = "t_index_list" if controls.t_index_list is not None else "strength"
            fix = "start t_index_list at 0" if controls.t_index_list else "give strength 1"
            raise ConfigError(f"{start}: without a picture, all of it is drawn: {fix}")
