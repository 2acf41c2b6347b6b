"""Streams with motion modules, through the engines: equal however they are drawn, and alone."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from diffusers import MotionAdapter

from engines.cache import EngineCache
from engines.protocol import BackendOptions
from engines.registry import choose
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.frame import Frame, Stamp
from streamgen.models.engines import Engines
from streamgen.models.loading import load_model
from streamgen.models.motion_network import with_adapter
from streamgen.models.registry import find_model
from streamgen.models.upcoming import standing_in
from streamgen.motion.ring import Ring
from streamgen.motion.unet import MotionUnet
from streamgen.pipeline import Pipeline
from streamgen.quality import psnr
from streamgen.worker import Worker

SIZE = 64
RING = Ring(sinks=2, rolling=3)
#: So many that the ring wraps.
FRAMES = 9
LADDERS = {1: [20], 2: [10, 30], 4: [5, 15, 30, 44]}
PLAIN = {"t_index_list": LADDERS[2]}
MOTION = {**PLAIN, "motion_strength": 1.0}
BANK = {"bank_strength": 1.0, "bank_fusion": 0.8, "bank_interval": 2}
BACKENDS = ["torch", "openvino"]
#: Where a network is built for many sizes.
SIZES = ["torch", pytest.param("openvino", marks=pytest.mark.slow)]
#: As a stream that began there, in dB.
ALIKE_DB = 60.0


class SeenEngines(Engines):
    """Engines whose latents can be seen before they become pictures."""

    drawn = ()

    def decode(self, latents):
        self.drawn = (*self.drawn, *latents.clone())
        return super().decode(latents)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return EngineCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def adapter_folder(tmp_path_factory):
    """An adapter whose modules change a picture about as much as another prompt does."""
    torch.manual_seed(4)
    adapter = MotionAdapter(
        block_out_channels=(8, 16),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
        motion_max_seq_length=8,
    )
    for weight in adapter.requires_grad_(False).parameters():
        weight.mul_(2).add_(torch.randn(weight.shape) * 0.05)
    folder = tmp_path_factory.mktemp("adapter")
    adapter.save_pretrained(folder, safe_serialization=True)
    ring = {"sinks": RING.sinks, "rolling": RING.rolling}
    (folder / "ring.json").write_text(json.dumps(ring))
    return folder


@pytest.fixture(scope="module")
def load(edit_folder, adapter_folder, cache):
    """Returns what loads engines, each kind once: nothing of streams that ended is in them."""
    loaded = {}

    def load_one(backend="torch", motion=None, *, anew=False):
        if anew or (backend, motion) not in loaded:
            loaded[backend, motion] = load_new(backend, motion)
        return loaded[backend, motion]

    def load_new(backend, motion):
        name = str(edit_folder)
        config = StreamConfig(
            model=name,
            width=SIZE,
            height=SIZE,
            backend=backend,
            precision="fp32",
            motion=str(adapter_folder) if motion is None else motion,
        )
        choice = choose(backend, device="cpu", options=BackendOptions())
        model = with_adapter(load_model(find_model(name)), config)
        return SeenEngines(model, config, choice=choice, cache=cache)

    yield load_one
    for each in loaded.values():
        each.close()


def moving(index, seed=0):
    """A smooth picture that moves to the right, a frame at a time."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    picture = np.roll(coarse.repeat(SIZE // 4, 0).repeat(SIZE // 4, 1), index, axis=1)
    return stamped(picture, index)


def other(index):
    """A picture of another scene, moving as well."""
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    black[::2] = 255
    return stamped(np.roll(black, index, 0), index)


def stamped(picture, index):
    stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=0)
    return Frame(pixels=picture, stamp=stamp)


def latents(engines, asked, *, frames=FRAMES, seeds=None):
    """Return, for each stream, the latents of its pictures, in order; seeds: of their pictures."""
    pipeline = Pipeline(engines)
    streams = [pipeline.open_stream(str(k), controls_from(each)) for k, each in enumerate(asked)]
    seeds = seeds or range(len(asked))
    engines.drawn, owners = (), []
    for index in range(frames):
        given = [moving(index, seed) for seed in seeds]
        owners += [answer.stream for answer in pipeline.tick(streams, given, 0)]
    owners += [answer.stream for answer in pipeline.flush(streams)]
    pairs = list(zip(engines.drawn, owners, strict=True))
    return [torch.stack([each for each, owner in pairs if owner is one]) for one in streams]


