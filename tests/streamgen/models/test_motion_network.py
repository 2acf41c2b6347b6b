"""Motion modules through the engines, frame by frame, against the whole clip in one call."""

from concurrent.futures import Future
from dataclasses import replace

import pytest
import torch

from engines.cache import EngineCache
from engines.protocol import BackendOptions
from engines.registry import choose
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.errors import ConfigError, ModelError
from streamgen.models.engines import Engines, engines_of
from streamgen.models.footprint import needed_bytes
from streamgen.models.loading import load_model
from streamgen.models.motion_network import with_adapter
from streamgen.models.ports import Ports
from streamgen.models.registry import find_model
from streamgen.models.remembering import Remembering
from streamgen.motion.unet import MotionUnet
from streamgen.temporal.memory_calls import answer_of
from streamgen.temporal.moment import Moment
from streamgen.temporal.reading import Leases, Reading

SIZE = 64
#: Of which a row takes much, for a picture is not to be drawn often here.
LARGE = 128
#: With a memory of one MiB, windows at the larger size that are kept in these types.
WINDOWS = {"float32": 4, "int8": 9}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return EngineCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def load(edit_folder, adapter_folder, cache):
    def load(backend="torch", *, motion=None, **further):
        settings = {
            "precision": "fp32",
            "motion_memory_mb": 1,
            "width": SIZE,
            "height": SIZE,
            **further,
        }
        config = StreamConfig(
            model=str(edit_folder),
            backend=backend,
            motion=str(adapter_folder) if motion is None else motion,
            **settings,
        )
        model = with_adapter(load_model(find_model(config.model)), config)
        choice = choose(backend, device="cpu", options=BackendOptions())
        return Engines(model, config, choice=choice, cache=cache)

    return load


class Stream:
    """One stream's rows at one level of noise, drawn frame by frame."""

    def __init__(self, engines, *kinds, seed=0, **controls):
        self.engines = engines
        self.leases = {kind: Leases() for kind in kinds}
        self.controls = controls_from({"motion_strength": 1.0, **controls})
        generator = torch.Generator().manual_seed(seed)
        model = engines.model
        self.text = torch.randn(1, model.text_tokens, model.text_width, generator=generator)
        self.generator = generator
        self.shape = engines.latent_shape
        self.count = 0

    def clip(self, frames):
        """Return x and source of frames that are alike."""
        still = torch.randn(2, 1, *self.shape, generator=self.generator)
        moved = torch.randn(2, frames, *self.shape, generator=self.generator)
        return still + 0.5 * moved

    def draw(self, x, source):
        self.count += 1
        moment = Moment(number=self.count, controls=self.controls, motion=None)
        readings = {
            kind: Reading(slots=leases, key=(0, "prompt"), moment=moment)
            for kind, leases in self.leases.items()
        }
        given = {"x": x[None], "t": torch.tensor([400.0]), "text": self.text}
        return answer_of(self.engines, [readings], **given, cond={"source": source[None]})[
            0
        ].clone()

    def drawn(self, x, source):
        pairs = zip(x, source, strict=True)
        return torch.stack([self.draw(*each) for each in pairs])


def whole(engines, stream, x, source):
    """Return the same clip in one call, every frame seeing what its ring would hold."""
    live, model = engines.model.motion, engines.model
    network = MotionUnet(model.unet, live.adapter, names=("source",))
    with torch.inference_mode():
        sight = live.ring.sight(len(x))
        return network.frames(x[None], torch.tensor([400.0]), stream.text, source, sight=sight)[0]


def apart(a, b):
    """Return the distance as a part of what motion modules do."""
    return float((a - b).abs().mean() / b.abs().mean())


SLOW_OPENVINO = pytest.param("openvino", marks=pytest.mark.slow)


# Measured, with torch as with OpenVINO: 7e-7, 1e-3.
@pytest.mark.parametrize("backend", ["torch", SLOW_OPENVINO])
@pytest.mark.parametrize(("kind", "limit"), [("float32", 1e-5), ("int8", 3e-3)])
def test_frame_by_frame_is_the_whole_clip_in_one_call(load, backend, kind, limit):
    window = WINDOWS[kind]
    engines = load(backend, motion_window=window, motion_sinks=1, width=LARGE, height=LARGE)
    stream = Stream(engines, "motion")
    x, source = stream.clip(window + 3)
    out = stream.drawn(x, source)
    expected = whole(engines, stream, x, source)
    plain = Stream(engines).drawn(x[-1:], source[-1:])
    assert engines.motion_memory.kind == kind
    assert apart(out, expected) < limit
    assert apart(plain[-1], expected[-1]) > 0.1


