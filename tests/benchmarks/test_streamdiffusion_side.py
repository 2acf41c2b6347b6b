"""Against a fake package with the documented surface: it does not run with our diffusers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from benchmarks.streamdiffusion_side import (
    Package,
    check_model,
    find_package,
    streamdiffusion_rival,
)
from streamgen.errors import ConfigError


class FakeStream:
    """Notes how it was made and prepared; gives back pixels as a tensor."""

    def __init__(self, pipe, **options):
        self.pipe, self.options = pipe, options
        self.prepared, self.calls = None, 0

    def prepare(self, prompt, *, guidance_scale):
        self.prepared = (prompt, guidance_scale)

    def __call__(self, picture):
        self.calls += 1
        return torch.zeros(1, 3, picture.height, picture.width)


def postprocess(tensor, *, output_type):
    assert output_type == "pil"
    return [Image.new("RGB", (tensor.shape[3], tensor.shape[2])) for _ in tensor]


def test_fake_package_is_given_our_levels_size_and_no_guidance(img2img, revise):
    made = []
    package = Package(
        stream=lambda *pipe, **options: made.append(FakeStream(*pipe, **options)) or made[0],
        postprocess=postprocess,
    )
    revision = revise(img2img, prompts="oil", steps=2)

    rival = streamdiffusion_rival(img2img, revision, package=package)

    [stream] = made
    assert stream.options == {
        "t_index_list": list(revision.controls.indices),
        "torch_dtype": torch.float16,
        "width": 64,
        "height": 64,
        "cfg_type": "none",
    }
    assert type(stream.pipe).__name__ == "StableDiffusionPipeline"
    assert stream.pipe.unet.dtype == torch.float16
    assert stream.prepared == ("oil", 1.0)
    # Its batch is full before anything is measured.
    assert stream.calls == 2
    assert rival.plain(Image.new("RGB", (64, 64))).size == (64, 64)
    assert (rival.name, rival.best) == ("streamdiffusion", None)


def test_a_fake_package_is_found_by_its_names():
    modules = {
        "streamdiffusion": SimpleNamespace(StreamDiffusion=FakeStream),
        "streamdiffusion.image_utils": SimpleNamespace(postprocess_image=postprocess),
    }

    package = find_package(modules.__getitem__)

    assert (package.stream, package.postprocess) == (FakeStream, postprocess)


def test_a_package_that_is_not_there_or_too_old_is_an_error_that_says_why():
    def missing(name):
        raise ImportError("cannot import name 'cached_download'")

    with pytest.raises(ConfigError, match=r"cannot be imported \(cannot import name 'cached_dow"):
        find_package(missing)
    with pytest.raises(ConfigError, match="no attribute 'StreamDiffusion'"):
        find_package(lambda name: SimpleNamespace())


def test_a_model_or_device_that_it_cannot_run_is_refused(engines, img2img):
    with pytest.raises(ConfigError, match="reads its picture in the UNet"):
        check_model(engines)
    with pytest.raises(ConfigError, match="needs a CUDA GPU, these engines are on cpu"):
        check_model(img2img)
