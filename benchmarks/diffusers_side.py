"""The pipeline that a model's own folder names, run by diffusers itself on the same frames.

The same as ours: folder, autoencoder, device, frames (both from the decoded picture on), prompt
embedding (read once, before), rows of the UNet a frame, guidance off, every frame drawn.

Not the same: the pipeline takes and gives PIL pictures, one at a time, as it always does. An
img2img pipeline visits our timesteps. That of InstructPix2Pix begins at pure noise, as it always
does, so its timesteps are others; its work is not. A scheduler that cannot make these calls of
the UNet gives way to LCM's, made from its config; its arithmetic is no part worth measuring.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from PIL import Image

from benchmarks.machine import has_bf16
from benchmarks.rivals import Draw, Rival
from streamgen.errors import ConfigError, ModelError
from streamgen.models.engines import Engines
from streamgen.models.hub import model_folder, tiny_vae_folder, variant_of
from streamgen.models.registry import ModelRow
from streamgen.rows import Revision

#: StableDiffusionPipeline draws from words alone; this is what diffusers pairs it with.
CLASSES: Mapping[str, str] = {
    "img2img": "StableDiffusionImg2ImgPipeline",
    "instruct_pix2pix": "StableDiffusionInstructPix2PixPipeline",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a pipeline is set up."""

    dtype: torch.dtype
    is_channels_last: bool

    def __str__(self) -> str:
        name = {torch.float32: "fp32", torch.bfloat16: "bf16"}.get(self.dtype, str(self.dtype))
        return f"channels_last, {name}" if self.is_channels_last else name


PLAIN = Form(dtype=torch.float32, is_channels_last=False)


def best_form(device: str) -> Form:
    """Return the form that diffusers' own guide to speed gives for a device, without compiling."""
    dtype = torch.bfloat16 if has_bf16(device) else torch.float32
    return Form(dtype=dtype, is_channels_last=True)


def diffusers_rival(engines: Engines, revision: Revision) -> Rival:
    """Return the folder's pipeline, plain and in its best form, set to draw what `revision` does.

    Raises ConfigError where it cannot be made to do the same work, ModelError where it cannot be
    loaded.
    """
    check_comparable(revision)
    device = str(engines.device)
    forms = (PLAIN, best_form(device))
    pipelines = [load_pipeline(engines, CLASSES[engines.model.kind], form=form) for form in forms]
    for pipeline in pipelines:
        pipeline.scheduler = fitting_scheduler(pipeline, revision)
    plain, best = (drawing(pipeline, revision) for pipeline in pipelines)
    return Rival(
        name="diffusers",
        plain=plain,
        best=best,
        facts={
            "pipeline": type(pipelines[0]).__name__,
            "scheduler": type(pipelines[0].scheduler).__name__,
            "form": str(forms[0]),
            "best_form": str(forms[1]),
            "unet_timesteps": unet_timesteps(
                pipelines[0], plain, revision=revision, engines=engines
            ),
        },
    )


def check_comparable(revision: Revision) -> None:
    """Raise ConfigError for controls that the other side is not asked to follow."""
    if revision.controls.is_guided:
        raise ConfigError("--compare is made with guidance off: leave out --guidance-scale")
    if not revision.levels:
        raise ConfigError("--compare needs a step at least: at strength 0 nothing is denoised")


def load_pipeline(engines: Engines, name: str, *, form: Form) -> Any:
    """Load a pipeline of diffusers, which leaves it untyped, with the autoencoder that ours has."""
    row = engines.model.row
    folder = model_folder(row)
    try:
        with _without_progress():
            pipeline = getattr(diffusers, name).from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=False,
                dtype=form.dtype,
                variant=variant_of(folder / "unet"),
                safety_checker=None,
                feature_extractor=None,
                requires_safety_checker=False,
                **_autoencoder(row, form),
            )
    # What a nonsensical folder raises is up to three libraries, in types of their own.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"model {row.name!r}: diffusers cannot load it: {reason}") from error
    pipeline.to(engines.device)
    if form.is_channels_last:
        pipeline.unet.to(memory_format=torch.channels_last)
        pipeline.vae.to(memory_format=torch.channels_last)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@contextmanager
def _without_progress() -> Iterator[None]:
    """Keep diffusers from drawing its bar while it loads."""
    log = diffusers.utils.logging
    was_shown = log.is_progress_bar_enabled()
    log.disable_progress_bar()
    try:
        yield
    finally:
        if was_shown:
            log.enable_progress_bar()


def _autoencoder(row: ModelRow, form: Form) -> dict[str, Any]:
    if row.tiny_vae is None:
        return {}
    vae = diffusers.AutoencoderTiny.from_pretrained(
        tiny_vae_folder(row.tiny_vae),
        use_safetensors=True,
        local_files_only=True,
        low_cpu_mem_usage=False,
        dtype=form.dtype,
    )
    return {"vae": vae}


def fitting_scheduler(pipeline: Any, revision: Revision) -> Any:
    """Return the folder's scheduler if it makes as many calls of the UNet as we do, else LCM's."""
    scheduler = pipeline.scheduler
    if type(pipeline).__name__ == CLASSES["img2img"]:
        is_fitting = "timesteps" in inspect.signature(scheduler.set_timesteps).parameters
    else:
        scheduler.set_timesteps(len(revision.levels))
        is_fitting = len(scheduler.timesteps) == len(revision.levels)
    if is_fitting:
        return scheduler
    return diffusers.LCMScheduler.from_config(scheduler.config)


def drawing(pipeline: Any, revision: Revision) -> Draw:
    """Return the pipeline as a function of a picture."""
    levels = revision.levels
    work: dict[str, Any] = {
        "prompt_embeds": revision.text[None].to(pipeline.device, pipeline.unet.dtype),
        "guidance_scale": 1.0,
    }
    if type(pipeline).__name__ == CLASSES["img2img"]:
        # With strength 1 it goes through all the timesteps that it is given, from the picture on.
        work |= {"timesteps": [level.t for level in levels], "strength": 1.0}
    else:
        work |= {"num_inference_steps": len(levels), "image_guidance_scale": 1.0}

    def draw(picture: Image.Image) -> Image.Image:
        drawn: Image.Image = pipeline(image=picture, **work).images[0]
        return drawn

    return draw


def unet_timesteps(pipeline: Any, draw: Draw, *, revision: Revision, engines: Engines) -> list[int]:
    """Draw a picture and return the timesteps that the UNet was asked for, a row each.

    Raises ConfigError where it is asked for more or fewer rows than ours.
    """
    asked: list[int] = []

    def note(_: object, inputs: tuple[Any, ...]) -> None:
        asked.extend([int(inputs[1])] * len(inputs[0]))

    hook = pipeline.unet.register_forward_pre_hook(note)
    draw(Image.new("RGB", (engines.config.width, engines.config.height), "gray"))
    hook.remove()
    if len(asked) != len(revision.levels):
        raise ConfigError(
            f"--compare diffusers: its UNet works on {len(asked)} rows a frame where ours works on"
            f" {len(revision.levels)}: choose other --steps"
        )
    return asked