@pytest.mark.parametrize("backend", ["torch", SLOW_OPENVINO])
def test_both_memories_at_once_are_each_of_them_where_the_other_counts_nothing(load, backend):
    engines, frames = load(backend, motion_window=3), 4
    x, source = Stream(engines).clip(frames)

    def drawn(*kinds, **controls):
        return Stream(engines, *kinds, **controls).drawn(x, source)

    both = ("bank", "motion")
    strong = {"bank_strength": 1.0, "bank_fusion": 0.5}
    of_motion = drawn("motion")
    of_bank = drawn("bank", **strong)
    out = drawn(*both, **strong)
    assert apart(drawn(*both, bank_strength=0.0), of_motion) < 1e-5
    assert apart(drawn(*both, **strong, motion_strength=0.0), of_bank) < 1e-5
    # Nothing is remembered before the first frame; its motion modules see that frame alone.
    assert apart(out[0], of_motion[0]) < 1e-5
    assert apart(out[1:], of_motion[1:]) > 1e-3 and apart(out[1:], of_bank[1:]) > 0.1


def test_what_is_compiled_first_has_motion_modules_and_the_rest_comes_when_asked_for(load):
    engines = load()
    engines.prepare(1, denoiser_batch=2)
    there = {role for role, _ in engines.ports.ready}
    assert there == {"vae_encoder", "unet", "unet_motion", "vae_decoder"}
    Stream(engines, "bank", "motion").drawn(*Stream(engines).clip(1))
    assert {role for role, _ in engines.ports.ready} - there == {"unet_bank_motion"}


def test_while_both_are_built_a_row_goes_with_motion_alone(load):
    engines = load()
    engines.prepare()
    executor = Later()
    ports = Ports(engines.port, (), executor=executor)
    memory = Remembering(engines.banked, ports)
    both = frozenset(("bank", "motion"))
    assert memory.banks(both) == {}
    ports.prepare("unet_motion", 1)
    assert set(memory.banks(both)) == {"motion"}
    executor.run()
    assert set(memory.banks(both)) == {"bank", "motion"}
    assert memory.banks(both)["motion"] is engines.motion.bank


def test_without_an_adapter_there_are_no_motion_modules(load):
    engines = load(motion="none", motion_memory_mb=None)
    assert engines.motion_memory is None and engines.adapter is None
    assert not engines.abilities.has_motion and engines.first_roles == tuple(engines.modules)
    with pytest.raises(ConfigError, match="memory motion: these engines have bank"):
        engines.memory.banks(frozenset(("motion",)))


def test_the_memory_that_was_chosen_is_told(load):
    facts = load(motion_window=16).motion_memory
    assert (facts.adapter, facts.window, facts.sinks, facts.kind) == ("small", 16, 8, "int8")
    assert facts.levels == (0, 1) and facts.halved == ()
    # Three modules on the finer level, four on the other, two attentions each.
    assert facts.row_bytes == 15 * 2 * (3 * 64 * (8 + 2) + 4 * 16 * (16 + 2))
    assert facts.rows == 2**20 // facts.row_bytes == 11
    assert "a window of 16 frames, the first 8" in str(facts) and "in int8" in str(facts)
    assert load().abilities.has_motion
    without = load(motion_window=2, motion_sinks=0).motion_memory
    assert "a window of 2 frames, on levels 0, 1;" in str(without)


def test_levels_that_there_is_no_room_for_have_no_modules(load):
    halved = load(motion_window=6, width=224, height=224).motion_memory
    assert halved.levels == (0, 1) and halved.halved == (0,)
    engines = load(motion_window=6, width=256, height=256)
    assert engines.motion_memory.levels == (1,)
    assert {place.level for place in engines.motion.module.places} == {1}
    inside = {name for name, _ in engines.motion.whole.named_parameters()}
    assert any(name.startswith("down_blocks.0.motion_modules") for name in inside)
    x, source = Stream(engines).clip(2)
    with_it = Stream(engines, "motion").drawn(x, source)
    assert apart(with_it, Stream(engines).drawn(x, source)) > 0.01
    with pytest.raises(ConfigError, match="motion_memory_mb 1, for at least 4 rows: motion memory"):
        _ = load(motion_window=6, width=1024, height=1024).motion_memory


def test_an_adapter_of_another_unet_is_refused_by_name(adapter_folder, load):
    config = StreamConfig(model="tiny", width=64, height=64, motion=str(adapter_folder))
    with pytest.raises(ModelError, match="'small' is for another UNet: it has widths"):
        engines_of(config)


def test_a_window_without_an_adapter_is_refused():
    config = StreamConfig(model="tiny", width=64, height=64, motion_window=8)
    row = replace(find_model("tiny"), motion="none")
    model = replace(load_model(find_model("tiny")), row=row)
    with pytest.raises(ConfigError, match="'tiny' has no motion adapter of its own"):
        with_adapter(model, config)


def test_memory_is_counted_before_anything_is_loaded(adapter_folder, edit_folder):
    plain = StreamConfig(model=str(edit_folder), width=SIZE, height=SIZE, device="cpu")
    needed = [
        needed_bytes(replace(plain, motion=str(adapter_folder), motion_window=window))
        for window in (4, 5)
    ]
    assert needed[0] > needed_bytes(plain)
    assert needed[1] - needed[0] == 4 * 4 * 2 * (3 * 64 * 8 + 4 * 16 * 16)


class Later:
    """An executor that runs what it was given when it is told to."""

    def __init__(self):
        self._given = []

    def submit(self, call, *values):
        self._given.append((call, values))
        return Future()

    def run(self):
        for call, values in self._given:
            call(*values)
