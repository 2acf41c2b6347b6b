"""Sentences as embeddings: each is encoded once and kept; several are blended by weight."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from streamgen.controls import Prompt

CAPACITY = 256


class PromptBook:
    """Remembers the embeddings of the last sentences."""

    def __init__(self, encode: Callable[[str], Tensor], capacity: int = CAPACITY) -> None:
        """encode(sentence) returns [tokens, width] on the device of the networks."""
        self.encode = encode
        self.capacity = capacity
        self.known: OrderedDict[str, Tensor] = OrderedDict()

    def embed(self, sentence: str) -> Tensor:
        """Return the embedding of one sentence, [tokens, width]."""
        if sentence not in self.known:
            self.known[sentence] = self.encode(sentence)
            if len(self.known) > self.capacity:
                self.known.popitem(last=False)
        self.known.move_to_end(sentence)
        return self.known[sentence]

    def blend(self, prompts: Sequence[Prompt]) -> Tensor:
        """Return the mean of the embeddings by weight; weights need not add up to 1."""
        if len(prompts) == 1:
            return self.embed(prompts[0].text)
        total = sum(prompt.weight for prompt in prompts)
        parts = [self.embed(prompt.text) * (prompt.weight / total) for prompt in prompts]
        return torch.stack(parts).sum(dim=0)
