"""The loop on a module of two numbers."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from streamgen.errors import ConfigError
from streamgen.training.lora_loop import Length, LoraTrainer

FIVE = Length(steps=5, minutes=4.0)


class Lost(Exception):
    """The machine went off."""


@pytest.fixture
def build(tmp_path):
    """Returns a module, and its trainer in a folder."""

    def make(name="run", save_every_s=600.0):
        module = nn.Linear(2, 1, bias=False)
        nn.init.constant_(module.weight, 0.5)
        (tmp_path / name).mkdir(exist_ok=True)
        trainer = LoraTrainer(module, folder=tmp_path / name, rate=0.1, save_every_s=save_every_s)
        return module, trainer

    return make


def loss_of(module, *, lost_at=None):
    def loss(step):
        if step == lost_at:
            raise Lost
        generator = torch.Generator().manual_seed(step)
        seen = torch.randn(4, 2, generator=generator)
        return (module(seen) - seen.sum(dim=1, keepdim=True)).square().mean(), {}

    return loss


def report(step):
    return {"mean_db": float(step)}


def test_a_run_that_was_lost_and_resumed_ends_as_one_that_was_not(build):
    whole, trainer = build("whole")
    trainer.run(FIVE, loss_of(whole), report)

    module, trainer = build("lost", save_every_s=-1)
    with pytest.raises(Lost):
        trainer.run(FIVE, loss_of(module, lost_at=2), report)
    resumed, trainer = build("lost")
    trainer.resume()
    trainer.run(FIVE, loss_of(resumed), report)

    assert trainer.step == 5
    assert torch.equal(resumed.weight, whole.weight)
    assert not torch.equal(module.weight, whole.weight)


def test_it_learns_and_leaves_log_and_plot(build, tmp_path):
    module, trainer = build()
    before = float(loss_of(module)(99)[0].detach())

    trainer.run(Length(steps=60, minutes=4.0), loss_of(module), report)

    assert float(loss_of(module)(99)[0].detach()) < before / 10
    assert (tmp_path / "run" / "log.png").exists()
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [10, 20, 30, 40, 50, 60]
    assert lines[-1] == {"step": 60, "mean_db": 60.0}


def test_a_run_at_its_end_only_reports(build):
    module, trainer = build()
    trainer.run(FIVE, loss_of(module), report)
    ended = module.weight.clone()

    again, trainer = build()
    trainer.resume()
    trainer.run(FIVE, loss_of(again, lost_at=5), report)

    assert torch.equal(again.weight, ended)


def test_minutes_end_a_run_without_steps(build):
    module, trainer = build()

    trainer.run(Length(steps=None, minutes=1e-6), loss_of(module), report)

    assert trainer.step <= 1


def test_nothing_to_resume_is_said(build):
    _, trainer = build()

    with pytest.raises(ConfigError, match="train this stage first"):
        trainer.resume()
