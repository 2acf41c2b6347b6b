from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any  # what a command left, of conftest.py

ROOT = Path(__file__).parents[3]
WITHOUT = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "polygraphy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Nothing())
from streamgen.cli import main
sys.exit(main(["engines", "debug"]))
"""


def test_a_network_is_written_looked_into_and_compared(
    streamgen: Callable[..., Any], small_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    asked = ("engines", "debug", "--model", small_folder, "--size", "64x64", "--layers")

    done = streamgen(*asked, "--out", out)

    assert done.code == 0, done.err
    files = {path.name for path in out.iterdir()}
    assert {"model.onnx", "weights_map.json", "inputs.json", "answers.json"} <= files
    assert "lint: nothing is wrong" in done.out
    assert "first wrong: nothing" in done.out
    assert "ONNX Runtime against torch fp32" in done.out
    assert "FLOAT16: " in done.out
    assert "TensorRT did not run: " in done.out
    assert f"polygraphy run {out}/model.onnx --trt --strongly-typed" in done.out


def test_a_limit_for_layers_names_the_first_below_it(
    streamgen: Callable[..., Any], small_folder: Path, tmp_path: Path
) -> None:
    asked = ("engines", "debug", "--model", small_folder, "--size", "64x64", "--layers")

    done = streamgen(*asked, "--limit", "900", "--out", tmp_path / "out", "--json")

    told = json.loads(done.out)
    (comparison,) = told["comparisons"]
    assert told["wrong"]["name"] == comparison["layers"][0]["name"]
    assert "--onnx-outputs" in told["next"]


def test_a_role_that_the_model_lacks_is_refused(
    streamgen: Callable[..., Any], small_folder: Path, tmp_path: Path
) -> None:
    done = streamgen("engines", "debug", "--model", small_folder, "--role", "unets")

    assert done.code == 2
    assert "--role 'unets': choose " in done.err


def test_without_polygraphy_it_says_what_to_install() -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WITHOUT]

    done = subprocess.run(command, env=environ, capture_output=True, text=True)

    assert done.returncode == 2
    assert 'polygraphy not installed: pip install "polygraphy>=' in done.stderr
