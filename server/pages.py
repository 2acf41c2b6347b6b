"""The page's files, and the thumbnails of the model's styles; knows nothing of sessions."""

from __future__ import annotations

from pathlib import Path

from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from server.refusals import Refusal
from streamgen.models.registry import ModelRow
from streamgen.models.vocabulary import Vocabulary

_HERE = Path(__file__).parent
#: In a wheel the page lies in this package, in a checkout beside it.
FOLDERS = (_HERE / "client", _HERE.parent / "client_web")
#: By extension, as the tables of operating systems differ.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
#: Addresses for people, and for OBS, without an ending.
PAGES = {"viewer": "viewer.html"}
#: Files have no version in their names: browsers keep them and ask whether they are still good.
REVALIDATE = "no-cache"


def find_page() -> Path | None:
    """Return the folder of the page; None where this installation has none."""
    for folder in FOLDERS:
        if (folder / "index.html").is_file():
            return folder
    return None


class PageFiles(StaticFiles):
    """Files of one folder, of the kinds that a page is made of; index.html for the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, html=True, follow_symlink=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, or not: no hidden ones, none of a kind that is not listed."""
        path = PAGES.get(path, path)
        parts = Path(path).parts
        suffix = Path(path).suffix.lower()
        if any(part.startswith(".") for part in parts) or (suffix and suffix not in TYPES):
            raise Refusal(404, "not-found", "There is nothing under this address.")
        response = await super().get_response(path, scope)
        if response.status_code in (200, 304):
            response.headers["Cache-Control"] = REVALIDATE
            response.headers["Content-Type"] = TYPES.get(suffix, TYPES[".html"])
            if TYPES.get(suffix, TYPES[".html"]) == TYPES[".html"]:
                response.headers["Cache-Control"] = "no-store"
        return response


def thumbnail(row: ModelRow, understands: Vocabulary | None, name: str) -> Response:
    """Return the picture of one of the styles that a model's vocabulary names."""
    known: set[str] = set()
    if understands is not None:
        known = {understands.original, *(style.thumbnail for style in understands.styles)}
    wanted = f"thumbnails/{name}.webp"
    if wanted not in known or isinstance(row.location, str):
        raise Refusal(404, "not-found", f"There is no thumbnail {name[:40]!r} of {row.name}.")
    path = row.location / wanted
    if not path.is_file():
        raise Refusal(404, "not-found", f"{row.name} came without its thumbnails.")
    kept = {"Cache-Control": "public, max-age=3600"}
    return FileResponse(path, media_type="image/webp", headers=kept)
