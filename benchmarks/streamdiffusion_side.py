"""StreamDiffusion (Kodaira et al. 2023, arXiv 2312.12491) on the same frames, where it is there.

Written to its README and never run against it here: it wants a CUDA GPU and older versions of
diffusers than ours. Its TensorRT engines are not built: the form is that of its first example.
It is given our noise levels, which it numbers in the same way, no guidance, our autoencoder,
and it denoises in a stream batch, so that pictures come as many frames late as ours do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from PIL import Image

from benchmarks.diffusers_side import Form, check_comparable, load_pipeline
from benchmarks.rivals import Rival
from streamgen.errors import ConfigError
from streamgen.models.engines import Engines
from streamgen.rows import Revision

_FORM = Form(dtype=torch.float16, is_channels_last=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What is used of the package. Any: it is untyped.

    stream: the class `StreamDiffusion`. postprocess: `image_utils.postprocess_image`.
    """

    stream: Any
    postprocess: Any


def find_package(load: Callable[[str], Any] = import_module) -> Package:
    """Import StreamDiffusion; raise ConfigError that says why it cannot be."""
    try:
        return Package(
            stream=load("streamdiffusion").StreamDiffusion,
            postprocess=load("streamdiffusion.image_utils").postprocess_image,
        )
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"--compare streamdiffusion: the package cannot be imported ({error}); install it, or"
            " use --compare diffusers"
        ) from error


def check_model(engines: Engines) -> None:
    """Raise ConfigError for a model or a device that StreamDiffusion cannot run."""
    name, model = engines.model.row.name, engines.model
    reason = None
    if model.kind != "img2img":
        reason = f"{name} reads its picture in the UNet; it runs plain SD 1.5, 2.1 and Turbo only"
    elif model.schedule.prediction != "epsilon":
        reason = f"{name} predicts {model.schedule.prediction}; it takes every answer for noise"
    elif engines.device.type != "cuda":
        reason = f"it needs a CUDA GPU, these engines are on {engines.device}"
    if reason is not None:
        raise ConfigError(f"--compare streamdiffusion: {reason}: use --compare diffusers")


def streamdiffusion_rival(engines: Engines, revision: Revision, *, package: Package) -> Rival:
    """Return StreamDiffusion set to draw what `revision` does; `check_model` says if it can."""
    check_comparable(revision)
    width, height = engines.config.width, engines.config.height
    pipeline = load_pipeline(engines, "StableDiffusionPipeline", form=_FORM)
    if find_spec("xformers") is not None:  # as its README does
        pipeline.enable_xformers_memory_efficient_attention()
    stream = package.stream(
        pipeline,
        t_index_list=list(revision.controls.indices),
        torch_dtype=_FORM.dtype,
        width=width,
        height=height,
        cfg_type="none",
    )
    prompt = revision.controls.prompts[0].text
    stream.prepare(prompt=prompt, guidance_scale=1.0)

    def draw(picture: Image.Image) -> Image.Image:
        drawn: Image.Image = package.postprocess(stream(picture), output_type="pil")[0]
        return drawn

    # Its first pictures are not whole: a stream batch fills with as many frames as it has steps.
    for _ in revision.levels:
        draw(Image.new("RGB", (width, height), "gray"))
    return Rival(name="streamdiffusion", plain=draw, facts={"form": "fp16, without TensorRT"})
