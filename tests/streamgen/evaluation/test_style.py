from __future__ import annotations

import pytest

from streamgen.control_schema import controls_from
from streamgen.evaluation.style import StyleJudge, style_of
from streamgen.frame import Pixels
from streamgen.models.evaluation.scores import reference_of
from streamgen.models.registry import find_model


def test_a_clip_drawn_by_the_filter_of_a_style_has_that_style(photo: Pixels) -> None:
    given = [photo[:96, :96], photo[100:196, 100:196]]
    judge = StyleJudge(given)
    drawn = [reference_of("comic", frame) for frame in given]

    assert judge.judge(drawn, "comic").score == 1
    assert judge.judge(drawn, "comic").distance == pytest.approx(0, abs=1e-6)
    assert judge.judge(drawn, "watercolor").score == 0
    assert judge.judge(drawn, "watercolor").distance > 0.3


def test_frames_are_spread_over_the_clip_to_its_last(photo: Pixels) -> None:
    assert StyleJudge([photo[:32, :32]] * 9, looks=2).chosen == [3, 8]


@pytest.mark.parametrize(
    ("prompts", "style"),
    [
        ("comic", "comic"),
        ("Pencil drawing ", "pencil sketch"),
        ("a fox", None),
        (["comic", "neon"], None),
        ([{"text": "comic"}, {"text": "neon", "weight": 0}], "comic"),
    ],
)
def test_a_style_is_known_by_any_of_its_words(prompts: object, style: str | None) -> None:
    assert style_of(controls_from({"prompts": prompts}), find_model("tiny")) == style


def test_a_model_that_did_not_learn_from_the_filters_has_no_style_score() -> None:
    assert style_of(controls_from({"prompts": "comic"}), find_model("sd-turbo")) is None
