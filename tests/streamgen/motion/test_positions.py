"""Positions against those of diffusers, which adapters were trained with."""

import torch
from diffusers.models.embeddings import SinusoidalPositionalEmbedding

from streamgen.motion.positions import Positions


def test_they_are_those_of_diffusers():
    theirs = SinusoidalPositionalEmbedding(24, max_seq_length=32)
    ours = Positions(24, 32)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    torch.testing.assert_close(ours.pe, theirs.pe, atol=0, rtol=0)


def test_any_number_gets_a_vector_of_the_table():
    table = Positions(4, 3)
    found = table.at(torch.tensor([[-7, 0], [2, 10**9]]))
    assert found.shape == (2, 2, 4)
    torch.testing.assert_close(found, table.pe[0][torch.tensor([[0, 0], [2, 2]])])
