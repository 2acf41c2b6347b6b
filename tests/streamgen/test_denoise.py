"""Many steps against two oracles: diffusers' LCM scheduler and StreamDiffusion's recursion."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from diffusers import LCMScheduler

from streamgen.control_schema import controls_from
from streamgen.denoise import denoise as denoise_to
from streamgen.errors import ConfigError
from streamgen.frame import Stamp
from streamgen.prompts import PromptBook
from streamgen.revise import Abilities, Reviser
from streamgen.rows import Row
from streamgen.schedule import schedule_from

SHAPE = (2, 3, 3)
INDICES = (12, 25, 40)
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
STAMP = Stamp(index=0, pts=0, time_base=Fraction(1, 25), ingest_ns=0)


def draw(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(SHAPE, generator=generator, dtype=torch.float64)


def say(x, t, text):
    """A model that depends on all it is given; [B, C, h, w]."""
    return torch.sin(0.7 * x + t.view(-1, 1, 1, 1) / 300 + text.mean(dim=(1, 2)).view(-1, 1, 1, 1))


class OneBuffer:
    """Engines whose every answer lies in the same memory, as bound outputs do."""

    def __init__(self):
        self.buffer = torch.zeros(64, *SHAPE, dtype=torch.float64)
        self.calls = 0

    def unet(self, x, t, text, cond):
        self.calls += 1
        self.buffer.fill_(float("nan"))
        self.buffer[: len(x)] = say(x, t, text)
        return self.buffer[: len(x)]


def make_schedule(prediction="epsilon", **changes):
    config = {**BETAS, "prediction_type": prediction, "_class_name": "LCMScheduler", **changes}
    return schedule_from(config)


def make_row(schedule, seed=0, **controls):
    book = PromptBook(lambda sentence: torch.full((1, 1), len(sentence) / 10, dtype=torch.float64))
    given = {"t_index_list": INDICES, "prompts": "four", "negative_prompt": "no", **controls}
    abilities = Abilities(reads_picture=False, works_blind=False)
    reviser = Reviser(schedule=schedule, prompts=book, abilities=abilities)
    revision = reviser.revise(controls_from(given))
    noises = tuple(draw(seed * 100 + k + 1) for k in range(len(revision.levels)))
    first, clean = revision.levels[0], draw(seed * 100)
    x = first.alpha * clean + first.sigma * noises[0]
    return Row(x=x, noises=noises, cond={}, origin=clean, revision=revision, stamp=STAMP)


def denoise(rows, engines, schedule):
    """Bring rows to their end."""
    denoise_to(rows, [0] * len(rows), engines, schedule)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_three_steps_are_those_of_the_lcm_scheduler(prediction):
    schedule = make_schedule(prediction)
    row = make_row(schedule)
    scheduler = LCMScheduler(**BETAS, prediction_type=prediction, clip_sample=False)
    scheduler.set_timesteps(timesteps=[level.t for level in row.revision.levels])
    expected = row.x[None]
    alphas = scheduler.alphas_cumprod.double()
    for k, level in enumerate(row.revision.levels):
        answer = say(expected, torch.tensor([float(level.t)]).double(), row.revision.text[None])
        clean = scheduler.step(answer, level.t, expected, return_dict=False)[1]
        if k + 1 < len(INDICES):
            a = alphas[row.revision.levels[k + 1].t]
            expected = a.sqrt() * clean + (1 - a).sqrt() * row.noises[k + 1]
    denoise([row], OneBuffer(), schedule)
    torch.testing.assert_close(row.x, clean[0], atol=1e-5, rtol=1e-5)


def recursion(row, scale, delta, negative):
    """Residual guidance with stock noise, step by step, as in StreamDiffusion's section 3.2."""
    levels, x, stock = row.revision.levels, row.x[None], row.noises[0][None]
    for k, level in enumerate(levels):
        t = torch.tensor([float(level.t)]).double()
        if k == 0 and negative is not None:
            stock = say(x, t, negative[None])
        conditional = say(x, t, row.revision.text[None])
        noise = delta * stock + scale * (conditional - delta * stock)

        def boundary(sample, noise=noise, level=level):
            clean = (sample - level.sigma * noise) / level.alpha
            return level.c_out * clean + level.c_skip * sample

        clean, change = boundary(x), boundary(level.sigma * stock)
        if k + 1 < len(levels):
            after = levels[k + 1]
            stock = row.noises[k + 1] + after.alpha / after.sigma * change
            x = after.alpha * clean + after.sigma * row.noises[k + 1]
    return clean[0]


@pytest.mark.parametrize("delta", [1.0, 0.6])
@pytest.mark.parametrize("guidance", ["self", "initialize"])
def test_residual_guidance_is_the_recursion_of_streamdiffusion(guidance, delta):
    schedule = make_schedule()
    asked = {"guidance": guidance, "guidance_scale": 1.7, "delta": delta}
    row = make_row(schedule, **asked)
    negative = row.revision.negative_text
    expected = recursion(make_row(schedule, **asked), 1.7, delta, negative)
    denoise([row], OneBuffer(), schedule)
    torch.testing.assert_close(row.x, expected, atol=1e-4, rtol=1e-4)


