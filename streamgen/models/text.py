"""Sentences to embeddings: the text encoders of a model as one network, with their tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer


class SentenceReader(nn.Module):
    """tokens [B, T] → text [B, T, D]; with a second encoder tokens, tokens_2 → text, text_embeds.

    With two, text is both of them beside one another, each from its last layer but one, and
    text_embeds, [B, P], is what the second makes of the whole sentence (Podell et al. 2023, SDXL,
    arXiv 2307.01952).
    """

    def __init__(
        self, encoder: CLIPTextModel, second: CLIPTextModelWithProjection | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.second = second

    def forward(
        self, tokens: Tensor, tokens_2: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """tokens, tokens_2: int64 [B, T], of the two encoders' own tokenizers."""
        if self.second is None or tokens_2 is None:
            hidden: Tensor = self.encoder(tokens).last_hidden_state
            return hidden
        first = self.encoder(tokens, output_hidden_states=True)
        second = self.second(tokens_2, output_hidden_states=True)
        text = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        return text, second.text_embeds


def tokens_of(sentence: str, tokenizers: Sequence[CLIPTokenizer], count: int) -> list[Tensor]:
    """Return the tokens of a sentence for each tokenizer, int64 [1, count], cut off or padded."""
    return [
        tokenizer(
            sentence,
            padding="max_length",
            max_length=count,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        for tokenizer in tokenizers
    ]


@torch.no_grad()
def read(reader: SentenceReader, tokens: Sequence[Tensor]) -> Tensor:
    """Return the embedding of a sentence, float32 [tokens, width].

    Where there is a pooled one, it is a further row, with zeros up to the width.
    """
    answer = reader(*tokens)
    if isinstance(answer, Tensor):
        return answer[0]
    text, pooled = answer
    missing = text.shape[-1] - pooled.shape[-1]
    return torch.cat([text[0], pad(pooled, (0, missing))])
