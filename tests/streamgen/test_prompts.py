import pytest
import torch

from streamgen.controls import Prompt
from streamgen.prompts import PromptBook


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
