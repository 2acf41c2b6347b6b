import torch
from torch import nn

from streamgen.training.muon import Muon, is_hidden_matrix, orthogonalised


def test_orthogonalised_matrices_have_singular_values_near_one():
    for shape in ((2, 6, 20), (2, 20, 6)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
        assert float(values.min()) > 0.5 and float(values.max()) < 1.35


def test_embeddings_vectors_and_image_ends_are_left_to_adam():
    assert is_hidden_matrix("conv.weight", torch.zeros(8, 8, 3, 3))
    assert not is_hidden_matrix("conv_in.weight", torch.zeros(8, 3, 3, 3))
    assert not is_hidden_matrix("norm.weight", torch.zeros(8))
    assert not is_hidden_matrix("token_embedding.weight", torch.zeros(100, 8))


def fit(steps, resume_at=None):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
    x, y = torch.randn(64, 8), torch.randn(64, 8)
    optimizer = Muon(net.named_parameters(), rate=0.02)
    losses = []
    for step in range(steps):
        if step == resume_at:
            state = {key: tensor.clone() for key, tensor in optimizer.state().items()}
            optimizer = Muon(net.named_parameters(), rate=0.02)
            optimizer.load_state(state)
        loss = (net(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(1.0)
        losses.append(float(loss.detach()))
    return losses


def test_it_descends():
    losses = fit(60)
    assert losses[-1] < 0.8 * losses[0]


def test_a_restored_state_goes_on_as_if_nothing_had_happened():
    assert fit(20, resume_at=10) == fit(20)
