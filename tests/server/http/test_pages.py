"""Files of the page: which are given, with which headers, and which are not."""

from __future__ import annotations

import pytest

from server.pages import find_page


@pytest.fixture
def page(tmp_path):
    folder = tmp_path / "client"
    (folder / ".git").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "viewer.html").write_text("<!doctype html><title>viewer</title>")
    (folder / "main.js").write_text("export {};")
    (folder / "style.css").write_text("body {}")
    (folder / "notes.py").write_text("print()")
    (folder / ".git" / "config.json").write_text("{}")
    (tmp_path / "outside.json").write_text("{}")
    (folder / "link.json").symlink_to(tmp_path / "outside.json")
    return folder


@pytest.fixture
def get(serve, page):
    def once(path, **request):
        async def work(served):
            return await served.client.get(path, **request)

        return serve(work, page=page)

    return once


def test_the_page_is_never_kept_by_a_browser(get):
    response = get("/")

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"


def test_the_viewer_has_an_address_without_an_ending(get):
    response = get("/viewer?stream=show")

    assert response.status_code == 200
    assert "<title>viewer</title>" in response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"


def test_its_files_are_kept_and_asked_about(serve, page):
    async def work(served):
        first = await served.client.get("/main.js")
        again = {"If-None-Match": first.headers["etag"]}
        return first, await served.client.get("/main.js", headers=again)

    first, second = serve(work, page=page)

    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert first.headers["cache-control"] == "no-cache"
    assert second.status_code == 304


@pytest.mark.parametrize(
    "path",
    [
        "/notes.py",
        "/.git/config.json",
        "/..%2foutside.json",
        "/%2e%2e/outside.json",
        "/link.json",
        "/nothing.js",
        "/nowhere/",
    ],
)
def test_nothing_but_the_page_is_given_out(get, is_refusal, path):
    assert is_refusal(get(path), 404, "not-found")


def test_a_page_takes_no_posts(serve, page, is_refusal):
    async def work(served):
        return await served.client.post("/main.js")

    assert is_refusal(serve(work, page=page), 405, "not-allowed")


@pytest.mark.parametrize("name", ["../understands", "nobody", "..%2f..%2funet%2fconfig", "a" * 90])
def test_thumbnails_are_those_of_the_vocabulary_alone(get, is_refusal, name):
    assert is_refusal(get(f"/v1/thumbnails/{name}.webp"), 404, "not-found")


def test_a_thumbnail_that_did_not_come_with_the_model_is_said_to_be_missing(get):
    response = get("/v1/thumbnails/watercolor.webp")

    if response.status_code == 200:
        assert response.headers["content-type"] == "image/webp"
    else:
        assert "without its thumbnails" in response.json()["says"]


def test_this_checkout_has_a_page():
    folder = find_page()

    assert folder is not None and (folder / "index.html").is_file()
