"""A LoRA trained on `tiny`: its style comes with the scale, and goes without a trace."""

from __future__ import annotations

import pytest
import torch

from streamgen.lora.apply import LoraSwitch
from streamgen.lora.delta import Scaled
from streamgen.lora.read import read_lora
from streamgen.models.loading import load_model
from streamgen.models.networks import Denoiser, PixelDecoder, PixelEncoder
from streamgen.models.registry import find_model
from streamgen.models.specs import latent_scale

pytestmark = pytest.mark.slow

#: Level 10 of the grid is where the model's usual strength starts.
USUAL = 10


@pytest.fixture(scope="module")
def model():
    return load_model(find_model("tiny"))


@torch.no_grad()
def redraw(model, frames):
    """One step from the usual strength, with an empty prompt, as a stream does."""
    level, scale = model.schedule.level(USUAL), latent_scale(model)
    pixels = (frames * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    source = PixelEncoder(model.vae)(pixels)
    noise = torch.randn(source[:1].shape, generator=torch.Generator().manual_seed(7))
    x = level.alpha * scale * source + level.sigma * noise
    text = model.text("").expand(len(frames), -1, -1)
    answer = Denoiser(model.unet)(x, torch.full((len(frames),), float(level.t)), text, source)
    return PixelDecoder(model.vae)(answer / scale)


def distance(drawn, wanted):
    """Mean difference of all colour values, in levels of 255."""
    return float((drawn.permute(0, 3, 1, 2) - wanted * 255).abs().mean())


def test_frames_that_it_never_saw_come_to_its_style_and_back(
    model, trained_lora, held_out_frames, duotone
):
    wanted = duotone(held_out_frames)
    switch = LoraSwitch({"unet": model.unet})
    lora = switch.fit(read_lora(trained_lora))
    base = redraw(model, held_out_frames)
    drawn = {}

    for scale in (0.25, 0.5, 1.0, 0.0):
        switch.apply([Scaled(lora=lora, scale=scale)])
        drawn[scale] = redraw(model, held_out_frames)

    far = distance(base, wanted)
    told = {scale: distance(pictures, wanted) / far for scale, pictures in drawn.items()}
    assert told[1.0] < 0.3
    assert told[1.0] + 0.1 < told[0.5] < 0.9
    assert torch.equal(drawn[0.0], base)


def test_it_is_a_small_file_for_the_unet_of_tiny(model, trained_lora):
    lora = read_lora(trained_lora)

    assert trained_lora.stat().st_size < 2_000_000
    assert {network for network, _ in lora.layers} == {"unet"}
    assert {(each.rank, each.strength) for each in lora.layers.values()} == {(8, 1.0)}
    LoraSwitch({"unet": model.unet}).fit(lora)


def test_beside_it_lie_its_log_and_a_sheet(trained_lora):
    folder = trained_lora.with_suffix(".training")

    names = {path.name for path in folder.iterdir()}

    assert {"log.jsonl", "log.png", "sheet.png", "checkpoint.safetensors"} <= names