def pictures(engines, asked, frames, *, then=None, at=None):
    """Return the pictures of one stream, without the end; then: controls from a frame on."""
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream("one", controls_from(asked))
    answers = []
    for number, frame in enumerate(frames):
        if number == at:
            stream.revision = pipeline.reviser().revise(controls_from(then), 1)
        answers += pipeline.tick([stream], [frame], 0)
    return [answer.frame for answer in answers]


def apart(a, b):
    return float((a - b).abs().max())


def like(ours, others):
    """Tell whether pictures are the same, to so many dB."""
    pairs = zip(ours, others, strict=True)
    return all(psnr(a.pixels, b.pixels) >= ALIKE_DB for a, b in pairs)


@pytest.mark.parametrize("backend", SIZES)
@pytest.mark.parametrize("steps", LADDERS)
def test_stream_batch_is_one_frame_after_the_other(load, backend, steps):
    engines, asked = load(backend), {**MOTION, "t_index_list": LADDERS[steps]}
    [batched] = latents(engines, [asked])
    [sequential] = latents(engines, [{**asked, "denoising": "sequential"}])
    [plain] = latents(engines, [{**asked, "motion_strength": 0.0}])
    assert len(batched) == FRAMES
    assert apart(batched, sequential) < 1e-4 < apart(batched[1:], plain[1:])


def test_a_stream_is_its_whole_history_in_one_call(load):
    engines = load(anew=True)
    network, told = engines.memory, []

    class Seen:
        def banks(self, kinds):
            return network.banks(kinds)

        def __call__(self, kinds, /, **values):
            made = network(kinds, **values)
            told.append({name: each.clone() for name, each in (values | made).items()})
            return made

    engines.memory = Seen()
    latents(engines, [{**MOTION, "t_index_list": LADDERS[1]}], frames=20)
    engines.memory = network
    x, t, text, source, answer = (
        torch.cat([each[name] for each in told]) for name in ("x", "t", "text", "source", "answer")
    )
    motion = MotionUnet(engines.model.unet, engines.adapter, names=("source",))
    with torch.no_grad():
        expected = motion.frames(x[None], t, text, source, sight=RING.sight(20))[0]
    plain = engines.unet(x, t, text, {"source": source})
    assert apart(answer, expected) < 1e-4 < 0.05 < apart(answer, plain)


@pytest.mark.parametrize("backend", SIZES)
def test_streams_together_are_streams_alone(load, backend):
    asked = [
        MOTION,
        {**MOTION, **BANK, "t_index_list": LADDERS[1], "motion_strength": 0.5},
        {"t_index_list": LADDERS[1]},
        {**PLAIN, **BANK},
    ]
    engines = load(backend)
    together = latents(engines, asked, frames=7)
    for k, each in enumerate(asked):
        [alone] = latents(engines, [each], frames=7, seeds=[k])
        assert apart(together[k], alone) < 1e-4


def test_no_pixel_of_one_stream_influences_another(load):
    engines = load()
    first = latents(engines, [MOTION, MOTION], seeds=[0, 1])
    second = latents(engines, [MOTION, MOTION], seeds=[0, 7])
    assert torch.equal(first[0], second[0]) and not torch.equal(first[1], second[1])


def test_the_same_again_is_the_same(load):
    [first], [second] = latents(load(), [MOTION]), latents(load(anew=True), [MOTION])
    assert torch.equal(first, second)


@pytest.mark.parametrize("backend", BACKENDS)
def test_at_strength_zero_a_stream_is_one_without_an_adapter(load, backend):
    [with_one] = latents(load(backend), [{**MOTION, "motion_strength": 0.0}])
    [without] = latents(load(backend, motion="none"), [PLAIN])
    assert torch.equal(with_one, without)


def test_half_of_the_strength_is_between_none_and_all(load):
    engines = load()
    shares = [0.0, 1e-4, 0.5, 1.0]
    asked = [{**MOTION, "motion_strength": share} for share in shares]
    drawn = [latents(engines, [each])[0] for each in asked]
    moved = [apart(each, drawn[0]) for each in drawn]
    assert 0 == moved[0] < moved[1] < 0.1 * moved[3]
    assert moved[1] < moved[2]