def test_full_guidance_asks_for_the_negative_at_every_step():
    schedule = make_schedule()
    row = make_row(schedule, guidance="full", guidance_scale=2.0)
    x = row.x[None]
    for k, level in enumerate(row.revision.levels):
        t = torch.tensor([float(level.t)]).double()
        positive = say(x, t, row.revision.text[None])
        negative = say(x, t, row.revision.negative_text[None])
        noise = negative + 2.0 * (positive - negative)
        clean = (x - level.sigma * noise) / level.alpha
        clean = level.c_out * clean + level.c_skip * x
        if k + 1 < len(INDICES):
            after = row.revision.levels[k + 1]
            x = after.alpha * clean + after.sigma * row.noises[k + 1]
    denoise([row], OneBuffer(), schedule)
    torch.testing.assert_close(row.x, clean[0])


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
def test_rows_together_are_rows_alone(prediction):
    schedule = make_schedule(prediction)
    kinds = [
        {"guidance": "none"},
        {"guidance": "full", "guidance_scale": 1.5, "t_index_list": (30,)},
        {"guidance": "initialize", "guidance_scale": 1.5, "delta": 0.9},
        {"guidance": "self", "guidance_scale": 3.0, "t_index_list": (5, 20, 30, 45)},
    ]
    together = [make_row(schedule, seed, **kind) for seed, kind in enumerate(kinds)]
    alone = [make_row(schedule, seed, **kind) for seed, kind in enumerate(kinds)]
    engines = OneBuffer()
    denoise(together, engines, schedule)
    assert engines.calls == 4
    for row, other in zip(together, alone, strict=True):
        denoise([other], OneBuffer(), schedule)
        torch.testing.assert_close(row.x, other.x)


def test_a_finished_row_keeps_its_picture_when_the_model_is_called_again():
    schedule = make_schedule("sample", _class_name="EulerDiscreteScheduler")
    engines = OneBuffer()
    row = make_row(schedule, t_index_list=(30,))
    denoise([row], engines, schedule)
    kept = row.x.clone()
    denoise([make_row(schedule, 7)], engines, schedule)
    torch.testing.assert_close(row.x, kept)


def test_delta_is_refused_where_nothing_of_the_picture_is_left():
    schedule = make_schedule("v_prediction", rescale_betas_zero_snr=True)
    asked = {"t_index_list": (0,), "guidance": "self", "guidance_scale": 2.0}
    assert make_row(schedule, **asked).revision.levels[0].alpha == 0
    with pytest.raises(ConfigError, match=r"delta 0.7: .* give delta 1, or start lower"):
        make_row(schedule, **asked, delta=0.7)


class Listening(OneBuffer):
    """Engines that keep what they were told beside x, t and text."""

    def unet(self, x, t, text, cond):
        self.told = cond
        return super().unet(x, t, text, cond)


def make_told_row(schedule, **controls):
    """A row of a model that sees the picture and is told the sentence as a whole, and sizes."""

    def encode(sentence):
        return torch.tensor([[float(len(sentence))] * 3, [ord(sentence[0]), 1.0, 0.0]]).double()

    reviser = Reviser(
        schedule=schedule,
        prompts=PromptBook(encode),
        abilities=Abilities(
            reads_picture=True, works_blind=True, pooled_width=2, time_ids=(8.0, 16.0)
        ),
    )
    given = {"t_index_list": INDICES, "prompts": "a", "negative_prompt": "b", **controls}
    revision = reviser.revise(controls_from(given))
    noises = tuple(draw(k) for k in range(len(INDICES)))
    cond = {**revision.cond, "source": torch.ones(SHAPE, dtype=torch.float64)}
    row = {"x": noises[0], "noises": noises, "origin": noises[0], "stamp": STAMP}
    return Row(cond=cond, revision=revision, **row)


def test_each_pass_is_told_of_its_own_prompt_and_of_the_picture_where_it_sees_one():
    schedule, engines = make_schedule(), Listening()
    controls = {"guidance": "full", "guidance_scale": 2.0, "image_guidance_scale": 1.5}
    row = make_told_row(schedule, **controls)
    denoise_to([row], [len(INDICES) - 1], engines, schedule)

    assert row.revision.text.tolist() == [[1.0] * 3]
    a, b = [float(ord("a")), 1.0], [float(ord("b")), 1.0]
    assert engines.told["text_embeds"].tolist() == [a, b, b]
    assert engines.told["time_ids"].tolist() == [[8.0, 16.0]] * 3
    assert engines.told["source"].mean(dim=(1, 2, 3)).tolist() == [1.0, 1.0, 0.0]


def test_an_empty_negative_prompt_is_zeros_where_the_model_was_taught_so():
    def encode(sentence):
        return torch.full((2, 3), len(sentence) + 1.0)

    abilities = Abilities(reads_picture=False, works_blind=False, pooled_width=2, time_ids=(8.0,))
    negatives = {}
    for is_zero in (False, True):
        able = replace(abilities, zero_negative=is_zero)
        reviser = Reviser(schedule=make_schedule(), prompts=PromptBook(encode), abilities=able)
        told = reviser.revise(controls_from({"guidance_scale": 2.0, "t_index_list": INDICES}))
        negatives[is_zero] = (told.negative_text, told.negative_cond["text_embeds"])
        assert told.negative_cond["time_ids"].tolist() == [8.0]
        assert told.text.mean() == 1

    assert [each.mean() for each in negatives[False]] == [1, 1]
    assert [each.mean() for each in negatives[True]] == [0, 0]
