"""LoRAs on the page: chips that put them in, sliders for how much, and what happens to one gone."""

from __future__ import annotations

from typing import Any

import pytest

from streamgen.controls import MAX_LORAS, MAX_SCALE

CUT_OFF = "It is cut off, or still being written."


def offered(*names: str, broken: str = "") -> list[dict[str, str]]:
    """Return names as the server offers them."""
    found = [{"name": name, "state": "ready", "says": ""} for name in names]
    return found + [{"name": name, "state": "broken", "says": CUT_OFF} for name in broken.split()]


@pytest.fixture
def offering(open_page: Any, echo: Any) -> Any:
    """Return what opens the page of a server that offers these, redrawn at once."""

    def start(*names: str, broken: str = "", **options: Any) -> Any:
        echo.force(loras=offered(*names, broken=broken))
        visitor = open_page(**options)
        visitor.start()
        return visitor

    return start


def chip(page: Any, name: str) -> Any:
    return page.locator(f".loras .chip:text-is('{name}')")


def pressed(page: Any) -> list[str]:
    found: list[str] = page.locator(".loras .chip[aria-pressed=true]").all_inner_texts()
    return found


def scale(name: str) -> str:
    return f"[aria-label='Scale of {name}']"


def test_they_are_put_in_one_by_one_and_taken_out_again(offering: Any, echo: Any) -> None:
    live = offering("ink", "rain")
    page = live.page
    chip(page, "rain").click()
    chip(page, "ink").click()

    wanted = [{"name": "rain", "scale": 1.0}, {"name": "ink", "scale": 1.0}]
    live.until(lambda: echo.controls["loras"] == wanted)
    assert page.locator(".lora .label").all_inner_texts() == ["rain", "ink"]
    page.click("[aria-label='Take out rain']")
    live.until(lambda: [one["name"] for one in echo.controls["loras"]] == ["ink"])
    assert pressed(page) == ["ink"]


def test_a_scale_is_sent_on_its_way_and_one_at_the_end(offering: Any, echo: Any) -> None:
    live = offering("ink", "rain")
    page = live.page
    for name in ("ink", "rain"):
        chip(page, name).click()
    box = page.locator(scale("ink")).bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 2 / 3, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 6, y, steps=12)
    live.until(lambda: [one for one in echo.heard("patch") if one["channel"] == "live"])
    page.mouse.up()

    live.until(lambda: echo.controls["loras"][0]["scale"] == pytest.approx(-0.5, abs=0.15))
    assert echo.controls["loras"][1] == {"name": "rain", "scale": 1.0}
    patches = [one for one in echo.heard("patch") if "loras" in one["changes"]]
    assert patches[-1]["channel"] == "control"


def test_the_keyboard_reaches_all_of_it(offering: Any, echo: Any) -> None:
    live = offering("ink")
    page = live.page
    chip(page, "ink").focus()
    page.keyboard.press("Space")
    live.until(lambda: echo.controls["loras"] == [{"name": "ink", "scale": 1.0}])
    assert page.locator("body").get_attribute("data-state") == "live"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "Scale of ink, exactly"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "Take out ink"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "Scale of ink"
    page.keyboard.press("ArrowRight")
    live.until(lambda: echo.controls["loras"][0]["scale"] == pytest.approx(1.05))
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    live.until(lambda: echo.controls["loras"] == [])
    assert chip(page, "ink").evaluate("one => one === document.activeElement")


def test_scales_beyond_the_slider_are_typed_and_impossible_ones_are_not_sent(
    offering: Any, echo: Any
) -> None:
    live = offering("ink")
    page = live.page
    chip(page, "ink").click()
    field = page.locator("[aria-label='Scale of ink, exactly']")
    for typed in (str(-MAX_SCALE), str(MAX_SCALE + 1)):
        field.fill(typed)
        field.press("Enter")

    live.until(lambda: echo.controls["loras"][0]["scale"] == -MAX_SCALE)
    assert page.input_value(scale("ink")) == "-1"
    page.dblclick(scale("ink"))
    live.until(lambda: echo.controls["loras"] == [{"name": "ink", "scale": 1.0}])


def test_off_and_on_again_keeps_the_scale(offering: Any, echo: Any) -> None:
    live = offering("ink")
    page = live.page
    chip(page, "ink").click()
    page.fill(scale("ink"), "0.4")
    chip(page, "ink").click()
    live.until(lambda: echo.controls["loras"] == [])
    chip(page, "ink").click()

    live.until(lambda: echo.controls["loras"] == [{"name": "ink", "scale": 0.4}])
    page.click("[title='Reset loras']")
    live.until(lambda: echo.controls["loras"] == [])