@pytest.mark.parametrize(
    "guided",
    [
        {"guidance": "full", "guidance_scale": 1.5},
        {"guidance": "self", "guidance_scale": 1.5},
        {"guidance": "initialize", "guidance_scale": 1.5},
        {"guidance": "full", "guidance_scale": 1.5, "image_guidance_scale": 1.3},
    ],
    ids=["full", "self", "initialize", "image"],
)
def test_every_pass_of_guidance_has_rings_of_its_own(load, guided):
    engines, asked = load(), {**MOTION, "prompts": "oil", **guided}
    [batched] = latents(engines, [asked])
    [sequential] = latents(engines, [{**asked, "denoising": "sequential"}])
    [without] = latents(engines, [{**asked, "motion_strength": 0.0}])
    assert apart(batched, sequential) < 1e-4 < apart(batched, without)


@pytest.mark.parametrize("backend", SIZES)
@pytest.mark.parametrize("further", [{}, BANK], ids=["motion", "both"])
def test_two_frames_in_a_tick_are_one_frame_after_the_other(load, backend, further):
    engines = load(backend)
    asked = {**MOTION, **further}
    [expected] = latents(engines, [{**asked, "denoising": "sequential"}], frames=8)
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream("one", controls_from(asked))
    engines.drawn = ()
    for index in range(0, 8, 2):
        pipeline.tick([stream, stream], [moving(index), moving(index + 1)], 0)
    pipeline.flush([stream])
    assert apart(torch.stack(engines.drawn), expected) < 1e-4


@pytest.mark.parametrize("backend", BACKENDS)
def test_after_a_cut_a_stream_is_as_one_that_begins_there(load, backend):
    engines, asked = load(backend), {**MOTION, "denoising": "sequential"}
    after = [other(index) for index in range(6)]
    through = pictures(engines, asked, [*map(moving, range(FRAMES)), *after])
    begun = pictures(engines, asked, after)
    blind = pictures(
        engines, {**asked, "cut_detection": "off"}, [*map(moving, range(FRAMES)), *after]
    )
    assert like(through[FRAMES:], begun) and not like(blind[FRAMES:], begun)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("then", [{"prompts": "a pencil"}, {"seed": 3}, {"steps": 1}], ids=str)
def test_after_other_controls_a_stream_is_as_one_that_begins_there(load, backend, then):
    before = {"motion_strength": 1.0, "prompts": "oil", "steps": 2, "denoising": "sequential"}
    engines, after = load(backend), {**before, **then}
    frames = [moving(index) for index in range(FRAMES + 6)]
    through = pictures(engines, before, frames, then=after, at=FRAMES)
    assert like(through[FRAMES:], pictures(engines, after, frames[FRAMES:]))


def test_other_prompts_in_stream_batch_leave_nothing_of_the_one_before(load):
    engines, after = load(), {**MOTION, "prompts": "a pencil"}
    frames = [moving(index) for index in range(FRAMES + 6)]
    through = pictures(engines, {**MOTION, "prompts": "oil"}, frames, then=after, at=FRAMES)
    begun = pictures(engines, after, frames[FRAMES:])
    # A stream's first picture comes at once, later ones a tick late; one was under way.
    late = {frame.stamp.index: frame for frame in through}
    ours = [late[frame.stamp.index] for frame in begun if frame.stamp.index in late]
    assert len(ours) == 5 and like(ours, begun[: len(ours)])


def test_a_reset_begins_anew_and_gives_the_slots_back(load):
    engines = load()
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream("one", controls_from(MOTION))
    frames = [moving(index) for index in range(FRAMES)]
    first = [answer.frame for each in frames for answer in pipeline.tick([stream], [each], 0)]
    bank = engines.memory.banks(frozenset({"motion"}))["motion"]
    assert len(stream.memory.rings.leases) == 2 and bank.free == engines.motion_memory.rows - 2
    stream.reset()
    assert bank.free == engines.motion_memory.rows
    again = [answer.frame for each in frames for answer in pipeline.tick([stream], [each], 0)]
    for ours, before in zip(again, first, strict=True):
        assert np.array_equal(ours.pixels, before.pixels)


