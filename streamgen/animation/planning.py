"""From what a user asks of a clip to how it is drawn: what nobody said, the model decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamgen.animation.clip import ClipPlan, Noise
from streamgen.animation.clip_model import ClipModel
from streamgen.animation.sampling import Sampler
from streamgen.animation.schedules import Betas, betas_for, sampler_for, schedule_of
from streamgen.animation.windows import Window, windows_of
from streamgen.controls import Controls
from streamgen.errors import ConfigError
from streamgen.models.hub import model_folder
from streamgen.models.specs import latent_shape
from streamgen.motion.ring_file import ring_of
from streamgen.prompts import PromptBook
from streamgen.revise import Reviser
from streamgen.rows import Revision
from streamgen.schedule import Level, NoiseSchedule
from streamgen.sources import Size

#: Frames that two windows share, where windows are long enough.
OVERLAP = 4
#: What a model that guides itself is told, where its row says nothing.
_OWN_SCALE = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a clip is to be; None: what suits the model and its adapter."""

    prompt: str
    negative_prompt: str
    frames: int
    seed: int
    strength: float | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    window: int | None = None
    overlap: int | None = None
    sampler: str | None = None
    betas: Betas | None = None
    noise: Noise | None = None


def plan_of(
    asked: Asked, clip_model: ClipModel, *, adapter: Path | None, size: Size, has_picture: bool
) -> ClipPlan:
    """Return how a clip is drawn; raise ConfigError for what the model cannot do.

    adapter: its folder, None where each frame is drawn alone.
    """
    model = clip_model.model
    _check_picture(asked, clip_model, adapter=adapter, has_picture=has_picture)
    folder = model_folder(model.row)
    schedule = schedule_of(model, folder, betas_for(asked.betas, model, adapter))
    sampler = sampler_for(asked.sampler, model, folder)
    # What is distilled has its guidance inside, however it is sampled.
    usual = min(sampler.guidance_scale, sampler_for(None, model, folder).guidance_scale)
    default = float(str(model.row.controls.get("strength", Controls().strength)))
    strength = (default if asked.strength is None else asked.strength) if has_picture else 1.0
    reads_picture = model.kind == "instruct_pix2pix"
    return ClipPlan(
        frames=asked.frames,
        latent=latent_shape(model, (size.width, size.height)),
        revision=_revision(asked, clip_model, schedule, usual, size=size),
        schedule=schedule,
        sampler=sampler,
        levels=_levels(asked, sampler, schedule, strength),
        windows=_windows(asked, clip_model, adapter),
        seed=asked.seed,
        # What differs between frames of a model that is told of them is what it is told.
        noise=asked.noise or ("fixed" if reads_picture else "fresh"),
    )


def _check_picture(
    asked: Asked, clip_model: ClipModel, *, adapter: Path | None, has_picture: bool
) -> None:
    model = clip_model.model
    if has_picture:
        return
    if model.kind == "instruct_pix2pix":
        raise ConfigError(
            f"model {model.row.name!r} redraws a picture, it makes none from words: give it one"
            " with --image"
        )
    if adapter is None:
        raise ConfigError(
            f"model {model.row.name!r} has no motion adapter, and frames of words alone would have"
            " nothing in common: name one with --motion (see streamgen models --motion)"
        )
    if asked.strength is not None:
        raise ConfigError(
            f"strength {asked.strength:g}: without a picture all of it is drawn: leave it out, or"
            " add --image"
        )


def _levels(
    asked: Asked, sampler: Sampler, schedule: NoiseSchedule, strength: float
) -> tuple[Level, ...]:
    """Return what is visited: as many levels as usual, or as a low strength leaves."""
    most = sampler.most_steps(schedule, strength)
    if not most:
        raise ConfigError(f"strength {strength:g}: not one noise level is left: give more")
    return sampler.levels(schedule, strength, asked.steps or min(sampler.steps, most))


def _windows(asked: Asked, clip_model: ClipModel, adapter: Path | None) -> tuple[Window, ...]:
    for name, given in (("window", asked.window), ("overlap", asked.overlap)):
        if adapter is None and given is not None:
            raise ConfigError(
                f"{name} {given}: has no effect without a motion adapter, each frame is drawn"
                " alone: leave it out, or name one with --motion"
            )
    length = asked.window
    most = clip_model.length
    if length is not None and most is not None and length > most:
        raise ConfigError(
            f"window {length}: the motion adapter has positions for {most} frames: give at most"
            " so many"
        )
    if length is None and adapter is not None and most is not None:
        length = ring_of(adapter, window=None, sinks=None, length=most).slots + 1
    length = length or 1
    overlap = asked.overlap
    if overlap is None:
        overlap = min(OVERLAP, length // 2)
    return windows_of(asked.frames, length=length, overlap=overlap)


def _revision(
    asked: Asked,
    clip_model: ClipModel,
    schedule: NoiseSchedule,
    usual: float,
    *,
    size: Size,
) -> Revision:
    """Return what words and guidance come to, as for a stream; usual: guidance scale."""
    model = clip_model.model
    scale = asked.guidance_scale
    if scale is None and model.guidance_width:
        scale = float(str(model.row.controls.get("guidance_scale", _OWN_SCALE)))
    elif scale is None:
        scale = usual
    controls = Controls(
        prompts=(asked.prompt,),  # type: ignore[arg-type]  # read by its validator
        negative_prompt=asked.negative_prompt,
        guidance="none" if model.guidance_width else "full",
        guidance_scale=scale,
        seed=asked.seed,
    )
    if asked.negative_prompt and not controls.is_guided:
        fix = "leave it out" if model.guidance_width else "give a --guidance-scale above 1"
        raise ConfigError(f"negative prompt: has no effect without guidance: {fix}")
    prompts = PromptBook(lambda sentence: model.text(sentence).to(clip_model.device))
    abilities = model.abilities((size.width, size.height))
    return Reviser(schedule=schedule, prompts=prompts, abilities=abilities).revise(controls)
