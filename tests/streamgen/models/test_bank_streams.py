"""Streams with a feature bank, through the engines: equal however they are drawn, and alone."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from engines.cache import EngineCache
from engines.protocol import BackendOptions
from engines.registry import choose
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.frame import Frame, Stamp
from streamgen.models.engines import Engines
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model
from streamgen.pipeline import Pipeline

SIZE = 64
BANK = {"bank_strength": 1.0, "bank_fusion": 0.8, "bank_interval": 2, "t_index_list": [10, 30]}


class SeenEngines(Engines):
    """Engines whose latents can be seen before they become pictures."""

    drawn = ()

    def decode(self, latents):
        self.drawn = (*self.drawn, *latents.clone())
        return super().decode(latents)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return EngineCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def load(edit_folder, cache):
    def load_one(backend="torch"):
        config = StreamConfig(
            model=str(edit_folder), width=SIZE, height=SIZE, backend=backend, precision="fp32"
        )
        choice = choose(backend, device="cpu", options=BackendOptions())
        return SeenEngines(
            load_model(find_model(str(edit_folder))), config, choice=choice, cache=cache
        )

    return load_one


def moving(index, seed=0):
    """A smooth picture that moves to the right, a frame at a time."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    picture = np.roll(coarse.repeat(SIZE // 4, 0).repeat(SIZE // 4, 1), index, axis=1)
    stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=0)
    return Frame(pixels=picture, stamp=stamp)


def latents(engines, asked, *, frames=6, first=0, seeds=None):
    """Return, for each stream, the latents of its pictures, in order; seeds: of their pictures."""
    pipeline = Pipeline(engines)
    streams = [pipeline.open_stream(str(k), controls_from(each)) for k, each in enumerate(asked)]
    seeds = seeds or range(len(asked))
    engines.drawn, owners = (), []
    for index in range(first, first + frames):
        given = [moving(index, seed) for seed in seeds]
        owners += [answer.stream for answer in pipeline.tick(streams, given, 0)]
    owners += [answer.stream for answer in pipeline.flush(streams)]
    pairs = list(zip(engines.drawn, owners, strict=True))
    return [torch.stack([each for each, owner in pairs if owner is one]) for one in streams]


def apart(a, b):
    return float((a - b).abs().max())


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_stream_batch_is_one_frame_after_the_other(load, backend):
    engines = load(backend)
    [batched] = latents(engines, [BANK])
    [plain] = latents(engines, [{"t_index_list": [10, 30]}])
    [sequential] = latents(engines, [{**BANK, "denoising": "sequential"}])
    assert len(batched) == 6
    assert apart(batched, sequential) < 1e-4
    assert apart(batched[0], plain[0]) < 1e-4 < apart(batched[1:], plain[1:])


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_streams_together_are_streams_alone(load, backend):
    asked = [BANK, {**BANK, "t_index_list": [20], "bank_interval": 1}, {"t_index_list": [20]}]
    engines = load(backend)
    together = latents(engines, asked)
    for k, each in enumerate(asked):
        [alone] = latents(engines, [each], seeds=[k])
        assert apart(together[k], alone) < 1e-4


def test_no_pixel_of_one_stream_influences_another(load):
    engines = load()
    first = latents(engines, [BANK, BANK], seeds=[0, 1])
    second = latents(engines, [BANK, BANK], seeds=[0, 7])
    assert torch.equal(first[0], second[0]) and not torch.equal(first[1], second[1])


def test_the_same_again_is_the_same(load):
    [first], [second] = latents(load(), [BANK]), latents(load(), [BANK])
    assert torch.equal(first, second)


def test_every_kind_of_guidance_has_its_memory(load):
    guided = {"guidance_scale": 1.5, "prompts": "oil"}
    engines = load()
    for guidance in ("full", "self", "initialize"):
        asked = {**BANK, **guided, "guidance": guidance}
        [batched] = latents(engines, [asked])
        [sequential] = latents(engines, [{**asked, "denoising": "sequential"}])
        assert apart(batched, sequential) < 1e-4


def test_streams_without_a_bank_stay_with_the_plain_network(load):
    engines = load("openvino")
    latents(engines, [{"t_index_list": [20]}], frames=2)
    assert {role for role, _ in engines.ports.ready} == {"vae_encoder", "unet", "vae_decoder"}
    latents(engines, [{**BANK, "bank_strength": 0.0}], frames=2)
    assert "unet_bank" in {role for role, _ in engines.ports.ready}


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_after_another_prompt_a_stream_is_as_one_that_begins_there(load, backend):
    engines = load(backend)
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream("one", controls_from({**BANK, "prompts": "oil"}))
    for index in range(5):
        pipeline.tick([stream], [moving(index)], 0)
    stream.revision = pipeline.reviser().revise(controls_from({**BANK, "prompts": "a pencil"}), 1)
    engines.drawn = ()
    for index in range(5, 10):
        pipeline.tick([stream], [moving(index)], 0)
    after = torch.stack(engines.drawn[1:])  # the first was under way
    [fresh] = latents(engines, [{**BANK, "prompts": "a pencil"}], first=5, frames=4)
    assert apart(after, fresh) < 1e-4


def test_after_a_cut_a_stream_is_as_one_that_begins_there(load):
    engines = load()
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream("one", controls_from({**BANK, "denoising": "sequential"}))
    for index in range(4):
        pipeline.tick([stream], [moving(index)], 0)
    engines.drawn = ()
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    black[::2] = 255
    other = [Frame(pixels=np.roll(black, k, 1), stamp=moving(k).stamp) for k in range(4, 7)]
    for frame in other:
        pipeline.tick([stream], [frame], 0)
    after = torch.stack(engines.drawn)
    begun = pipeline.open_stream("two", controls_from({**BANK, "denoising": "sequential"}))
    engines.drawn = ()
    for frame in other:
        pipeline.tick([begun], [frame], 0)
    assert apart(after, torch.stack(engines.drawn)) < 1e-5


def test_a_reset_gives_the_slots_back(load):
    engines = load()
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream("one", controls_from(BANK))
    pipeline.tick([stream], [moving(0)], 0)
    bank = engines.memory.banks(frozenset({"bank"}))["bank"]
    taken = len(stream.memory.features.leases)
    assert taken == 2 and bank.free == engines.bank.slots - taken
    stream.reset()
    assert bank.free == engines.bank.slots
