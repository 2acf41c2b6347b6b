"""Clips drawn as a whole: against diffusers, at the seams of windows, and by their seeds."""

import numpy as np
import pytest
import torch
from diffusers import AnimateDiffPipeline, DDIMScheduler, MotionAdapter, StableDiffusionPipeline

from streamgen.animation.camera import MOVES, Camera

SIDE = 64


def photo():
    """A ground with something to see everywhere, twice as large as frames."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    return np.kron(coarse, np.ones((2 * SIDE // 8, 2 * SIDE // 8, 1), np.uint8))


@pytest.fixture
def camera():
    return lambda name="pan-right", frames=6: Camera(photo(), MOVES[name], frames)


@pytest.fixture
def diffusers_latents(model_folder, adapter_folder, studio):
    """Returns what diffusers makes of a noise, [F, C, h, w]."""
    plain = StableDiffusionPipeline.from_pretrained(model_folder, safety_checker=None)
    scheduler = DDIMScheduler.from_config(
        plain.scheduler.config, beta_schedule="linear", timestep_spacing="trailing"
    )
    adapter = MotionAdapter.from_pretrained(adapter_folder)
    parts = {name: plain.components[name] for name in ("vae", "text_encoder", "tokenizer", "unet")}
    pipeline = AnimateDiffPipeline(**parts, scheduler=scheduler, motion_adapter=adapter)
    pipeline.set_progress_bar_config(disable=True)

    def draw(noise, *, steps, guidance_scale, negative_prompt):
        text = studio.model.model.text
        return (
            pipeline(
                prompt_embeds=text("oil")[None],
                negative_prompt_embeds=text(negative_prompt)[None],
                num_frames=len(noise),
                height=SIDE,
                width=SIDE,
                num_inference_steps=steps,
                guidance_scale=guidance_scale,
                latents=noise.transpose(0, 1)[None],
                output_type="latent",
            )
            .frames[0]
            .transpose(0, 1)
        )

    return draw


@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
def test_one_window_is_what_diffusers_draws(studio, diffusers_latents, guidance_scale):
    asked = {"steps": 4, "guidance_scale": guidance_scale, "sampler": "ddim"}
    negative = "ink" if guidance_scale > 1 else ""
    generator = torch.Generator().manual_seed(3 * 1_000_003)
    noise = torch.stack([torch.randn(4, 8, 8, generator=generator) for _ in range(6)])

    ours = studio.drawing(**asked, negative_prompt=negative).latents()

    theirs = diffusers_latents(
        noise, steps=4, guidance_scale=guidance_scale, negative_prompt=negative
    )
    assert torch.allclose(ours, theirs, atol=2e-4 * float(theirs.abs().max()))
    assert not torch.allclose(ours, studio.without_adapter(**asked).latents(), atol=0.1)


def jumps(latents):
    """How far each frame is from the one before."""
    return (latents[1:] - latents[:-1]).abs().mean(dim=(1, 2, 3)).double().numpy()


def test_no_frame_of_a_long_clip_jumps_where_windows_meet(studio, camera):
    asked = {"frames": 40, "window": 10, "steps": 3, "noise": "fixed", "strength": 0.9}

    def drawn(overlap):
        return jumps(studio.drawing(camera(frames=40), overlap=overlap, **asked).latents())

    faded, cut = drawn(4), drawn(0)
    seams = [9, 19, 29]
    within = np.delete(cut, seams)
    assert cut[seams].min() > 1.5 * within.max()
    assert faded.max() <= 1.1 * within.max()


def test_the_same_seed_gives_the_same_clip(studio, camera):
    first, again, other = (
        np.stack(list(studio.drawing(camera(), seed=seed, steps=2).pictures()))
        for seed in (5, 5, 6)
    )

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_longer_clip_begins_with_the_same_noise(studio, camera):
    # At strength 0.02 next to nothing but noise is added.
    asked = {"steps": 1, "strength": 0.02, "window": 1, "overlap": 0}

    short, long = (
        studio.drawing(camera("still", frames), frames=frames, **asked).latents()
        for frames in (3, 5)
    )

    assert torch.allclose(short, long[:3], atol=1e-5)
    assert not torch.allclose(long[3], long[4], atol=1e-3)


def test_fixed_noise_is_the_same_in_every_frame(studio, camera):
    asked = {"noise": "fixed", "steps": 2, "window": 1, "overlap": 0}

    still = studio.drawing(camera("still"), **asked).latents()

    assert torch.allclose(still, still[:1].expand_as(still), atol=1e-5)


def test_without_an_adapter_every_frame_is_drawn_alone(studio, camera):
    asked = {"steps": 2, "noise": "fixed"}

    together, alone = (
        studio.without_adapter(camera(), window=window, overlap=0, **asked).latents()
        for window in (6, 1)
    )

    assert torch.allclose(together, alone, atol=1e-4)


def test_work_is_told_of_until_all_is_done(studio, camera):
    drawing, shares = studio.drawing(camera(), steps=2, window=4, overlap=2), []

    count = len(list(drawing.pictures(lambda: shares.append(drawing.share))))

    assert count == 6
    assert shares == sorted(set(shares)) and shares[-1] == 1.0
