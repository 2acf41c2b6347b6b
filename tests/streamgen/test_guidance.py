import pytest
import torch

from streamgen.guidance import clean_from, guided, renoised, virtual_negative

SHAPE = (3, 4, 5, 5)


def draw(seed):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def column(*values):
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)


ALPHA = column(0.9, 0.5, 0.1)
SIGMA = (1 - ALPHA**2).sqrt()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_perfect_answer_gives_the_clean_latent(prediction):
    clean, noise = draw(0), draw(1)
    x = renoised(clean, noise, alpha=ALPHA, sigma=SIGMA)
    answers = {"epsilon": noise, "v_prediction": ALPHA * noise - SIGMA * clean, "sample": clean}
    found = clean_from(prediction, answers[prediction], x=x, alpha=ALPHA, sigma=SIGMA)
    torch.testing.assert_close(found, clean)


def test_v_prediction_works_where_alpha_is_zero():
    zero, one = torch.zeros(3, 1, 1, 1), torch.ones(3, 1, 1, 1)
    found = clean_from("v_prediction", draw(0), x=draw(1), alpha=zero, sigma=one)
    torch.testing.assert_close(found, -draw(0))


def test_guiding_clean_latents_is_guiding_noises():
    x, positive, negative, scale = draw(0), draw(1), draw(2), column(1.0, 2.5, 0.0)

    def noise(clean):
        return (x - ALPHA * clean) / SIGMA

    epsilon = noise(negative) + scale * (noise(positive) - noise(negative))
    expected = (x - SIGMA * epsilon) / ALPHA
    torch.testing.assert_close(guided(positive, negative, scale=scale), expected)


@pytest.mark.parametrize("delta", [1.0, 0.7])
def test_virtual_negative_is_the_clean_latent_of_the_scaled_residual_noise(delta):
    x, origin, alpha, sigma = draw(0), draw(1), 0.6, 0.8
    residual = (x - alpha * origin) / sigma
    expected = (x - sigma * delta * residual) / alpha
    found = virtual_negative(origin, x=x, alpha=alpha, delta=delta)
    torch.testing.assert_close(found, expected)


def test_the_virtual_negative_of_pure_noise_is_the_origin():
    origin = draw(1)
    assert virtual_negative(origin, x=draw(0), alpha=0.0, delta=1.0) is origin


def test_a_clean_latent_does_not_share_memory_with_the_answer():
    answer = draw(0)
    clean = clean_from("sample", answer, x=draw(1), alpha=ALPHA, sigma=SIGMA)
    answer.zero_()
    torch.testing.assert_close(clean, draw(0))
