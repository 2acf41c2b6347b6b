import json

import pytest
import torch

from streamgen.errors import ConfigError
from streamgen.training.latents import fingerprint, settle_scale
from streamgen.training.nets import build_vae


class Mix:
    """Small pictures of noise, and how often they were asked for."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)
        self.drawn = 0

    def draw(self, count, size_px):
        self.drawn += 1
        return torch.rand(count, 3, 32, 32, generator=self.generator)


@pytest.fixture
def out(tmp_path):
    (tmp_path / "vae").mkdir()
    return tmp_path


def factor(out):
    return json.loads((out / "vae" / "latent_scale.json").read_text())["scaling_factor"]


def test_the_factor_is_found_once_for_the_same_weights(out):
    vae, mix = build_vae(), Mix()
    settle_scale(out, vae, mix)
    found, drawn = factor(out), mix.drawn
    settle_scale(out, vae, mix)
    settle_scale(out, vae, None)
    assert (factor(out), mix.drawn) == (found, drawn)
    assert vae.config.scaling_factor == found


def test_other_weights_get_a_factor_of_their_own(out):
    vae = build_vae()
    settle_scale(out, vae, Mix())
    found = factor(out)
    with torch.no_grad():
        list(vae.encoder.parameters())[-1].mul_(3).add_(1)
        list(vae.encoder.parameters())[-2].mul_(3)
    with pytest.raises(ConfigError, match="trained again.*unet stage"):
        settle_scale(out, vae, None)
    settle_scale(out, vae, Mix())
    assert factor(out) != found and vae.config.scaling_factor == factor(out)


def test_a_factor_without_a_fingerprint_is_taken_as_it_is(out):
    path = out / "vae" / "latent_scale.json"
    path.write_text('{"scaling_factor": 1.5}')
    vae = build_vae()
    settle_scale(out, vae, None)
    assert vae.config.scaling_factor == 1.5
    assert path.read_text() == '{"scaling_factor": 1.5}'


def test_a_missing_factor_is_named(out):
    with pytest.raises(ConfigError, match="latent_scale.json: train the unet stage first"):
        settle_scale(out, build_vae(), None)


def test_a_fingerprint_tells_weights_and_not_their_memory_layout():
    vae = build_vae()
    before = fingerprint(vae)
    assert fingerprint(vae.to(memory_format=torch.channels_last)) == before
    with torch.no_grad():
        next(vae.parameters()).add_(1)
    assert fingerprint(vae) != before
