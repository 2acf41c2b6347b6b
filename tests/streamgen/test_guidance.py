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
    x, origin = draw(0), draw(1)
    residual = (x - ALPHA * origin) / SIGMA
    expected = (x - SIGMA * delta * residual) / ALPHA
    found = virtual_negative(origin, x=x, alpha=ALPHA, delta=column(delta))
    torch.testing.assert_close(found, expected)
