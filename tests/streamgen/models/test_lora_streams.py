"""LoRAs in streams that are drawn: each picture has those of its own revision, and none is lost."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engines.cache import EngineCache
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.controls import LoraScale
from streamgen.frame import Frame, Stamp
from streamgen.lora.apply import LoraSwitch
from streamgen.lora.delta import Scaled
from streamgen.lora.read import read_lora
from streamgen.lora.shelf import Shelf
from streamgen.models.engines import engines_of, load_engines
from streamgen.models.reading import networks_of
from streamgen.pipeline import Pipeline
from streamgen.worker import Worker

SIDE, RANK = 64, 4


@pytest.fixture(scope="module")
def places(tmp_path_factory, layers):
    """A folder with LoRAs: a, b, c for the UNet, words for the text encoder as well."""
    folder = tmp_path_factory.mktemp("loras")
    for seed, name in enumerate(["a", "b", "c"], start=1):
        save_file(random_lora(layers["unet"], seed), folder / f"{name}.safetensors")
    both = random_lora(layers["unet"], 9, only="to_k")
    both |= random_lora(layers["text_encoder"], 9, prefix="lora_te_")
    save_file(both, folder / "words.safetensors")
    return folder


@pytest.fixture(scope="module")
def layers():
    engines = engines_of(config_of("torch"))
    kinds = (nn.Linear, nn.Conv2d)
    return {
        network: {name: each for name, each in module.named_modules() if isinstance(each, kinds)}
        for network, module in networks_of(engines.model).items()
    }


def random_lora(layers, seed, *, prefix="lora_unet_", only=""):
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, layer in layers.items():
        if only not in name:
            continue
        out, *inputs = layer.weight.shape
        key, ones = prefix + name.replace(".", "_"), [1] * (len(inputs) - 1)
        tensors[f"{key}.lora_down.weight"] = torch.randn(RANK, *inputs, generator=generator) * 0.08
        tensors[f"{key}.lora_up.weight"] = torch.randn(out, RANK, *ones, generator=generator) * 0.08
    return tensors


def config_of(backend, **further):
    further = {"swaps_weights": True, "precision": "fp32", **further}
    return StreamConfig(model="tiny", width=SIDE, height=SIDE, backend=backend, **further)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return EngineCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def load(places, cache):
    return partial(load_engines, cache=cache, shelf=Shelf([places]))


def picture(index):
    pixels = np.random.default_rng(index).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return pixels.repeat(8, 0).repeat(8, 1)


def frame_of(index):
    return Frame(
        pixels=picture(index),
        stamp=Stamp(index=index, pts=index, time_base=Fraction(1, 10), ingest_ns=index),
    )


def drawn_by(pipeline, index=0, **controls):
    """Draw one picture in a new stream."""
    stream = pipeline.open_stream("alone", controls_of(**controls))
    [answer] = pipeline.tick([stream], [frame_of(index)], index)
    return answer.frame.pixels


def controls_of(**controls):
    return controls_from({"prompts": "watercolor", "temporal_strength": 0.0, **controls})


@pytest.fixture(params=["torch", "openvino"])
def pipeline(request, load):
    return Pipeline(load(config_of(request.param)))


def away(one, other):
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_pictures_have_the_weights_that_the_loras_make(pipeline, places):
    oracle = engines_of(config_of("torch"))
    switch = LoraSwitch(networks_of(oracle.model))
    names = {"a": 0.8, "b": -0.5}
    switch.apply(
        [
            Scaled(lora=switch.fit(read_lora(places / f"{name}.safetensors")), scale=scale)
            for name, scale in names.items()
        ]
    )
    loras = [{"name": name, "scale": scale} for name, scale in names.items()]
    base = drawn_by(pipeline)

    drawn = drawn_by(pipeline, loras=loras)

    assert away(drawn, drawn_by(Pipeline(oracle))) <= 1
    assert away(drawn, base) > 20
    assert away(drawn_by(pipeline), base) == 0


def test_swaps_in_any_order_end_as_a_fresh_load_does(pipeline, load):
    backend = pipeline.engines.choice.backend.name
    chance = random.Random(20)
    for _ in range(20 if backend == "torch" else 5):
        names = chance.sample("abc", chance.randint(0, 3))
        loras = [{"name": name, "scale": chance.choice([-1.0, 0.3, 1.0])} for name in names]
        last = drawn_by(pipeline, loras=loras)
    loras = [{"name": "b", "scale": 0.7}, {"name": "c", "scale": 1.0}]
    last = drawn_by(pipeline, loras=loras)

    fresh = drawn_by(Pipeline(load(config_of(backend))), loras=loras)

    assert away(last, fresh) == 0
    assert len(pipeline.engines.weights.sets) <= 2


def test_streams_with_other_loras_are_drawn_together_each_as_if_alone(load):
    pipeline = Pipeline(load(config_of("torch")))
    asked = [(), ("a",), ("b",), ("a",)]
    streams = [
        pipeline.open_stream(f"stream {k}", controls_of(loras=list(each), steps=2))
        for k, each in enumerate(asked)
    ]
    for index in range(3):
        answers = pipeline.tick(streams, [frame_of(index)] * 4, index)
    together = {answer.stream.name: answer.frame.pixels for answer in answers}

    for k, each in enumerate(asked):
        alone = Pipeline(load(config_of("torch")))
        stream = alone.open_stream("alone", controls_of(loras=list(each), steps=2))
        for index in range(3):
            answers = alone.tick([stream], [frame_of(index)], index)
        assert away(together[f"stream {k}"], answers[0].frame.pixels) <= 1
    assert len(pipeline.engines.weights.sets) == 3


def test_rows_under_way_finish_with_the_weights_they_started_with(load):
    pipeline = Pipeline(load(config_of("torch")))
    other = Pipeline(load(config_of("torch")))
    steps = {"steps": 3}
    stream, still = (each.open_stream("one", controls_of(**steps)) for each in (pipeline, other))
    pictures, expected = [], []
    for index in range(6):
        if index == 3:
            stream.revision = pipeline.reviser().revise(controls_of(loras=["a"], **steps), 1)
        pictures += pipeline.tick([stream], [frame_of(index)], index)
        expected += other.tick([still], [frame_of(index)], index)

    same = [away(a.frame.pixels, b.frame.pixels) for a, b in zip(pictures, expected, strict=True)]

    assert [each.frame.stamp.revision for each in pictures] == [0, 0, 0, 1]
    assert max(same[:3]) == 0 and same[3] > 10


def test_a_lora_of_the_text_encoder_changes_how_a_sentence_is_read_and_back(load):
    pipeline = Pipeline(load(config_of("torch")))
    revise = pipeline.reviser().revise
    plain = revise(controls_of())

    with_words = revise(controls_of(loras=["words"]))
    with_picture = revise(controls_of(loras=["a"]))

    assert not torch.equal(with_words.text, plain.text)
    assert torch.equal(with_picture.text, plain.text)
    assert torch.equal(revise(controls_of()).text, plain.text)


def bad_files(folder, layers):
    """Put files on the shelf that are no LoRAs of tiny; return parts of what is said of each."""
    good = random_lora(layers["unet"], 5)
    first = next(iter(good))
    downs = {key: value for key, value in good.items() if "lora_down" in key}
    wide = {key: torch.cat([value, value], dim=1) for key, value in downs.items()}
    save_file({**good, **wide}, folder / "other.safetensors")
    save_file({**good, first: torch.full_like(good[first], torch.nan)}, folder / "nan.safetensors")
    save_file(good, folder / "half.safetensors")
    data = (folder / "half.safetensors").read_bytes()
    (folder / "half.safetensors").write_bytes(data[: len(data) // 2])
    return {"other": "another model", "nan": "NaN", "half": "cut off"}


def test_a_file_that_is_no_sound_lora_of_the_model_is_refused_by_name(
    load, tmp_path, layers, executor
):
    told = bad_files(tmp_path, layers)
    save_file(random_lora(layers["unet"], 1), tmp_path / "a.safetensors")
    worker = Worker(partial(load, shelf=Shelf([tmp_path])), executor=executor)
    worker.open("one", config_of("torch"), {"loras": ["a"]})
    wait_for(worker, executor, lambda status: status.state == "live")
    before = draw(worker, 0)

    for name, part in told.items():
        worker.patch("one", {"loras": [name]})
        status = wait_for(worker, executor, lambda status: status.control_failure is not None)
        assert name in status.control_failure and part in status.control_failure
        assert away(draw(worker, 0), before) == 0
    worker.patch("one", {"loras": []})
    wait_for(worker, executor, lambda status: status.control_failure is None)
    assert away(draw(worker, 0), before) > 10


def test_a_stream_whose_loras_are_gone_opens_without_them_and_says_so(load, executor):
    worker = Worker(load, executor=executor)
    worker.open("one", config_of("torch"), {"loras": ["gone"], "strength": 0.5})

    status = wait_for(worker, executor, lambda status: status.state == "live")

    assert "LoRA 'gone': choose a, b, c, words" in status.control_failure
    assert (status.controls["loras"], status.controls["strength"]) == ([], 0.5)


def test_a_stream_opens_with_those_of_its_loras_that_can_be_had(load, tmp_path, layers, executor):
    bad_files(tmp_path, layers)
    save_file(random_lora(layers["unet"], 1), tmp_path / "a.safetensors")
    worker = Worker(partial(load, shelf=Shelf([tmp_path])), executor=executor)
    loras = [{"name": name, "scale": 0.5} for name in ("half", "a", "gone")]
    worker.open("one", config_of("torch"), {"loras": loras})

    status = wait_for(worker, executor, lambda status: status.state == "live")

    assert status.controls["loras"] == [{"name": "a", "scale": 0.5}]
    assert "LoRA 'gone': choose" in status.control_failure


def test_a_name_that_is_not_on_the_shelf_is_refused_at_once(load):
    pipeline = Pipeline(load(config_of("torch")))
    with pytest.raises(Exception, match=r"'nobody': choose a, b, c, words"):
        pipeline.reviser().check(controls_of(loras=["nobody"]))


def test_engines_that_swap_nothing_refuse_loras(load):
    pipeline = Pipeline(load(config_of("torch", swaps_weights=False)))
    with pytest.raises(Exception, match=r"loras \['a'\]: none can be put in here"):
        pipeline.reviser().check(controls_of(loras=["a"]))


def draw(worker, index):
    """Have a picture drawn, with whatever is in force."""
    worker.put("one", frame_of(index))
    worker.tick(index)
    answer = worker.take("one")
    assert answer is not None
    return answer.pixels


def wait_for(worker, executor, is_so):
    """Let the executor work until the stream's status is as it should be."""
    for _ in range(20):
        executor.submit(lambda: None).result()
        status = worker.status("one")
        assert status.failure is None
        if is_so(status):
            return status
    raise AssertionError(f"still {status}")


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_a_running_stream_misses_no_picture_while_loras_are_swapped(load, backend, executor):
    worker = Worker(load, executor=executor)
    worker.open("one", config_of(backend), {})
    wait_for(worker, executor, lambda status: status.state == "live")
    seen, index, chance = set(), 0, random.Random(1)
    for _ in range(12 if backend == "torch" else 4):
        scale = chance.choice([-0.5, 0.5, 1.0])
        asked = worker.patch("one", {"loras": [{"name": chance.choice("abc"), "scale": scale}]})
        answer = None
        while answer is None or answer.stamp.revision != asked.revision:
            worker.put("one", frame_of(index))
            worker.tick(index)
            answer = worker.take("one")
            # Every tick has its picture, of the revision before or of the new one, whole.
            assert answer is not None and answer.stamp.index == index
            index += 1
            seen.add(answer.stamp.revision)
    assert seen == set(range(asked.revision + 1))
    assert not any(worker.status("one").dropped.values())


def test_sets_of_networks_are_used_again_and_given_back(load):
    pipeline = Pipeline(load(config_of("torch")))
    stream = pipeline.open_stream("one", controls_of())
    for number in range(1, 31):
        loras = [LoraScale(name="abc"[number % 3], scale=number / 40)]
        stream.revision = pipeline.reviser().revise(controls_of(loras=loras), number)
        pipeline.tick([stream], [frame_of(number)], number)
    assert len(pipeline.engines.weights.sets) <= 3
    assert len(pipeline.loras.in_use()) == 1
