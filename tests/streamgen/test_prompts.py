import pytest
import torch

from streamgen.controls import Prompt
from streamgen.prompts import PromptBook, spherical_mean


class Encoder:
    """Gives each sentence the constant of its length, and counts."""

    def __init__(self):
        self.calls = []

    def __call__(self, sentence):
        self.calls.append(sentence)
        return torch.full((2, 3), float(len(sentence)))


def test_a_sentence_is_encoded_once():
    encoder = Encoder()
    book = PromptBook(encoder)
    book.embed("ink"), book.embed("ink")
    assert encoder.calls == ["ink"]


def test_the_sentence_used_longest_ago_is_forgotten_first():
    encoder = Encoder()
    book = PromptBook(encoder, capacity=2)
    for sentence in ("a", "bb", "a", "ccc", "a", "bb"):
        book.embed(sentence)
    assert encoder.calls == ["a", "bb", "ccc", "bb"]


@pytest.mark.parametrize(("weights", "expected"), [((1, 1), 3.0), ((3, 1), 2.5), ((0, 2), 4.0)])
def test_blending_is_the_mean_by_weight(weights, expected):
    prompts = [Prompt(text="12", weight=weights[0]), Prompt(text="1234", weight=weights[1])]
    torch.testing.assert_close(PromptBook(Encoder()).blend(prompts), torch.full((2, 3), expected))


def slerp(a, b, share):
    """Interpolate two unit vectors as Shoemake does."""
    angle = torch.acos((a * b).sum(dim=-1, keepdim=True))
    return (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)


def random_units(count, seed=0):
    vectors = torch.randn(count, 5, 7, generator=torch.Generator().manual_seed(seed)).double()
    return vectors / vectors.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_of_two_sentences_the_mean_on_the_sphere_is_slerp(share):
    a, b = random_units(2)
    weights = torch.tensor([1 - share, share]).double().view(2, 1, 1)
    torch.testing.assert_close(spherical_mean(torch.stack([a, b]), weights), slerp(a, b, share))


def test_of_more_sentences_the_order_does_not_matter_and_the_length_is_kept():
    parts = 3 * random_units(4)
    weights = torch.tensor([0.4, 0.3, 0.2, 0.1]).double().view(4, 1, 1)
    mean = spherical_mean(parts, weights, rounds=60)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(spherical_mean(parts[order], weights[order], rounds=60), mean)
    torch.testing.assert_close(mean.norm(dim=-1), torch.full((5,), 3.0).double())


def test_opposite_sentences_have_a_mean_without_nan():
    a = random_units(1)[0]
    half = torch.tensor([0.5, 0.5]).double().view(2, 1, 1)
    assert bool(torch.isfinite(spherical_mean(torch.stack([a, -a]), half)).all())


def test_a_book_blends_on_the_sphere_when_asked():
    a, b = random_units(2)
    book = PromptBook({"a": a, "b": b}.__getitem__)
    prompts = [Prompt(text="a"), Prompt(text="b", weight=3)]
    torch.testing.assert_close(book.blend(prompts, "slerp"), slerp(a, b, 0.75))
