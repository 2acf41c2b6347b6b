"""Stream batch against a textbook loop that draws one frame after the other, in plain formulas."""

import pytest
import torch

from streamgen.control_schema import controls_from
from streamgen.pipeline import Pipeline

LADDERS = {1: (32,), 2: (20, 40), 3: (10, 25, 40), 4: (5, 18, 30, 44)}
MODES = ("none", "full", "self", "initialize")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
GUIDED = {"guidance_scale": 1.7, "negative_prompt": "mud", "delta": 0.8, "prompts": "ink"}


def textbook(engines, frame, revision, noises):
    """Draw one frame with guidance on ε̂, as StreamDiffusion writes it in its section 3.2."""
    controls, kind = revision.controls, engines.schedule.prediction
    source = engines.encode(frame.pixels[None])
    cond = engines.cond_of(source)

    def noise_in(x, level, text):
        answer = engines.net(x, torch.tensor([float(level.t)]).double(), text[None], cond)
        if kind == "sample":
            return (x - level.alpha * answer) / level.sigma
        return level.sigma * x + level.alpha * answer if kind == "v_prediction" else answer

    first = revision.levels[0]
    x, stock = first.alpha * source + first.sigma * noises[0], noises[0][None]
    for k, level in enumerate(revision.levels):
        noise = noise_in(x, level, revision.text)
        if controls.guidance == "full" or (controls.guidance == "initialize" and k == 0):
            stock = noise_in(x, level, revision.negative_text)
        if controls.guidance != "none":
            negative = stock if controls.guidance == "full" else controls.delta * stock
            noise = negative + controls.guidance_scale * (noise - negative)

        def boundary(sample, noise=noise, level=level):
            clean = (sample - level.sigma * noise) / level.alpha
            return level.c_out * clean + level.c_skip * sample

        clean = boundary(x)
        if k + 1 == len(revision.levels):
            return clean[0]
        after, fresh = revision.levels[k + 1], noises[k + 1]
        stock = fresh + after.alpha / after.sigma * boundary(level.sigma * stock)
        x = after.alpha * clean + after.sigma * fresh
    raise AssertionError("a ladder has a last level")


