"""Clips with known flow, the modules that learn from them, and the stage from end to end."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import MotionAdapter
from PIL import Image
from safetensors.torch import load_file

from streamgen.errors import ConfigError, ModelError
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model
from streamgen.motion.adapter import read_adapter
from streamgen.motion.unet import MotionUnet
from streamgen.training import stages
from streamgen.training.captions import Captions
from streamgen.training.motion import MotionStage
from streamgen.training.motion_clips import draw_clip, moved
from streamgen.training.motion_layers import RING, MotionLayers
from streamgen.training.motion_losses import Balance
from streamgen.training.motion_paths import backward_flow, places, poses, random_way
from streamgen.training.motion_pool import ClipPool, clip_latents
from streamgen.training.photos import PhotoCrops, scene_files


def seeded(number):
    return torch.Generator().manual_seed(number)


def crops(seed):
    generator = seeded(seed)
    scenes = scene_files(8, 128, generator)
    return PhotoCrops(scenes, scenes, scene_share=0.5, generator=generator)


def negative(image):
    return 1 - image


@pytest.fixture(scope="module")
def model():
    return load_model(find_model("tiny"))


def test_the_flow_of_a_way_leads_back_to_the_same_place_of_the_canvas():
    way = random_way(5, 32, seeded(3))
    at, flow = places(way, 32), backward_flow(way, 32)
    there = places(torch.eye(3, dtype=torch.float64).expand(1, 3, 3), 32) + flow
    again = torch.einsum("fij,fhwj->fhwi", way[:-1, :2, :2], there) + way[:-1, None, None, :2, 2]
    assert torch.allclose(again, at[1:])


def test_a_camera_that_goes_right_leaves_its_flow_to_the_right():
    x = torch.tensor([0.0, 2.0], dtype=torch.float64)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    flow = backward_flow(poses(x, zero, angle=zero, scale=one), 8)
    expected = torch.tensor([2.0, 0.0], dtype=torch.float64).expand(1, 8, 8, 2)
    assert torch.allclose(flow, expected)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_wanted_is_what_was_wanted_before_moved_along_the_flow(seed):
    clip = draw_clip(crops(seed), negative, frames=6, side_px=64)
    again = moved(clip.styled[:-1], clip.flow)
    apart = ((again - clip.styled[1:]).square() * clip.is_known).sum()
    assert clip.is_known.float().mean() > 0.5
    # Both are sampled between pixels of the canvas: never the same to the bit.
    assert apart / (3 * clip.is_known.sum()) < 3e-4


def test_the_style_is_drawn_once_for_all_frames_and_only_the_source_has_noise():
    calls = []

    def counted(image):
        calls.append(image.shape)
        return negative(image)

    clip = draw_clip(crops(5), counted, frames=6, side_px=64)
    assert len(calls) == 1
    assert (clip.source + clip.styled - 1).abs().mean() < 0.05


def test_the_same_seed_draws_the_same_clip():
    one, two = (draw_clip(crops(7), negative, frames=3, side_px=64) for _ in range(2))
    assert torch.equal(one.source, two.source)
    assert torch.equal(one.flow, two.flow)


def test_a_cell_of_the_latent_is_known_where_all_its_pixels_are(model):
    clip = draw_clip(crops(2), negative, frames=3, side_px=64)
    source, styled, flow, known = clip_latents(clip, model.vae)
    assert source.shape == styled.shape == (3, 16, 8, 8)
    whole = clip.is_known.unfold(2, 8, 8).unfold(3, 8, 8).flatten(-2).all(dim=-1)
    assert torch.equal(known, whole)
    assert torch.allclose(flow[0, :, 0, 0] * 8, clip.flow[0, :, :8, :8].mean(dim=(1, 2)))


def test_new_modules_change_nothing_and_the_model_itself_never_has_them(model):
    layers = MotionLayers(model.unet, seed=0)
    x, t, text = torch.randn(2, 3, 16, 8, 8), torch.tensor([799, 300]), torch.randn(2, 32, 96)
    both, each = torch.cat([x, x], dim=2).flatten(0, 1), (t.repeat_interleave(3),)
    told = text.repeat_interleave(3, dim=0)
    with torch.no_grad():
        plain = model.unet(both, *each, told).sample.view(x.shape)
        assert torch.allclose(layers.drawn(x, t, text, x), plain, atol=1e-5)
        _stir(layers)
        assert not torch.allclose(layers.drawn(x, t, text, x), plain, atol=1e-2)
        assert torch.equal(model.unet(both, *each, told).sample.view(x.shape), plain)


def test_a_frame_sees_no_later_frame_and_no_other_clip(model):
    layers = MotionLayers(model.unet, seed=0)
    _stir(layers)
    frames = RING.slots + 3
    x = torch.randn(2, frames, 16, 8, 8, generator=seeded(0))
    other = x.clone()
    other[0, 4:] += 1
    t, text = torch.tensor([799, 799]), torch.zeros(2, 32, 96)
    with torch.no_grad():
        one, two = (layers.drawn(each, t, text, each) for each in (x, other))
    assert torch.allclose(one[0, :4], two[0, :4], atol=1e-4)
    assert torch.allclose(one[1], two[1], atol=1e-4)
    assert not torch.allclose(one[0, 4:], two[0, 4:], atol=1e-2)


def test_only_the_modules_are_learned(model):
    layers = MotionLayers(model.unet, seed=0)
    stage = MotionStage(model, layers, device="cpu")
    size = sum(p.numel() for p in layers.parameters())
    assert size * 2 <= 3_000_000
    noisy = torch.randn(1, 3, 16, 8, 8, generator=seeded(0))
    answer = stage.answer(noisy, torch.tensor([799]), noisy, stage.text(["comic"]))
    answer.square().mean().backward()
    learning = [p for p in layers.parameters() if p.grad is not None and p.grad.any()]
    assert len(learning) == 2 * len(layers.stack)  # the last projections: all else is silent yet
    assert all(p.grad is None for p in model.unet.parameters())


def test_what_has_no_weight_is_not_learned_and_the_rest_adds_up(model):
    clips = ClipPool(model.vae, crops=crops(0), captions=Captions(seeded(1)), frames=4, size_px=64)
    clips.fill(2)
    batch = clips.sample(2)

    def temporal(**weights):
        layers = MotionLayers(model.unet, seed=0)
        stage = MotionStage(model, layers, device="cpu", balance=Balance(**weights))
        with torch.no_grad():
            return stage.loss_on(batch, stage.text(["comic", "neon"]), seeded(2))[1]["temporal"]

    none = {"changing_latent": 0.0, "changing": 0.0}
    assert temporal(**none) == 0
    assert temporal(**none, bending=1.0) > 0
    both = temporal(**none, bending=2.0) + temporal(changing_latent=0.0)
    assert temporal(changing_latent=0.0, bending=2.0) == pytest.approx(both, rel=1e-3)


def test_another_kind_of_model_is_refused(model):
    other = replace(model, kind="text_to_image")
    with pytest.raises(ModelError, match="motion is trained here for tiny"):
        MotionStage(other, MotionLayers(other.unet, seed=0), device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("one.jpg", "coffee.jpg"):
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((160, 120)).save(folder / name)
    return folder


def plan(data, out, **changes):
    asked = {"minutes": 0.001, "size_px": 64, "batch": 1, "pairs": 12, "scenes": 8, **changes}
    return stages.Plan(data=data, out=out, **asked)


def lines_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_stage_leaves_an_adapter_a_log_and_a_sheet_and_goes_on_from_there(data, tmp_path):
    stages.train_motion(plan(data, tmp_path))
    folder = tmp_path / "motion"
    assert {"checkpoint.safetensors", "log.png", "sheet.png"} <= {p.name for p in folder.iterdir()}
    first = lines_of(folder)[-1]
    assert {"mean_db", "warp_db", "calm_db", "frozen_warp_db", "wanted_warp_db"} <= first.keys()
    assert all(math.isfinite(value) for value in first.values())
    with pytest.raises(ConfigError, match="motion.*exists: .*--resume"):
        stages.train_motion(plan(data, tmp_path))
    stages.train_motion(plan(data, tmp_path, resume=True))
    assert lines_of(folder)[-1]["step"] > first["step"]
    assert MotionAdapter.from_pretrained(folder / "adapter").config.motion_max_seq_length == 16
    weights = load_file(folder / "adapter" / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    tiny = load_model(find_model("tiny")).unet
    assert len(MotionUnet(tiny, read_adapter(folder / "adapter")).places) == 4


def _stir(layers):
    with torch.no_grad():
        for module in layers.stack:
            module.proj_out.weight.normal_(std=0.3, generator=seeded(9))
