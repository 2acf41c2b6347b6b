"""The whole way on engines that are plain arithmetic, so that every number can be foreseen."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from streamgen.control_schema import controls_from
from streamgen.frame import Frame, Stamp
from streamgen.pipeline import Pipeline
from streamgen.revise import Abilities
from streamgen.schedule import schedule_from

SIZE = 16


class ArithmeticEngines:
    """Latent = pixels / 255 on a grid of 8; the model answers with x0 = source + text."""

    def __init__(self, prediction="sample"):
        config = {"prediction_type": prediction, "_class_name": "LCMScheduler"}
        self.schedule = schedule_from(config)
        self.latent_shape = (3, SIZE // 8, SIZE // 8)
        self.device = torch.device("cpu")
        self.abilities = Abilities(reads_picture=True, works_blind=False)
        self.batches = []

    def encode(self, pixels):
        small = torch.from_numpy(pixels[:, ::8, ::8]).permute(0, 3, 1, 2)
        return small.float() / 255

    def unet(self, x, t, text, cond):
        self.batches.append(t.tolist())
        return cond["source"] + text[:, 0, 0].view(-1, 1, 1, 1)

    def decode(self, latents):
        levels = (latents * 255).round().clamp(0, 255).to(torch.uint8)
        return levels.permute(0, 2, 3, 1).repeat_interleave(8, 1).repeat_interleave(8, 2).numpy()

    def text(self, sentence):
        return torch.full((1, 1), len(sentence) / 255)

    def scaled(self, latent):
        return latent

    def cond_of(self, source):
        return {"source": source}


def frame(value, index=0):
    pixels = np.full((SIZE, SIZE, 3), value, np.uint8)
    stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=0)
    return Frame(pixels=pixels, stamp=stamp)


def open_streams(pipeline, *controls):
    return [pipeline.open_stream(str(k), controls_from(each)) for k, each in enumerate(controls)]


def values(frames):
    return [int(each.frame.pixels[0, 0, 0]) for each in frames]


def test_each_frame_is_answered_with_its_own_stamp():
    pipeline = Pipeline(ArithmeticEngines())
    streams = open_streams(pipeline, {"prompts": "12345"})
    answers = [pipeline.tick(streams, [frame(40, index)], 5)[0].frame for index in range(4)]
    assert [answer.stamp.index for answer in answers] == [0, 1, 2, 3]
    assert [answer.stamp.tick_ns for answer in answers] == [5, 5, 5, 5]
    assert [int(answer.pixels[0, 0, 0]) for answer in answers] == [45] * 4


def test_one_step_is_one_call_of_the_model():
    engines = ArithmeticEngines()
    pipeline = Pipeline(engines)
    pipeline.tick(open_streams(pipeline, {"prompts": "a"}), [frame(9)], 0)
    assert engines.batches == [[799.0]]


def test_streams_share_calls_whatever_their_steps_and_guidance():
    engines = ArithmeticEngines()
    pipeline = Pipeline(engines)
    streams = open_streams(
        pipeline,
        {"strength": 1.0, "steps": 2},
        {"strength": 0.5, "guidance": "full", "guidance_scale": 2.0},
        {"strength": 0.8, "steps": 3, "guidance": "initialize", "guidance_scale": 2.0},
    )
    pipeline.tick(streams, [frame(9)] * 3, 0)
    assert engines.batches == [[999, 499, 799, 499, 799], [499, 539], [279]]


def test_streams_never_see_each_other():
    pipeline = Pipeline(ArithmeticEngines())
    streams = open_streams(pipeline, {"prompts": "1"}, {"prompts": "12"}, {"prompts": "123"})
    answers = pipeline.tick(streams, [frame(10), frame(100), frame(200)], 0)
    assert values(answers) == [11, 102, 203]


@pytest.mark.parametrize("guidance", ["full", "self", "initialize"])
def test_guidance_draws_the_line_from_the_negative_through_the_positive(guidance):
    pipeline = Pipeline(ArithmeticEngines())
    asked = {"prompts": "1234567890", "guidance": guidance, "guidance_scale": 3.0}
    streams = open_streams(pipeline, {**asked, "negative_prompt": "1234"})
    # full and initialize: 40 + 4 + 3 * (10 - 4); self: the source stands for the negative.
    expected = {"full": 62, "initialize": 62, "self": 70}[guidance]
    assert values(pipeline.tick(streams, [frame(40)], 0)) == [expected]


def test_no_strength_passes_the_picture_through_the_autoencoder():
    engines = ArithmeticEngines()
    pipeline = Pipeline(engines)
    streams = open_streams(pipeline, {"strength": 0.0, "prompts": "123"})
    assert values(pipeline.tick(streams, [frame(77)], 0)) == [77]
    assert engines.batches == []


def test_changed_controls_rule_the_next_frame_and_mark_it():
    pipeline = Pipeline(ArithmeticEngines())
    streams = open_streams(pipeline, {"prompts": "1"})
    before = pipeline.tick(streams, [frame(50)], 0)
    streams[0].revision = pipeline.reviser().revise(controls_from({"prompts": "12345"}), 1)
    after = pipeline.tick(streams, [frame(50, 1)], 0)
    assert values(before + after) == [51, 55]
    assert [answer.frame.stamp.revision for answer in before + after] == [0, 1]


class NoisyEngines(ArithmeticEngines):
    """Answers with half of x, so that the noise is seen in the picture."""

    def unet(self, x, t, text, cond):
        return x * 0.5 + 0.5


@pytest.mark.parametrize(("noise", "repeats"), [("fixed", True), ("fresh", False)])
def test_fixed_noise_repeats_and_fresh_noise_does_not(noise, repeats):
    pipeline = Pipeline(NoisyEngines())
    streams = open_streams(pipeline, {"noise": noise, "steps": 2, "denoising": "sequential"})
    first, second = (pipeline.tick(streams, [frame(60)], 0)[0].frame.pixels for _ in range(2))
    assert np.array_equal(first, second) is repeats


@pytest.mark.parametrize("noise", ["fixed", "fresh"])
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(noise):
    def draw(seed):
        pipeline = Pipeline(NoisyEngines())
        asked = {"noise": noise, "steps": 3, "seed": seed, "denoising": "sequential"}
        streams = open_streams(pipeline, asked)
        return [pipeline.tick(streams, [frame(60)], 0)[0].frame.pixels.copy() for _ in range(3)]

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


def test_the_clock_has_a_lap_for_each_stage():
    pipeline = Pipeline(ArithmeticEngines())
    pipeline.tick(open_streams(pipeline, {}), [frame(1)], 0)
    assert list(pipeline.clock.summary()) == ["encode", "denoise", "decode"]
