"""Sets of networks whose weights come and go: failures half way, take-overs, room."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engines.cache import EngineCache
from engines.errors import EngineError
from engines.protocol import BackendOptions
from engines.registry import Choice, backend
from streamgen.admission import Limits
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.controls import LoraScale
from streamgen.errors import ConfigError
from streamgen.frame import Frame, Stamp
from streamgen.lora.shelf import Shelf
from streamgen.lora.weights import Weights
from streamgen.models.denoisers import Denoisers
from streamgen.models.engines import Engines, book_of, load_engines
from streamgen.models.footprint import check_memory
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model
from streamgen.models.weight_pool import WeightPool
from streamgen.pipeline import Pipeline
from streamgen.steady import SteadyTicks
from streamgen.worker import Worker

SIZE = 64
LAYER = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
NAMES = ("a", "b", "c")
#: After so long, whoever waits fails.
PATIENCE_S = 60


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loras")
    for seed, name in enumerate(NAMES):
        generator = torch.Generator().manual_seed(seed)
        key = f"unet.{LAYER}"
        tensors = {
            f"{key}.lora_A.weight": torch.randn(2, 16, generator=generator) * 3,
            f"{key}.lora_B.weight": torch.randn(16, 2, generator=generator) * 3,
        }
        save_file(tensors, folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="module")
def config(edit_folder):
    return StreamConfig(
        model=str(edit_folder),
        width=SIZE,
        height=SIZE,
        backend="torch",
        precision="fp32",
        swaps_weights=True,
    )


@pytest.fixture
def load(places, config, tmp_path):
    return partial(load_engines, config, EngineCache(tmp_path), shelf=Shelf([places]))


class Moody:
    """A network of torch that refuses to be swapped while its backend says so."""

    def __init__(self, inner, mood):
        self._inner, self._mood = inner, mood

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def swap_weights(self, delta):
        if self._mood.left == 0:
            raise EngineError("no more")
        self._mood.left -= 1
        return self._inner.swap_weights(delta)


class MoodyBackend:
    """The torch backend, whose networks are swapped only so many times."""

    def __init__(self):
        self._inner = backend("torch", options=BackendOptions())
        self.name, self.left = "moody", 1000
        # Sizes, so that there is a network for each.
        self.batch_sizes = (1, 2)

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def probe(self, device):
        return self._inner.probe(device)

    def precisions(self, device):
        return self._inner.precisions(device)

    def adopt(self, spec, module, *, device):
        return Moody(self._inner.adopt(spec, module, device=device), self)


@pytest.fixture
def moody(config, places, tmp_path):
    backend_ = MoodyBackend()
    model = load_model(find_model(config.model))
    choice = Choice(backend=backend_, device="cpu")
    engines = Engines(model, config, choice=choice, cache=EngineCache(tmp_path))
    engines.shelf = Shelf([places])
    engines.prepare(2, denoiser_batch=3)
    return engines, backend_


def answer_of(engines, weights):
    channels, height, width = engines.latent_shape
    seeded = torch.Generator().manual_seed(3)
    x = torch.randn(1, channels, height, width, generator=seeded)
    text = torch.randn(1, engines.model.text_tokens, engines.model.text_width, generator=seeded)
    cond = {"source": torch.randn(1, channels, height, width, generator=seeded)}
    return engines.holding(weights).unet(x, torch.tensor([500.0]), text, cond).clone()


def test_a_swap_that_fails_half_way_leaves_the_weights_as_they_were(moody):
    engines, mood = moody
    book = book_of(engines)
    first = book.weights([LoraScale(name="a")])
    expected = answer_of(engines, first)
    key = engines.weights.sets[0].key
    del first

    # There is one network for a batch of 1 and one for 2: the second one fails.
    mood.left = 1
    with pytest.raises(EngineError, match="no more"):
        book.weights([LoraScale(name="b")])
    mood.left = 1000

    again = book.weights([LoraScale(name="a")])
    assert torch.equal(answer_of(engines, again), expected)
    assert engines.weights.sets[0].key in (key, frozenset())


def test_what_cannot_even_be_undone_is_compiled_anew(moody):
    engines, mood = moody
    book = book_of(engines)
    base = answer_of(engines, book.weights([]))
    first = book.weights([LoraScale(name="a")])
    expected = answer_of(engines, first)
    del first

    mood.left = 0
    with pytest.raises(EngineError, match="no more"):
        book.weights([LoraScale(name="b")])
    mood.left = 1000

    assert torch.equal(answer_of(engines, book.weights([])), base)
    assert torch.equal(answer_of(engines, book.weights([LoraScale(name="a")])), expected)


def test_a_size_that_is_compiled_later_has_the_weights_too(load):
    engines = load()
    book = book_of(engines)
    weights = book.weights([LoraScale(name="a", scale=0.5)])
    denoisers = engines.holding(weights)
    expected = answer_of(engines, weights)

    denoisers.ports.drop(["unet"])

    assert torch.equal(answer_of(engines, weights), expected)


def test_more_sets_than_there_is_room_for_are_refused_and_those_in_use_stay(load):
    engines = load()
    first = engines.weights.sets[0]
    made = iter([first])
    pool = WeightPool(first, lambda number: next(made), most=1)
    book = book_of(engines)
    book.prepare = pool.prepare
    used = book.weights([LoraScale(name="a")])

    with pytest.raises(ConfigError, match="1 different sets of them are in use"):
        book.weights([LoraScale(name="b")])

    assert pool.has(used)
    del used
    pool.prepare(book.weights([LoraScale(name="b")]))


def test_the_models_own_weights_have_room_beside_as_many_loras_as_there_can_be(load):
    engines = load()
    pool = WeightPool(
        engines.weights.sets[0],
        lambda number: Denoisers(engines, executor=None, number=number),
        most=2,
    )
    book = book_of(engines)
    book.prepare = pool.prepare
    used = [book.weights([LoraScale(name=name)]) for name in "ab"]

    own = book.weights([])

    assert all(map(pool.has, (own, *used)))
    with pytest.raises(ConfigError, match="2 different sets of them are in use"):
        book.weights([LoraScale(name="c")])


def test_networks_that_nobody_uses_any_more_are_given_back_but_for_some(load):
    engines = load()
    pool, book = engines.weights, book_of(engines)
    used = [book.weights([LoraScale(name="a", scale=k / 8)]) for k in range(1, 8)]
    assert len(pool.sets) == 7
    used = used[:1]

    own = book.weights([])

    assert len(pool.sets) == 4 and pool.sets[0].ports is engines.ports
    assert pool.has(used[0]) and pool.has(own)
    expected = answer_of(engines, own)
    more = [book.weights([LoraScale(name="b", scale=k / 8)]) for k in range(1, 5)]
    numbers = [each.number for each in pool.sets]
    assert len(set(numbers)) == len(numbers) and max(numbers) > 6
    assert torch.equal(answer_of(engines, own), expected)
    assert all(map(pool.has, more))


def test_weights_that_are_ready_are_had_while_others_are_made_ready(load):
    engines = load()
    begun, go_on = Event(), Event()

    def another(number):
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return Denoisers(engines, executor=None, number=number)

    pool = WeightPool(engines.weights.sets[0], another)
    book = book_of(engines)
    book.prepare = pool.prepare
    ready = book.weights([LoraScale(name="a")])
    with ThreadPoolExecutor(2) as hands:
        others = hands.submit(book.weights, [LoraScale(name="b")])
        assert begun.wait(PATIENCE_S)
        try:
            # As the loop does on the way of a transition.
            assert hands.submit(book.weights, [LoraScale(name="a")]).result(PATIENCE_S) is ready
            assert not others.done()
        finally:
            go_on.set()
        assert pool.has(others.result(PATIENCE_S))


def test_networks_that_are_compiled_when_the_pool_is_closed_are_closed_too(load):
    engines = load()
    made = []

    def another(number):
        made.append(Denoisers(engines, executor=None, number=number))
        pool.close()
        return made[0]

    pool = WeightPool(engines.weights.sets[0], another)
    first, second = (Weights(stack=()) for _ in range(2))
    pool.prepare(first)
    pool.prepare(second)

    assert not made[0].ports.ready and pool.has(first)


def test_loras_go_to_the_networks_that_took_over_while_they_were_made_ready(load):
    before, after = load(), load()
    book = book_of(before)

    def prepare(weights):
        before.weights.prepare(weights)
        book.prepare = after.weights.prepare

    book.prepare = prepare
    assert after.weights.has(book.weights([LoraScale(name="a")]))


def test_networks_are_not_made_where_there_is_no_memory_for_them(load):
    unet = load().model.unet
    size = sum(each.nbytes for each in unet.parameters())
    room = Limits().reserve_bytes + 2 * size

    check_memory(unet, is_eager=True, free_bytes=room)
    check_memory(unet, is_eager=False, free_bytes=None)
    with pytest.raises(ConfigError, match="loras: another set of them needs about .* are free"):
        check_memory(unet, is_eager=False, free_bytes=room)


def test_a_file_of_the_same_size_and_time_in_place_of_another_is_read(load, places, tmp_path):
    path, other = tmp_path / "mine.safetensors", tmp_path / "other"
    for at, name in ((path, "a"), (other, "b")):
        at.write_bytes((places / f"{name}.safetensors").read_bytes())
        os.utime(at, ns=(10**18, 10**18))
    book = book_of(load(shelf=Shelf([tmp_path])))
    first = book.weights([LoraScale(name="mine")])

    other.replace(path)

    second = book.weights([LoraScale(name="mine", scale=0.5)])
    assert first.stack[0].lora.digest != second.stack[0].lora.digest


def test_equal_loras_in_any_order_are_one_set_of_weights(load):
    engines = load()
    book = book_of(engines)
    one, other = LoraScale(name="a", scale=0.5), LoraScale(name="b")

    first = book.weights([one, other])

    assert book.weights([other, one]) is first
    assert book.weights([other, one, LoraScale(name="c", scale=0.0)]) is first


def test_a_file_that_is_replaced_counts_from_the_next_change(load, places, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes((places / "a.safetensors").read_bytes())
    engines = load(shelf=Shelf([tmp_path]))
    book = book_of(engines)
    first = book.weights([LoraScale(name="mine")])
    replacement = tmp_path / "new"
    replacement.write_bytes((places / "b.safetensors").read_bytes())
    replacement.replace(path)

    assert book.weights([LoraScale(name="mine")]) is first
    path_gone = Path(path)
    changed = book.weights([LoraScale(name="mine", scale=0.5)])
    assert {each.lora.digest for each in changed.stack} != {
        each.lora.digest for each in first.stack
    }
    path_gone.unlink()
    # What is drawn with goes on, even where its file is gone; others are refused.
    book.check([LoraScale(name="mine")])
    with pytest.raises(ConfigError, match="'mine'"):
        book.check([LoraScale(name="mine", scale=0.7)])


class Tape:
    """Counts what is recorded, and replays it."""

    def __init__(self):
        self.recorded = 0

    def __call__(self, call):
        self.recorded += 1
        call()
        return call


def test_a_graph_is_recorded_anew_for_other_weights_and_draws_the_pictures_of_the_rows(
    load, frame_at
):
    pictures = {}
    for tape in (None, Tape()):
        pipeline = Pipeline(load())
        if tape is not None:
            pipeline.steady = SteadyTicks(pipeline.engines, tape)
        stream = pipeline.open_stream("one", controls_from({"t_index_list": [20, 40]}))
        drawn = []
        for index in range(14):
            if index in (5, 9):
                loras = ["a"] if index == 5 else [{"name": "b", "scale": -0.5}]
                given = {"t_index_list": [20, 40], "loras": loras}
                stream.revision = pipeline.reviser().revise(controls_from(given), index)
            drawn += pipeline.tick([stream], [frame_at(index)], index)
        pictures[tape is None] = [each.frame.pixels.tobytes() for each in drawn]
    assert pictures[True] == pictures[False]
    assert tape.recorded >= 3


@pytest.fixture
def frame_at():
    def frame(index):
        shape = (SIZE, SIZE, 3)
        pixels = np.random.default_rng(index).integers(0, 256, shape, dtype=np.uint8)
        stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=index)
        return Frame(pixels=pixels, stamp=stamp)

    return frame


class Later:
    """An executor that works when it is told to."""

    def __init__(self):
        self.jobs = []

    def submit(self, work, *args):
        future = Future()
        self.jobs.append((future, work, args))
        return future

    def work(self):
        jobs, self.jobs = self.jobs, []
        for future, work, args in jobs:
            future.set_result(work(*args))


def test_what_takes_over_has_the_weights_of_the_streams_first(config, places, tmp_path, frame_at):
    later = Later()
    wanted = replace(config, backend="openvino")
    cache, shelf = EngineCache(tmp_path), Shelf([places])
    load = partial(load_engines, cache=cache, executor=later, start="at_once", shelf=shelf)
    worker = Worker(load)
    worker.open("one", wanted, {"loras": ["a"]})
    expected = Pipeline(load_engines(wanted, EngineCache(tmp_path), shelf=shelf))
    stream = expected.open_stream("one", controls_from({"loras": ["a"]}))
    backends, pictures = [], []
    for index in range(6):
        worker.put("one", frame_at(index))
        worker.tick(index)
        backends.append(worker.groups()[0].backend)
        pictures.append(worker.take("one"))
        [last] = expected.tick([stream], [frame_at(index)], index)
        if index in (1, 3):
            later.work()
    # Built after the second tick, given the weights after the fourth; no picture is missing.
    assert backends == ["torch"] * 4 + ["openvino"] * 2
    assert all(each is not None for each in pictures)
    assert pictures[-1].pixels.tobytes() == last.frame.pixels.tobytes()