def test_without_any_there_is_nothing_to_see(live: Any) -> None:
    assert live.page.locator(".loras").is_hidden()
    assert live.page.locator("#panel-groups .label:text-is('LoRAs')").is_hidden()


def test_a_broken_one_says_why_and_is_not_sent(offering: Any, echo: Any) -> None:
    live = offering("ink", broken="half")
    chip(live.page, "half").click()

    live.page.wait_for_selector(f".loras [role=status]:has-text('half: {CUT_OFF}')")
    assert pressed(live.page) == []
    assert chip(live.page, "half").get_attribute("aria-description") == CUT_OFF
    assert not [one for one in echo.heard("patch") if "loras" in one["changes"]]


def test_too_many_are_refused_before_the_server_has_to(offering: Any, echo: Any) -> None:
    names = [f"style-{k}" for k in range(MAX_LORAS + 1)]
    live = offering(*names)
    for name in names:
        chip(live.page, name).click()

    live.page.wait_for_selector(f".loras [role=status]:has-text('{MAX_LORAS} at a time')")
    live.until(lambda: [one["name"] for one in echo.controls["loras"]] == names[:-1])
    limits = live.page.evaluate("import('/loras.js').then((it) => [it.MOST, it.LARGEST_SCALE])")
    assert limits == [MAX_LORAS, MAX_SCALE]


def test_one_of_many_is_found_by_its_name(offering: Any) -> None:
    names = [f"style-{k:02}" for k in range(30)]
    page = offering(*names).page
    chip(page, "style-03").click()
    page.fill("[aria-label='Find a LoRA']", "E-2")

    shown = page.locator(".loras .chip:visible").all_inner_texts()
    assert shown == ["style-03", *names[20:]]


def test_those_that_come_and_go_are_seen_when_the_panel_is_opened(offering: Any, echo: Any) -> None:
    page = offering("ink", "rain").page
    chip(page, "rain").click()
    echo.force(loras=offered("fog", "ink"))
    page.click("summary:has-text('Look')")
    page.click("summary:has-text('Look')")

    chip(page, "fog").wait_for()
    assert page.locator(".loras .chip").all_inner_texts() == ["fog", "ink", "rain"]
    assert "not on this server" in chip(page, "rain").get_attribute("title")
    chip(page, "rain").click()
    chip(page, "rain").wait_for(state="detached")
    assert page.locator(".lora").count() == 0


def test_what_is_refused_is_said_and_taken_back(offering: Any, echo: Any) -> None:
    live = offering("ink", "rain")
    page = live.page
    chip(page, "ink").click()
    live.until(lambda: [one["name"] for one in echo.controls["loras"]] == ["ink"])
    echo.force(refuses="LoRA 'rain' is for another model")
    chip(page, "rain").click()

    page.wait_for_selector(".notice:has-text('for another model')")
    assert pressed(page) == ["ink"]


def test_a_remembered_one_that_is_gone_does_not_keep_a_page_from_beginning(
    offering: Any, echo: Any
) -> None:
    live = offering("ink", "rain")
    page = live.page
    for name in ("ink", "rain"):
        chip(page, name).click()
    live.until(lambda: len(echo.controls["loras"]) == 2)
    echo.force(drop=True, loras=offered("rain"))
    page.evaluate("sessionStorage.clear()")
    page.reload()

    page.wait_for_selector(".notice:has-text('Not on this server any more: ink.')")
    live.start()
    assert [one["name"] for one in echo.controls["loras"]] == ["rain"]


@pytest.mark.parametrize("rights", ["control", "view"])
def test_who_watches_sees_what_is_on_and_steers_where_that_is_allowed(
    open_page: Any, echo: Any, rights: str
) -> None:
    echo.force(rights=rights, loras=offered("ink"))
    visitor = open_page("?stream=studio")
    page = visitor.page
    page.wait_for_selector("body[data-state=live]")

    if rights == "view":
        assert page.locator(".loras").is_hidden()
        return
    chip(page, "ink").click()
    visitor.until(lambda: echo.state["watched"][0]["controls"]["loras"])


@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
def test_it_fits_and_shuts_nobody_out(offering: Any, size: tuple[int, int]) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    width, height = size
    long = "a-name-that-" + "goes-on-and-" * 8 + "ends"
    names = [long, *(f"style-{k:02}" for k in range(20))]
    viewport = {"width": width, "height": height}
    page = offering(*names, broken="half", viewport=viewport, reduced_motion="reduce").page
    for name in (long, "style-01"):
        chip(page, name).click()
    chip(page, "half").click()

    found = axe.Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    panel = page.locator("#panel")
    assert panel.evaluate("one => one.scrollWidth - one.clientWidth") == 0
    for name in (long, "style-01"):
        assert page.locator(scale(name)).evaluate(
            "one => one.getBoundingClientRect().right <= innerWidth"
        )