def run(engines, controls, frames):
    """Return the latents that come out for frames, in order, and the ticks that they came at."""
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream("one", controls)
    engines.drawn.clear()
    came = []
    for tick, frame in enumerate(frames):
        came += [(a.frame.stamp.index, tick) for a in pipeline.tick([stream], [frame], 0)]
    came += [(a.frame.stamp.index, len(frames)) for a in pipeline.flush([stream])]
    return list(engines.drawn), came, stream


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("guidance", MODES)
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_stream_batch_is_sequential_is_the_textbook(
    small_engines, numbered_frame, n, guidance, prediction
):
    engines = small_engines(prediction=prediction)
    asked = {"t_index_list": LADDERS[n], "guidance": guidance, **GUIDED}
    frames = [numbered_frame(index) for index in range(6)]

    batched, came, stream = run(engines, controls_from(asked), frames)
    one_by_one, _, _ = run(engines, controls_from({**asked, "denoising": "sequential"}), frames)

    noises = stream.noise.take(stream.revision.controls, n)
    expected = [textbook(engines, frame, stream.revision, noises) for frame in frames]
    for ours, other, plain in zip(batched, one_by_one, expected, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(other, ours, atol=1e-12, rtol=1e-12)
    assert [index for index, _ in came] == list(range(6))


def test_the_first_picture_is_finished_at_once_and_the_others_are_steps_less_one_late(
    small_engines, numbered_frame
):
    engines = small_engines()
    frames = [numbered_frame(index) for index in range(8)]

    _, came, _ = run(engines, controls_from({"t_index_list": LADDERS[4]}), frames)

    assert came == [(0, 0), (1, 4), (2, 5), (3, 6), (4, 7), (5, 8), (6, 8), (7, 8)]
    assert engines.batches[:4] == [1, 1, 1, 1]  # the start: one frame, all its steps
    assert engines.batches[7:11] == [4, 4, 4, 4]  # the ring: one call a frame


def test_a_frame_buffer_draws_the_same_pictures_together(small_engines, numbered_frame):
    frames = [numbered_frame(index) for index in range(8)]
    controls = controls_from({"t_index_list": LADDERS[2], "guidance": "initialize", **GUIDED})
    alone, _, _ = run(small_engines(), controls, frames)
    engines = small_engines()
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream("one", controls)

    came = [pipeline.tick([stream] * 4, frames[:4], 0), pipeline.tick([stream] * 4, frames[4:], 0)]
    came.append(pipeline.flush([stream]))

    assert [[a.frame.stamp.index for a in each] for each in came] == [
        [0, 1, 2, 3],
        [],
        [4, 5, 6, 7],
    ]
    for ours, plain in zip(engines.drawn, alone, strict=True):
        torch.testing.assert_close(ours, plain)


SCRIPT = {
    40: {"prompts": "oil"},
    60: {"prompts": [{"text": "oil"}, {"text": "neon city", "weight": 0.5}]},
    75: {"prompt_blend": "slerp"},
    80: {"seed": 5},
    95: {"seeds": [1, {"number": 2, "weight": 2}]},
    100: {"guidance": "full", "guidance_scale": 2.0},
    110: {"guidance_scale": 1.0},
    118: {"guidance_scale": 1.4, "guidance": "self"},
    130: {"guidance": "initialize", "delta": 0.7},
    140: {"guidance": "none"},
    150: {"steps": 4},
    170: {"guidance": "full", "negative_prompt": "fog"},
    180: {"steps": 2},
    200: {"strength": 0.3},
    201: {"strength": 1.0},
    202: {"strength": 0.0},
    204: {"strength": 0.5, "steps": 3},
    230: {"denoising": "sequential"},
    240: {"denoising": "stream", "steps": 4},
    260: {"steps": 1},
    270: {"t_index_list": [3, 20, 21]},
    290: {"guidance": "none", "steps": 2, "strength": 0.7},
}


def test_what_changes_while_it_runs_drops_doubles_and_spoils_nothing(small_engines, numbered_frame):
    engines = small_engines(prediction="v_prediction")
    pipeline = Pipeline(engines)
    given = {"prompts": "ink"}
    stream = pipeline.open_stream("one", controls_from(given))
    revisions, frames = {}, [numbered_frame(index) for index in range(300)]
    came = []
    for index, frame in enumerate(frames):
        if index in SCRIPT:
            controls = controls_from(SCRIPT[index], defaults=stream.revision.controls.model_dump())
            stream.revision = pipeline.reviser().revise(controls, index)
        revisions[index] = stream.revision
        came += pipeline.tick([stream], [frame], 0)
    came += pipeline.flush([stream])

    assert [answer.frame.stamp.index for answer in came] == list(range(300))
    assert [a.frame.stamp.revision for a in came] == [revisions[k].number for k in range(300)]
    latents = list(engines.drawn)
    assert all(bool(torch.isfinite(latent).all()) for latent in latents)
    # Not within n frames only: each frame is drawn with its own revision from end to end.
    for index in range(0, 300, 3):
        fresh = pipeline.open_stream("fresh", revisions[index].controls)
        engines.drawn.clear()
        pipeline.tick([fresh], [frames[index]], 0)
        torch.testing.assert_close(latents[index], engines.drawn[0], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("guidance", ["self", "initialize"])
def test_one_step_residual_guidance_is_stable_for_ten_thousand_frames(
    small_engines, numbered_frame, guidance
):
    engines = small_engines()
    asked = {"t_index_list": [32], "guidance": guidance, "guidance_scale": 1.2}
    pipeline = Pipeline(engines)
    stream = pipeline.open_stream("one", controls_from(asked))
    frame = numbered_frame(0)
    for _ in range(10_000):
        pipeline.tick([stream], [frame], 0)

    assert len(engines.drawn) == 10_000
    assert torch.equal(engines.drawn[0], engines.drawn[-1])
    assert float(engines.drawn[-1].abs().max()) < 100


KINDS = (
    {"t_index_list": [10, 30], "prompts": "oil"},
    {"t_index_list": [20], "guidance": "full", "guidance_scale": 2.0, "seed": 4},
    {"t_index_list": [5, 20, 30, 45], "guidance": "initialize", "guidance_scale": 1.3},
    {"t_index_list": [8, 40], "guidance": "self", "guidance_scale": 1.3, "denoising": "sequential"},
    {"t_index_list": [25], "noise": "fresh", "prompts": "neon"},
)


def outputs(engines, kinds, frames_of):
    """Return, per stream, the pictures' latents; `frames_of(k, index)` are the frames."""
    pipeline = Pipeline(engines)
    streams = [pipeline.open_stream(str(k), controls_from(kind)) for k, kind in enumerate(kinds)]
    engines.drawn.clear()
    owners = []
    for index in range(7):
        frames = [frames_of(k, index) for k in range(len(kinds))]
        owners += [answer.stream for answer in pipeline.tick(streams, frames, 0)]
    owners += [answer.stream for answer in pipeline.flush(streams)]
    return [
        [latent for latent, owner in zip(engines.drawn, owners, strict=True) if owner is stream]
        for stream in streams
    ]


@pytest.mark.parametrize("count", [2, 5])
def test_streams_together_are_streams_alone(small_engines, numbered_frame, count):
    together = outputs(small_engines(), KINDS[:count], lambda k, i: numbered_frame(i, seed=k))
    for k in range(count):
        [alone] = outputs(small_engines(), [KINDS[k]], lambda _, i, k=k: numbered_frame(i, seed=k))
        assert len(alone) == 7
        for ours, plain in zip(together[k], alone, strict=True):
            torch.testing.assert_close(ours, plain, atol=1e-9, rtol=1e-9)


def test_no_pixel_of_one_stream_influences_another(small_engines, numbered_frame):
    plain = outputs(small_engines(), KINDS, lambda k, i: numbered_frame(i, seed=k))
    other = outputs(
        small_engines(), KINDS, lambda k, i: numbered_frame(i, seed=k if k != 2 else 77)
    )
    for k in range(len(KINDS)):
        same = all(torch.equal(a, b) for a, b in zip(plain[k], other[k], strict=True))
        assert same is (k != 2)


def test_image_guidance_is_that_of_instruct_pix2pix(small_engines, numbered_frame):
    engines = small_engines()
    asked = {"t_index_list": [20], "guidance": "full", "guidance_scale": 3.0, "prompts": "ink"}
    asked |= {"image_guidance_scale": 1.5, "negative_prompt": "mud"}
    frame = numbered_frame(0)
    [drawn], _, stream = run(engines, controls_from(asked), [frame])

    revision, source = stream.revision, engines.encode(frame.pixels[None])
    [level], [noise] = revision.levels, stream.noise.take(revision.controls, 1)
    x, t = level.alpha * source + level.sigma * noise, torch.tensor([float(level.t)]).double()

    def told(text, picture):
        return engines.net(x, t, text[None], {"source": picture})

    nothing = torch.zeros_like(source)
    text, image = told(revision.text, source), told(revision.negative_text, source)
    neither = told(revision.negative_text, nothing)
    noise = neither + 3.0 * (text - image) + 1.5 * (image - neither)
    clean = level.c_out * (x - level.sigma * noise) / level.alpha + level.c_skip * x
    torch.testing.assert_close(drawn, clean[0], atol=1e-6, rtol=1e-6)
