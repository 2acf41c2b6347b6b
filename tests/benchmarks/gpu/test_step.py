from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.gpu.cases import all_cases
from benchmarks.gpu.networks import make_networks
from benchmarks.gpu.step import Step
from engines.backends.torch import TorchBackend
from engines.protocol import BackendOptions
from streamgen.schedule import levels, schedule_from, t_index_list
from streamgen.sources import Size

STREAMS, STEPS = 2, 3


@pytest.fixture(scope="module")
def case():
    return replace(all_cases("tiny")[0], streams=STREAMS, steps=STEPS, size=Size(64, 64))


@pytest.fixture(scope="module")
def networks(case):
    return make_networks(case, "fp32", scale=0.1)


def stepped(networks, case, *, unet_rows):
    """A step of eager networks, whose UNet takes that many rows at a time."""
    backend = TorchBackend(BackendOptions())
    compiled = {}
    for role, part in networks.parts.items():
        size = unet_rows if role == "unet" else part.rows
        made = backend.adopt(part.spec_for(size), part.module, device="cpu")
        compiled[role] = [made] * (part.rows // size)
    return Step(networks, compiled, case=case, device="cpu")


def pictures(count):
    generator = torch.Generator().manual_seed(3)
    shape = (count, STREAMS, 64, 64, 3)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@torch.inference_mode()
def drawn_alone(networks, step, picture, stream):
    """Take one picture through all levels by itself, with the plain modules."""
    modules = {role: part.module for role, part in networks.parts.items()}
    schedule = schedule_from(
        {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    )
    clean = modules["vae_encoder"](picture[None]) * networks.scale
    text = step.unet.inputs["text"].unflatten(0, (STEPS, STREAMS))
    for number, level in enumerate(levels(schedule, t_index_list(0.6, STEPS))):
        x = level.alpha * clean + level.sigma * step.noise[number, stream]
        answer = modules["unet"](x, torch.tensor([float(level.t)]), text[number, stream][None])
        clean = (x - level.sigma * answer) / level.alpha
    return modules["vae_decoder"](clean / networks.scale)[0]


def test_a_picture_comes_out_as_if_it_had_been_drawn_alone(networks, case):
    step, frames = stepped(networks, case, unet_rows=STREAMS * STEPS), pictures(STEPS + 1)

    for frame in frames:
        step.pixels.copy_(frame)
        step.run()

    newest = len(frames) - STEPS
    for stream in range(STREAMS):
        alone = drawn_alone(networks, step, frames[newest, stream], stream)
        assert (step.drawn[stream].int() - alone.int()).abs().max() <= 1
    assert step.drawn.float().std() > 1


def test_rows_in_several_parts_are_the_same_rows(networks, case):
    whole = stepped(networks, case, unet_rows=STREAMS * STEPS)
    parts = stepped(networks, case, unet_rows=STREAMS)
    assert len(parts.unet.bindings) == STEPS

    for frame in pictures(STEPS):
        for step in (whole, parts):
            step.pixels.copy_(frame)
            step.run()

    torch.testing.assert_close(parts.latent, whole.latent, rtol=1e-4, atol=1e-4)


def test_sdxl_is_told_sizes_and_the_whole_sentence():
    case = next(case for case in all_cases("tiny") if case.shape == "sdxl-turbo")
    networks = make_networks(case, "fp32", scale=0.1)

    names = [each.name for each in networks.parts["unet"].spec.inputs]

    assert names == ["x", "t", "text", "text_embeds", "time_ids"]


def test_weights_are_the_same_for_every_case_of_a_shape(case, networks):
    again = make_networks(replace(case, streams=1), "fp32", scale=0.1)

    for role, part in networks.parts.items():
        theirs = again.parts[role].module.state_dict()
        for name, value in part.module.state_dict().items():
            assert torch.equal(value, theirs[name])
