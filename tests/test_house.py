"""The house itself: what holds for the whole repository and no linter watches."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pathspec
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("streamgen", "engines", "server", "benchmarks")
FOLDERS = (*PACKAGES, "client_web", "tests", ".ci")
# NVIDIA's own index has its libraries: it was never installed where the tests run.
UNTESTED = {"tensorrt-cu13"}
# A folder of somebody's machine, as this repository must not know any.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|home|Users)/\w|[A-Z]:\\+Users|file:///\w")


def files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def texts() -> Iterator[tuple[str, str]]:
    """Every text file of the repository: its name and what it says."""
    top = (path for path in sorted(ROOT.iterdir()) if path.is_file())
    for path in (*top, *files(*FOLDERS)):
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # weights, clips, pictures


def requirement_name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found, requirement
    return found[0].lower().replace("_", "-")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:  # Any: whatever toml may hold
    with (ROOT / "pyproject.toml").open("rb") as file:
        table: dict[str, Any] = tomllib.load(file)["project"]
    return table


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if line and not line.startswith("#"))
    return {name: version for name, _, version in pairs}


def test_the_readme_is_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_no_module_is_longer_than_250_lines() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in files(*PACKAGES)
        if path.suffix == ".py"
    }

    assert {name: length for name, length in lengths.items() if length > 250} == {}


def test_git_ignores_nothing_that_ships() -> None:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = pathspec.GitIgnoreSpec.from_lines(lines)
    shipped = [path.relative_to(ROOT).as_posix() for path in files(*PACKAGES)]

    assert "engines/errors.py" in shipped
    assert [name for name in shipped if ignored.match_file(name)] == []


def test_git_ignores_compiled_engines() -> None:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = pathspec.GitIgnoreSpec.from_lines(lines)

    compiled = ["unet.plan", "engines/unet.engine", "streamgen/unet.onnx", "out/unet.pt2"]
    assert [name for name in compiled if not ignored.match_file(name)] == []


def test_no_file_knows_a_folder_of_somebodys_machine() -> None:
    found = {name: hit[0] for name, text in texts() if (hit := MACHINE_PATH.search(text))}

    assert found == {}


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("open('" + "/home" + "/ann/clip.mp4')", True),
        ("C:" + r"\Users\ann", True),
        ("find-links = file:" + "///mirror", True),
        ("https://example.org/home/ann", False),
        ("../home/ann", False),
    ],
)
def test_a_folder_of_somebodys_machine_is_told_from_a_link(text: str, is_one: bool) -> None:
    assert bool(MACHINE_PATH.search(text)) is is_one


def test_every_requirement_has_a_tested_version(
    project: dict[str, Any], pins: dict[str, str]
) -> None:
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = {requirement_name(one) for group in groups for one in group}

    assert wanted - pins.keys() == UNTESTED


def test_versions_are_pinned_without_a_build_or_a_place(pins: dict[str, str]) -> None:
    assert [pin for pin in pins.items() if not re.fullmatch(r"[\w.]+", pin[1])] == []


def test_the_sample_clip_is_small_and_attributed() -> None:
    samples = ROOT / "streamgen" / "samples"
    attribution = (samples / "ATTRIBUTION.md").read_text(encoding="utf-8")
    clips = list(samples.glob("*.mp4"))

    assert clips
    assert all(clip.stat().st_size <= 1_000_000 and clip.name in attribution for clip in clips)


def test_every_make_target_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    explained = re.findall(r"^([a-z]+):.*## \w", makefile, re.MULTILINE)

    assert phony.split() == explained


def test_every_place_that_contributing_names_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    places = re.findall(r"`([\w.]+/[\w./]*|[\w.]+\.(?:md|toml|txt))`", text)

    assert "engines/backends/" in places
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_the_ci_scripts_can_be_run() -> None:
    scripts = list(files(".ci"))

    assert {"run", "environment"} <= {script.name for script in scripts}
    assert [script.name for script in scripts if not os.access(script, os.X_OK)] == []


def test_set_up_without_python_says_what_to_install(tmp_path: Path) -> None:
    absent = {"PATH": os.environ["PATH"], "PYTHON": "no-such-python", "VENV": str(tmp_path / "v")}

    done = subprocess.run(
        [ROOT / ".ci" / "environment"], env=absent, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "no Python 3.11 or newer as no-such-python: install one" in done.stderr
    assert not (tmp_path / "v").exists()
