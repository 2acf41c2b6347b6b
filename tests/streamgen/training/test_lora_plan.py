"""What a call may ask for, and when it is refused before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from streamgen.errors import ConfigError
from streamgen.training.lora_plan import LoraPlan


def plan(out, **changes):
    return LoraPlan(photos=Path("photos"), drawn=Path("drawn"), out=out, **changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rank": 0}, "rank 0: give a whole number from 1 to 128"),
        ({"rank": 129}, "rank 129: give"),
        ({"minutes": 0}, "minutes 0: give a number above 0"),
        ({"minutes": float("nan")}, "minutes nan: give a number above 0"),
        ({"steps": 0}, "steps 0: give a whole number from 1 on"),
        ({"size_px": 100}, "size 100: give a multiple of 32 from 64"),
        ({"batch": 0}, "batch 0: give a whole number from 1 on"),
        ({"rate": 0.0}, "rate 0.0: give a number above 0"),
        ({"device": "tpu"}, "device 'tpu': give cpu or cuda"),
    ],
)
def test_a_bad_value_is_named(tmp_path, changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        plan(tmp_path / "a.safetensors", **changes)


@pytest.mark.parametrize("name", ["style.bin", "style", "style.pt"])
def test_nothing_is_written_but_safetensors(tmp_path, name):
    with pytest.raises(ConfigError, match=rf"{name}': give a file that ends in .safetensors"):
        plan(tmp_path / name)


def test_a_lora_that_is_there_is_not_replaced(tmp_path):
    out = tmp_path / "style.safetensors"
    out.write_bytes(b"mine")

    with pytest.raises(ConfigError, match="style.safetensors' exists: give another file"):
        plan(out).check()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    asked = plan(tmp_path / "file" / "style.safetensors")

    with pytest.raises(ConfigError, match="style.safetensors' cannot be written: "):
        asked.make_folder()


def test_a_run_is_gone_on_with_as_it_was_begun(tmp_path):
    out = tmp_path / "style.safetensors"
    begun = plan(out, rank=4)
    begun.make_folder()
    (begun.folder / "checkpoint.safetensors").write_bytes(b"")

    plan(out, rank=4, minutes=9.0, resume=True).check()
    with pytest.raises(ConfigError, match=r"rank 8: '.*style.safetensors' was begun with 4"):
        plan(out, resume=True).check()
    with pytest.raises(ConfigError, match=r"checkpoint.safetensors exists: .*--resume"):
        plan(out, rank=4).check()


def test_nothing_to_go_on_from_is_said(tmp_path):
    with pytest.raises(ConfigError, match="there is no checkpoint to go on from"):
        plan(tmp_path / "style.safetensors", resume=True).check()


def test_every_step_has_its_own_data_whoever_asks(tmp_path):
    asked = plan(tmp_path / "a.safetensors", seed=3)

    first, again, later = (torch.rand(8, generator=asked.generator(step)) for step in (5, 5, 6))

    assert torch.equal(first, again)
    assert not torch.equal(first, later)