@pytest.mark.parametrize("denoising", ["stream", "sequential"])
def test_slots_of_steps_and_passes_that_are_given_up_are_free_for_others(load, denoising):
    engines = load()
    pipeline = Pipeline(engines)
    full = {**MOTION, **BANK, "guidance": "full", "guidance_scale": 1.5, "denoising": denoising}
    stream = pipeline.open_stream("one", controls_from(full))
    banks = engines.memory.banks(frozenset({"bank", "motion"}))
    rows = [bank.free for bank in banks.values()]
    taken = []
    for number, change in enumerate(
        [{}, {"guidance": "none"}, {"t_index_list": LADDERS[1]}, {"motion_strength": 0.0}]
    ):
        full |= change
        stream.revision = pipeline.reviser().revise(controls_from(full), number)
        for index in range(4):
            pipeline.tick([stream], [moving(4 * number + index)], 0)
        taken.append([all - bank.free for all, bank in zip(rows, banks.values(), strict=True)])
    assert taken == [[4, 4], [2, 2], [1, 1], [1, 0]]


def test_what_the_gate_skips_is_not_in_the_ring(load):
    engines, asked = load(), {**MOTION, "denoising": "sequential"}
    indices = [0, 1, 2, 2, 2, 2, 3, 4, 5, 5, 6, 7, 8]
    gated = {**asked, "similarity_filter": "on", "max_skip_frame": 100}
    shown = pictures(engines, gated, [moving(index) for index in indices])
    drawn = [frame.stamp.index for frame in shown]
    assert len(drawn) < len(indices)
    assert like(shown, pictures(engines, asked, [moving(index) for index in drawn]))


def test_motion_that_comes_and_goes_begins_with_the_frame_it_comes_with(load):
    engines = load()
    asked = {**MOTION, "denoising": "sequential"}
    frames = [moving(index) for index in range(12)]
    off = {**asked, "motion_strength": 0.0}
    through = pictures(engines, off, frames, then=asked, at=5)
    assert like(through[5:], pictures(engines, asked, frames[5:]))
    assert like(through[:5], pictures(engines, off, frames[:5]))


def test_both_memories_are_used_together_and_each_makes_a_difference(load):
    engines = load(anew=True)
    kinds = [{}, BANK, {"motion_strength": 1.0}, {**BANK, "motion_strength": 1.0}]
    drawn = [latents(engines, [{**PLAIN, **each}])[0] for each in kinds]
    for k in range(4):
        for other_one in drawn[:k]:
            assert apart(drawn[k], other_one) > 1e-4
    roles = {role for role, _ in engines.ports.ready}
    assert {"unet", "unet_bank", "unet_motion", "unet_bank_motion"} <= roles


class Later:
    """An executor that works when it is told to."""

    def __init__(self):
        self.asked = []

    def submit(self, work, *args):
        self.asked.append((work, args))

    def work(self):
        while self.asked:
            work, args = self.asked.pop(0)
            work(*args)


@pytest.mark.slow
def test_engines_that_take_over_go_on_with_motion_in_slots_of_their_own(load):
    pytest.importorskip("openvino", reason="openvino is not installed: pip install openvino")
    wanted, later = load("openvino", anew=True), Later()
    standing = standing_in(wanted, later)
    worker = Worker(lambda config: standing)
    worker.open("a", wanted.config, {**MOTION, **BANK})
    shown = [seen(worker, index) for index in range(5)]
    before, after = (
        each.memory.banks(frozenset({"motion"}))["motion"] for each in (standing, wanted)
    )
    rows = wanted.motion_memory.rows
    assert [before.free, after.free] == [rows - 2, rows]
    later.work()
    shown += [seen(worker, index) for index in range(5, 8)]
    [group] = worker.groups()
    assert (group.backend, group.motion) == ("openvino", str(wanted.motion_memory))
    assert [before.free, after.free] == [rows, rows - 2]
    # As many as were drawn here: the third frame sees the two before.
    assert sorted(after.slabs["motion_mask_0"].sum(1).tolist())[-2:] == [2, 2]
    # The second frame is the first one of a stream that comes a tick late.
    assert [at for at, frame in enumerate(shown) if frame is None] == [1]
    assert worker.status("a").dropped == {}


def seen(worker, index):
    """Return the picture that a worker shows when it is given one more frame."""
    worker.put("a", moving(index))
    worker.tick(index)
    return worker.take("a")
