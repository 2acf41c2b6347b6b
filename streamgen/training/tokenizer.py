"""The tokenizer of the built-in model: byte-level BPE in CLIP's form, learned from the captions.

Any text can be written with it; words of the caption grammar mostly become one token each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from streamgen.training.nets import TEXT_TOKENS

VOCABULARY = 1200
START, END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer(sentences: Iterable[str], folder: Path) -> CLIPTokenizer:
    """Learn merges from sentences, write a CLIP tokenizer into `folder` and return it."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2 - len(alphabet),
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    vocabulary, merges = _complete(learned, sorted(alphabet))
    built = CLIPTokenizer(
        vocab=vocabulary,
        merges=[(first, second) for first, second in merges],  # type: ignore[misc]  # its stub says str
        model_max_length=TEXT_TOKENS,
    )
    built.save_pretrained(folder)
    return built


def _complete(
    learned: dict[str, object], alphabet: list[str]
) -> tuple[dict[str, int], list[list[str]]]:
    """Return CLIP's order: bytes, bytes that end words, merges, start, end."""
    merges = [list(merge) for merge in learned["merges"]]  # type: ignore[attr-defined]
    names = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    names += [name for name in ("".join(merge) for merge in merges) if name not in set(names)]
    names += [START, END]
    return {name: index for index, name in enumerate(dict.fromkeys(names))}, merges
