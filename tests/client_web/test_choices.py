"""Prompt, chips, sliders and the rest of the panel: what they send, and what they show."""

from __future__ import annotations

from typing import Any

import pytest


def drag(page: Any, selector: str, share: float) -> None:
    box = page.locator(selector).bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * share, y, steps=8)
    page.mouse.up()


def test_typing_reaches_the_server_without_a_button(live: Any, echo: Any) -> None:
    live.page.fill("textarea", "manga at night")

    live.until(lambda: echo.controls["prompts"][0]["text"] == "manga at night")
    page = live.page
    assert page.locator(".style-tile input:checked").get_attribute("value") == "manga"
    assert page.locator(".chip[aria-pressed=true]").all_inner_texts() == ["at night"]
    # Of words that the model does not know, the page says so.
    hint = page.locator(".prompt .quiet:has-text('Name one style')")
    assert hint.is_hidden()
    page.fill("textarea", "a cat")
    hint.wait_for(state="visible")


def test_a_slider_sends_on_its_way_and_a_double_click_resets_it(live: Any, echo: Any) -> None:
    drag(live.page, "#control-strength", 0.25)

    live.until(lambda: [one for one in echo.heard("patch") if one["channel"] == "control"])
    patches = echo.heard("patch")
    assert {one["channel"] for one in patches} == {"live", "control"}
    sequences = [one["sequence"] for one in patches if one["channel"] == "control"]
    assert sequences == sorted(set(sequences))
    assert echo.controls["strength"] == pytest.approx(0.25, abs=0.05)
    live.page.dblclick("label[for=control-strength]")
    live.until(lambda: echo.controls["strength"] == 0.8)
    assert live.page.locator("[aria-label='Reset strength']").is_hidden()


def test_a_blend_has_weights_and_can_be_taken_apart(live: Any, echo: Any) -> None:
    page = live.page
    page.click("text=Blend in another")
    page.keyboard.type("comic")
    page.fill("[aria-label='Weight of prompt 2']", "0.5")

    wanted = [{"text": "watercolor", "weight": 1.0}, {"text": "comic", "weight": 0.5}]
    live.until(lambda: echo.controls["prompts"] == wanted)
    page.click("[aria-label='Remove prompt 1']")
    live.until(lambda: [one["text"] for one in echo.controls["prompts"]] == ["comic"])


def test_a_style_takes_the_place_of_the_one_in_the_sentence(live: Any, echo: Any) -> None:
    page = live.page
    page.fill("textarea", "my hands as gold relief")
    page.click(".style-tile:has-text('blueprint')")
    page.click(".chip:has-text('pastel')")

    wanted = "my hands as blueprint, pastel colors"
    live.until(lambda: echo.controls["prompts"][0]["text"] == wanted)
    page.click(".chip:has-text('pastel')")
    live.until(lambda: echo.controls["prompts"][0]["text"] == "my hands as blueprint")


def test_every_control_of_the_schema_has_a_widget(visitor: Any) -> None:
    page = visitor.page
    labels = page.locator("#panel-groups .label").all_text_contents()

    assert {"Strength", "Guidance scale", "Seed", "Noise", "Steps", "Size", "Delta"} <= set(labels)
    assert page.locator("#panel-groups summary").all_text_contents() == [
        "Look",
        "Time",
        "Speed",
        "Advanced",
    ]


def test_choices_of_every_kind_arrive(live: Any, echo: Any) -> None:
    page = live.page
    for group in ("Time", "Speed", "Advanced"):
        page.click(f"summary:has-text('{group}')")
    page.click("label:has-text('fresh')")
    page.click("#control-similarity_filter")
    page.fill("#control-seeds", "3, 8 × 0.5")
    page.press("#control-seeds", "Enter")
    page.click("#control-steps")
    page.select_option("#size", "384 × 384")

    live.until(lambda: echo.state["visits"][0]["size"] == {"width": 384, "height": 384})
    live.until(lambda: echo.controls["noise"] == "fresh")
    assert echo.controls["similarity_filter"] == "on"
    assert echo.controls["steps"] > 1
    wanted = [{"number": 3, "weight": 1.0}, {"number": 8, "weight": 0.5}]
    assert echo.controls["seeds"] == wanted


def test_what_another_hand_changes_is_shown(live: Any, echo: Any) -> None:
    controls = {**echo.controls, "strength": 0.3, "prompts": [{"text": "comic", "weight": 1.0}]}
    echo.force(say={"type": "controls", "revision": 9, "controls": controls})

    page = live.page
    page.wait_for_selector(".style-tile:has-text('comic') input:checked", state="attached")
    assert page.input_value("#control-strength") == "0.3"


def test_what_the_server_refuses_is_said_and_taken_back(live: Any, echo: Any) -> None:
    live.page.fill("[aria-label='Strength, exactly']", "0.5")
    live.page.press("[aria-label='Strength, exactly']", "Enter")
    live.until(lambda: echo.controls["strength"] == 0.5)
    echo.force(refuses="strength 0.2: not today")
    live.page.fill("[aria-label='Strength, exactly']", "0.2")
    live.page.press("[aria-label='Strength, exactly']", "Enter")

    live.page.wait_for_selector(".notice:has-text('not today')")
    assert live.page.input_value("#control-strength") == "0.5"


FIND = """async ([text, name]) => {
  const { findWord, withWord, withoutWord } = await import("/vocabulary.js");
  const kind = [
    { name: "neon", synonyms: ["neon lights"] },
    { name: "oil painting", synonyms: ["oil"] },
  ];
  const word = kind.find((one) => one.name === name);
  const found = findWord(text, kind);
  return [found?.word.name ?? null, withWord(text, word, kind), withoutWord(text, word)];
}"""


WORDS = (
    ("", "neon", None, "neon", ""),
    ("Neon lights, warm", "neon", "neon", "neon, warm", "warm"),
    ("a boil", "oil painting", None, "a boil, oil painting", "a boil"),
    ("a cat, oil, at dusk", "neon", "oil painting", "a cat, neon, at dusk", "a cat, oil, at dusk"),
    ("a neon cat", "neon", "neon", "a neon cat", "a cat"),
)


def test_words_are_found_put_in_and_taken_out(visitor: Any) -> None:
    for text, name, *wanted in WORDS:
        assert visitor.page.evaluate(FIND, [text, name]) == wanted, text
