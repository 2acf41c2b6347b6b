"""LoRAs on motion modules: put into the networks that have them, live, and into no others."""

import copy
from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engines.cache import EngineCache
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.controls import LoraScale
from streamgen.errors import ModelError
from streamgen.frame import Frame, Stamp
from streamgen.lora.apply import LoraSwitch
from streamgen.lora.delta import Scaled
from streamgen.lora.read import read_lora
from streamgen.lora.shelf import Shelf
from streamgen.models.engines import book_of, load_engines
from streamgen.motion.loras import fitted_with_motion
from streamgen.motion.unet import MotionUnet
from streamgen.pipeline import Pipeline

SIZE = 64
MOTION = "up_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_v"
#: On a level that is left out where there is little memory.
FINE = "down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_v"
SPATIAL = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loras")
    files = {"move": {MOTION: 16}, "both": {MOTION: 16, SPATIAL: 16}, "fine": {FINE: 8}}
    for seed, (name, layers) in enumerate(files.items()):
        generator = torch.Generator().manual_seed(seed)
        tensors = {}
        for layer, width in layers.items():
            down = torch.randn(4, width, generator=generator)
            up = torch.randn(width, 4, generator=generator)
            tensors[f"unet.{layer}.lora_A.weight"] = down
            tensors[f"unet.{layer}.lora_B.weight"] = up
        save_file(tensors, folder / f"{name}.safetensors")
    return folder


@pytest.fixture
def load(edit_folder, adapter_folder, places, tmp_path_factory):
    cache = EngineCache(tmp_path_factory.mktemp("cache"))

    def load(backend="torch", **further):
        settings = {"width": SIZE, "height": SIZE, "motion": str(adapter_folder), **further}
        config = StreamConfig(
            model=str(edit_folder),
            backend=backend,
            precision="fp32",
            swaps_weights=True,
            **settings,
        )
        return load_engines(config, cache, shelf=Shelf([places]))

    return load


def inputs_of(engines):
    generator = torch.Generator().manual_seed(0)
    x, source = (torch.randn(1, *engines.latent_shape, generator=generator) for _ in range(2))
    model = engines.model
    text = torch.randn(1, model.text_tokens, model.text_width, generator=generator)
    return {"x": x, "t": torch.tensor([400.0]), "text": text, "source": source}


def moved(denoisers, given, kinds=("motion",)):
    """Return the answer to a stream's first frame."""
    told = {"motion_slot": torch.tensor([0]), "motion_strength": torch.ones(1)}
    if "bank" in kinds:
        zeros = {"bank_strength": torch.zeros(1), "bank_fusion": torch.zeros(1)}
        told |= {"memory_slot": torch.tensor([0]), **zeros}
    return denoisers.memory(frozenset(kinds), **given, **told)["answer"].clone()


def plain(denoisers, given):
    rest = {"source": given["source"]}
    return denoisers.unet(given["x"], given["t"], given["text"], rest).clone()


def expected(engines, path, given):
    """Return the same of a network of its own that a LoRA was put into."""
    model = engines.model
    unet = copy.deepcopy(model.unet)
    network = MotionUnet(unet, model.motion.adapter, names=("source",))
    lora = fitted_with_motion(read_lora(path), {"unet": network.unet})
    LoraSwitch({"unet": network.unet}).apply([Scaled(lora=lora, scale=0.5)])
    x, t, text, source = given.values()
    with torch.inference_mode():
        sight = model.motion.ring.sight(1)
        return network.frames(x[None], t, text, source, sight=sight)[0]


SLOW_OPENVINO = pytest.param("openvino", marks=pytest.mark.slow)


@pytest.mark.parametrize("backend", ["torch", SLOW_OPENVINO])
def test_a_motion_lora_is_put_into_motion_modules_and_taken_out_again(load, places, backend):
    engines = load(backend)
    given, book = inputs_of(engines), book_of(engines)
    base = book.weights(())
    before = moved(engines.holding(base), given)
    weights = book.weights((LoraScale(name="move", scale=0.5),))
    denoisers = engines.holding(weights)
    found = moved(denoisers, given)
    assert (found - before).abs().max() > 0.01
    wanted = expected(engines, places / "move.safetensors", given)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert torch.equal(plain(denoisers, given), plain(engines.holding(base), given))
    del weights, denoisers
    assert torch.equal(moved(engines.holding(book.weights(())), given), before)


def test_every_network_takes_what_it_has_layers_for(load, places):
    engines = load()
    given, book = inputs_of(engines), book_of(engines)
    base = book.weights(())
    before = plain(engines.holding(base), given)
    moved(engines.holding(base), given, ("bank", "motion"))
    weights = book.weights((LoraScale(name="both", scale=0.5),))
    denoisers = engines.holding(weights)
    assert (plain(denoisers, given) - before).abs().max() > 1e-4
    wanted = expected(engines, places / "both.safetensors", given)
    for kinds in (("motion",), ("bank", "motion")):
        found = moved(denoisers, given, kinds)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_of_levels_that_are_left_out_a_lora_changes_nothing(load):
    engines = load(width=256, height=256, motion_window=6, motion_memory_mb=1)
    assert engines.motion_memory.levels == (1,)
    given, book = inputs_of(engines), book_of(engines)
    base = book.weights(())
    before = moved(engines.holding(base), given)
    fine = book.weights((LoraScale(name="fine", scale=0.5),))
    assert torch.equal(moved(engines.holding(fine), given), before)
    move = book.weights((LoraScale(name="move", scale=0.5),))
    assert not torch.equal(moved(engines.holding(move), given), before)


def test_without_an_adapter_a_motion_lora_is_refused_with_what_to_do(load):
    book = book_of(load(motion="none"))
    with pytest.raises(ModelError, match="LoRA 'move' changes motion .* adapter first"):
        book.weights((LoraScale(name="move", scale=0.5),))


def test_streams_with_other_loras_share_the_memory_and_have_rings_of_their_own(load):
    asked = [
        {"loras": [{"name": "move", "scale": 0.5}]},
        {"loras": [{"name": "both", "scale": 0.4}], "steps": 2},
        {"steps": 2},
        {},
    ]
    engines = load()
    together = drawn(engines, asked)
    for k, each in enumerate(asked):
        [alone] = drawn(engines, [each], seeds=[k])
        # The pictures of one stream are the same whoever is drawn beside it; to a level, by batch.
        assert all(np.abs(a - b).max() <= 1 for a, b in zip(together[k], alone, strict=True))
    assert len(engines.weights.sets) >= 3


def drawn(engines, asked, *, seeds=None):
    """Return the pictures of each stream, all of them with motion."""
    pipeline = Pipeline(engines)
    streams = [
        pipeline.open_stream(str(k), controls_from({"motion_strength": 1.0, "steps": 1, **each}))
        for k, each in enumerate(asked)
    ]
    made = {stream.name: [] for stream in streams}
    for index in range(6):
        frames = [frame_of(index, seed) for seed in seeds or range(len(streams))]
        for answer in pipeline.tick(streams, frames, 0):
            made[answer.stream.name].append(answer.frame.pixels.astype(int))
    return list(made.values())


def frame_of(index, seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    picture = np.roll(coarse.repeat(SIZE // 4, 0).repeat(SIZE // 4, 1), index, axis=1)
    stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=0)
    return Frame(pixels=picture, stamp=stamp)
