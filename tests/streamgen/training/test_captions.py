import torch

from streamgen.training.captions import Captions, Wish
from streamgen.training.styles import ACCENTS, STYLES
from streamgen.training.tokenizer import build_tokenizer


def make(seed=0):
    return Captions(torch.Generator().manual_seed(seed))


def test_a_sentence_names_the_style_and_the_accent_of_its_wish():
    captions = make()
    for style in STYLES:
        sentence = captions.describe(Wish(style=style, accent=ACCENTS[0]))
        assert any(word in sentence for word in style.words)
        assert any(word in sentence for word in ACCENTS[0].words)


def test_no_wish_is_the_empty_sentence_or_nonsense_and_leaves_the_picture():
    captions = make()
    nothing = Wish(style=None, accent=None)
    empty = [captions.describe(nothing) == "" for _ in range(100)]
    assert 30 < sum(empty) < 70
    picture = torch.rand(1, 3, 8, 8)
    assert nothing.draw(picture) is picture


def test_nine_wishes_in_ten_name_a_style_and_a_fifth_an_accent():
    captions = make()
    wishes = [captions.draw_wish() for _ in range(4000)]
    assert abs(sum(wish.style is not None for wish in wishes) / 4000 - 0.90) < 0.02
    assert abs(sum(wish.accent is not None for wish in wishes) / 4000 - 0.21) < 0.02


def test_the_same_seed_draws_the_same_sentences():
    first, second = ([c.describe(c.draw_wish()) for _ in range(20)] for c in (make(3), make(3)))
    assert first == second


def test_the_tokenizer_writes_names_of_styles_in_few_tokens_and_any_text(tmp_path):
    captions = make()
    sentences = [captions.describe(captions.draw_wish()) for _ in range(3000)]
    tokenizer = build_tokenizer(sentences, tmp_path)
    assert len(tokenizer("watercolor").input_ids) == 3
    odd = "Ünïcode 日本 \U0001f600"
    assert tokenizer.decode(tokenizer(odd).input_ids, skip_special_tokens=True).split() == (
        odd.lower().split()
    )
    ids = tokenizer("ink", padding="max_length").input_ids
    assert len(ids) == 32 and ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
