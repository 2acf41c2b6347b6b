"""Sentences as embeddings: each is encoded once and kept; several are blended by weight."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import torch
from torch import Tensor

from streamgen.controls import Blend, Prompt
from streamgen.lora.weights import Key, Weights

CAPACITY = 256
#: Called with a sentence, or with a sentence and the weights to read it with.
Encode = Callable[..., Tensor]


class PromptBook:
    """Remembers the embeddings of the last sentences; may be asked by several threads."""

    def __init__(self, encode: Encode, capacity: int = CAPACITY) -> None:
        """encode(sentence) returns [tokens, width] on the device of the networks; with LoRAs that
        change how sentences are read, encode(sentence, weights)."""
        self.encode = encode
        self.capacity = capacity
        self.known: OrderedDict[tuple[str, Key], Tensor] = OrderedDict()
        # Held for the bookkeeping only: who draws never waits for a sentence that others read.
        self._lock = Lock()

    def embed(self, sentence: str, weights: Weights | None = None) -> Tensor:
        """Return the embedding of one sentence, [tokens, width]; weights: None for the model's."""
        key = (sentence, Key() if weights is None else weights.text_key)
        with self._lock:
            if key in self.known:
                self.known.move_to_end(key)
                return self.known[key]
        embedding = self.encode(sentence, weights) if key[1] else self.encode(sentence)
        with self._lock:
            self.known[key] = embedding
            self.known.move_to_end(key)
            if len(self.known) > self.capacity:
                self.known.popitem(last=False)
        return embedding

    def blend(
        self, prompts: Sequence[Prompt], by: Blend = "linear", *, weights: Weights | None = None
    ) -> Tensor:
        """Return the embeddings mixed by weight, which need not add up to 1; weights as `embed`."""
        counted = [prompt for prompt in prompts if prompt.weight > 0]
        parts = torch.stack([self.embed(prompt.text, weights) for prompt in counted])
        if len(counted) == 1:
            return parts[0]
        shares = parts.new_tensor([prompt.weight for prompt in counted])
        shares = (shares / shares.sum()).view(-1, 1, 1)
        return linear_mean(parts, shares) if by == "linear" else spherical_mean(parts, shares)


def linear_mean(parts: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of [N, ..., width]; weights [N, ..., 1] add up to 1."""
    return (parts * weights).sum(dim=0)


def spherical_mean(parts: Tensor, weights: Tensor, *, rounds: int = 8) -> Tensor:
    """Return the mean on the sphere of each vector of [N, ..., width], at the mean length.

    The point from which the weighted sum of the great-circle arcs to all parts is zero (Buss and
    Fillmore 2001, "Spherical averages"): of two parts it is slerp (Shoemake 1985), and the order
    of more does not matter. weights as in `linear_mean`.
    """
    lengths = parts.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    units = parts / lengths
    mean = _unit(linear_mean(units, weights), instead=units[0])
    for _ in range(rounds):
        cosine = (units * mean).sum(dim=-1, keepdim=True).clamp(-1, 1)
        angle = torch.acos(cosine)
        aside = units - cosine * mean
        arcs = aside * (angle / aside.norm(dim=-1, keepdim=True).clamp_min(1e-12))
        step = linear_mean(arcs, weights)
        size = step.norm(dim=-1, keepdim=True)
        mean = _unit(mean * size.cos() + step * torch.sinc(size / torch.pi), instead=mean)
    return mean * linear_mean(lengths, weights)


def _unit(vectors: Tensor, *, instead: Tensor) -> Tensor:
    """Return vectors of length 1, others where they have none."""
    length = vectors.norm(dim=-1, keepdim=True)
    return torch.where(length > 1e-6, vectors / length.clamp_min(1e-12), instead)
