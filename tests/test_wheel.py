"""The wheel: what a user gets, no less and no more."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TINY = "streamgen/models/tiny"
#: Of the model in the box, with pictures and all: what a repository can carry.
MOST_BYTES = 24_000_000
PACKAGES = {"streamgen", "engines", "server", "benchmarks"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the installed hatchling: no network, no environment of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files_in_tree(folder: str) -> set[str]:
    """Name the files under a folder of the checkout as the wheel names them."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_wheel_holds_exactly_our_packages(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names}

    (about,) = (top for top in tops if top.endswith(".dist-info"))
    assert tops == PACKAGES | {about}


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_every_module_of_the_checkout_is_in_the_wheel(names: set[str], package: str) -> None:
    modules = {name for name in files_in_tree(package) if name.endswith(".py")}

    assert modules
    assert modules <= names


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_every_package_says_that_it_is_typed(names: set[str], package: str) -> None:
    assert f"{package}/py.typed" in names


@pytest.mark.parametrize("folder", [TINY, "streamgen/samples"])
def test_models_and_samples_are_in_the_wheel_whole(names: set[str], folder: str) -> None:
    found = files_in_tree(folder)

    assert found
    assert found <= names


@pytest.mark.parametrize(
    "name",
    [
        "model_index.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
    ],
)
def test_the_built_in_model_is_in_the_wheel(names: set[str], name: str) -> None:
    assert f"{TINY}/{name}" in names


def test_the_built_in_model_is_small_with_all_that_it_comes_with(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = [f for f in archive.infolist() if f.filename.startswith(f"{TINY}/")]

    assert sum(file.file_size for file in files) <= MOST_BYTES


def test_the_motion_adapter_of_the_built_in_model_comes_whole_or_not_at_all(
    names: set[str],
) -> None:
    folder = f"{TINY}/motion/"
    found = {name.removeprefix(folder) for name in names if name.startswith(folder)}

    assert found in (set(), {"config.json", "diffusion_pytorch_model.safetensors", "ring.json"})


def test_the_page_is_in_the_wheel_whole(names: set[str]) -> None:
    page = {name.removeprefix("client_web/") for name in files_in_tree("client_web")}

    assert "index.html" in page
    assert {f"server/client/{name}" for name in page} <= names


def test_the_sample_clip_comes_with_its_attribution(names: set[str]) -> None:
    assert {"streamgen/samples/webcam.mp4", "streamgen/samples/ATTRIBUTION.md"} <= names


def test_neither_tests_nor_results_nor_caches_are_in_the_wheel(names: set[str]) -> None:
    unwanted = ("tests/", "benchmarks/results/", "training-runs/")

    assert not [name for name in names if name.startswith(unwanted) or "__pycache__" in name]


def test_the_wheel_brings_the_command_and_the_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        texts = {
            name.split(".dist-info/")[1]: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" in name
        }

    assert "streamgen = streamgen.cli:main" in texts["entry_points.txt"]
    assert "Apache License" in texts["licenses/LICENSE"]
    assert "CC BY 4.0" in texts["licenses/NOTICE"]
