"""From controls to a revision: levels and embeddings, made once and not for every frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from streamgen.controls import Controls
from streamgen.errors import ConfigError
from streamgen.guidance import guidance_embedding
from streamgen.lora.book import LoraBook
from streamgen.lora.weights import Weights
from streamgen.prompts import PromptBook
from streamgen.rows import Revision
from streamgen.schedule import Level, NoiseSchedule, levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a model can be asked for.

    reads_picture: its denoiser sees the clean latent of the picture, as InstructPix2Pix's does.
    works_blind: it was trained with that latent left out, too, and can be guided by the picture.
    pooled_width: of the embedding of a whole sentence, SDXL's `text_embeds`; 0 for none. Where
    there is one, embeddings have one row more than the model has tokens, to hold it and zeros.
    time_ids: sizes that the model is told, as SDXL is; () for none. zero_negative: to it, an empty
    negative prompt is zeros. guidance_width: of the embedding by which a model that was taught to
    guide itself knows the scale, `guidance`; 0 for others. reuses_parts: a part of a picture can be
    drawn alone, as the whole picture has it. has_motion: motion modules are loaded with it.
    """

    reads_picture: bool
    works_blind: bool
    pooled_width: int = 0
    time_ids: tuple[float, ...] = ()
    zero_negative: bool = False
    guidance_width: int = 0
    reuses_parts: bool = False
    has_motion: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviser:
    """Makes controls ready for one model.

    has_picture: of the stream that they are for. loras: None where the model can have none.
    """

    schedule: NoiseSchedule
    prompts: PromptBook
    abilities: Abilities
    has_picture: bool = True
    loras: LoraBook | None = None

    def revise(self, controls: Controls, number: int = 0) -> Revision:
        """Return what frames are drawn with; ConfigError for what this model cannot do.

        Reads the sentences that are new, so it may take as long as a frame; LoRAs or scales that
        are new take longer. Raises ModelError for a file that is no LoRA of this model.
        """
        ladder = self.check(controls)
        weights = self.loras.weights(controls.loras) if self.loras is not None else None
        words, by = controls.prompts, controls.prompt_blend
        embedding = self.prompts.blend(words, by, weights=weights)
        text, cond = self._told(embedding, controls)
        negative_text: Tensor | None = None
        negative_cond: dict[str, Tensor] = {}
        if controls.is_guided and controls.guidance in ("full", "initialize"):
            negative = self._negative(controls, weights)
            negative_text, negative_cond = self._told(negative, controls)
        return Revision(
            number=number,
            controls=controls,
            levels=ladder,
            text=text,
            negative_text=negative_text,
            cond=cond,
            negative_cond=negative_cond,
            weights=weights,
        )

    def _negative(self, controls: Controls, weights: Weights | None) -> Tensor:
        embedding = self.prompts.embed(controls.negative_prompt, weights)
        is_zero = self.abilities.zero_negative and not controls.negative_prompt
        return torch.zeros_like(embedding) if is_zero else embedding

    def _told(self, embedding: Tensor, controls: Controls) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the text, [tokens, width], and further inputs, [width] each, of an embedding."""
        able, cond = self.abilities, {}
        text = embedding
        if able.pooled_width:
            text, cond["text_embeds"] = embedding[:-1], embedding[-1, : able.pooled_width]
        if able.time_ids:
            cond["time_ids"] = embedding.new_tensor(able.time_ids)
        if able.guidance_width:
            told = guidance_embedding(controls.guidance_scale, able.guidance_width)
            cond["guidance"] = told.to(embedding)
        return text, cond

    def check(self, controls: Controls) -> tuple[Level, ...]:
        """Return the levels of controls; ConfigError for what this model cannot do. Fast."""
        ladder = levels(self.schedule, controls.indices)
        self._check_delta(controls, ladder)
        self._check_image_guidance(controls)
        self._check_own_guidance(controls)
        self._check_reuse(controls)
        self._check_motion(controls)
        self._check_loras(controls)
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

    def _check_own_guidance(self, controls: Controls) -> None:
        if self.abilities.guidance_width and controls.is_guided:
            raise ConfigError(
                f"guidance {controls.guidance}: this model guides itself by the guidance_scale:"
                " choose none"
            )

    def _check_reuse(self, controls: Controls) -> None:
        if controls.reuse == "on" and not self.abilities.reuses_parts:
            raise ConfigError(
                "reuse on: needs an AutoencoderTiny on a CPU, not in int8: choose off"
            )

    def _check_motion(self, controls: Controls) -> None:
        if controls.uses_adapter and not self.abilities.has_motion:
            raise ConfigError(
                f"motion_strength {controls.motion_strength:g}: no motion adapter is loaded:"
                " start with --motion"
            )

    def _check_loras(self, controls: Controls) -> None:
        if self.loras is not None:
            self.loras.check(controls.loras)
        elif controls.loras:
            names = [each.name for each in controls.loras]
            raise ConfigError(
                f"loras {names}: none can be put in here: start with --loras and their folder"
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
