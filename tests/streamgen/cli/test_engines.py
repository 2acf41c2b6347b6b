from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engines.cache import EngineCache
from engines.registry import TABLE
from engines.spec import EngineSpec, Range, TensorSpec
from streamgen.cli.engines import read_bytes
from streamgen.cli.engines_list import ago, megabytes

ROOT = Path(__file__).parents[3]
ACTIONS = ("probe", "build", "list", "verify", "debug", "prune")
# What a machine may lack on which torch is installed, and little else.
ONLY_TORCH = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Nothing())
from streamgen.cli import main
sys.exit(main(["engines", "probe", *sys.argv[2:]]))
"""
MISSING = "openvino,nncf,onnx,onnxruntime,onnxscript,triton,diffusers,transformers,av"
SPEC = EngineSpec(
    role="unet",
    inputs=(
        TensorSpec("x", (1, 4, Range(name="h", least=8, usual=32, most=64), 32), "float32"),
        TensorSpec("t", (1,), "float32"),
    ),
    outputs=(TensorSpec("answer", (1, 4, 32, 32), "float32"),),
    precision="bf16",
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineCache:
    """A cache of two networks of 1000 and 3000 bytes, the smaller one used last."""
    monkeypatch.setenv("STREAMGEN_CACHE", str(tmp_path / "cache"))
    cache = EngineCache(tmp_path / "cache")
    outputs = [{"snr_db": 42.25, "name": "answer"}, {"snr_db": 39.5, "name": "memory"}]
    for number, size in enumerate((3000, 1000)):
        facts = {"spec": SPEC.to_dict(), "backend": "openvino", "number": number}

        def build(folder: Path, size: int = size) -> dict[str, object]:
            (folder / "model.bin").write_bytes(bytes(size))
            return {"build_seconds": 1.5, "verified": {"role": "unet", "outputs": outputs}}

        entry = cache.obtain("unet", facts, build)
        os.utime(entry.folder / "manifest.json", (1000 + number, 1000 + number))
    return cache


def probed_without(missing: str, *asked: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PATH": "", "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = [sys.executable, "-c", ONLY_TORCH, missing, *asked]
    return subprocess.run(command, env=environ, capture_output=True, text=True)


def test_a_machine_with_nothing_but_torch_is_told_how_to_get_each_backend():
    done = probed_without(MISSING)

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    for row in TABLE:
        if row.name != "torch":
            [place] = [k for k, line in enumerate(lines) if line.startswith(f"{row.name} does not")]
            command = next(line for line in lines[place:] if line.startswith("    "))
            # It is for GPUs alone: where there is none, nothing is to be installed.
            wanted = "use --device cuda" if row.name == "tensorrt" else "install"
            assert wanted in command, row.name
    assert "auto takes torch in fp32" in done.stdout
    assert max(map(len, lines)) <= 80


def test_what_is_told_of_every_backend_is_there_as_json():
    done = probed_without(MISSING, "--json")

    cpu = json.loads(done.stdout)["devices"]["cpu"]
    assert cpu["auto"] == "torch"
    assert list(cpu["backends"]) == [row.name for row in TABLE]
    openvino = cpu["backends"]["openvino"]
    assert (openvino["ok"], openvino["hint"]) == (False, "pip install openvino")
    assert cpu["backends"]["torch"]["precisions"] == ["fp32", "bf16"]


def test_the_list_shows_what_the_manifests_say_the_last_used_on_top(streamgen, cache):
    done = streamgen("engines", "list")

    assert (done.code, done.err) == (0, "")
    rows = [line for line in done.out.splitlines() if "unet" in line]
    assert ["1x4x(8..64)x32" in row and "bf16" in row and "42" in row for row in rows] == [True] * 2
    assert f"2 entries, 0.0 of 8590 MB at most, in {cache.root}" in done.out

    entries = json.loads(streamgen("engines", "list", "--json").out)["entries"]
    assert [entry["size_bytes"] for entry in entries] == [1000, 3000]
    assert entries[0]["inputs"] == {"x": "1x4x(8..64)x32", "t": "1"}
    assert (entries[0]["snr_db"], entries[0]["info"]["build_seconds"]) == (42.25, 1.5)


def test_an_empty_cache_is_no_error(streamgen, tmp_path, monkeypatch):
    monkeypatch.setenv("STREAMGEN_CACHE", str(tmp_path / "nothing"))

    assert streamgen("engines", "list").out.startswith("0 entries")
    assert streamgen("engines", "prune").out.startswith("0 entries deleted")


def test_prune_deletes_the_longest_unused_until_the_rest_fits(streamgen, cache):
    done = streamgen("engines", "prune", "--max-size", "2KB", "--json")

    told = json.loads(done.out)
    assert [entry["size_bytes"] for entry in told["removed"]] == [3000]
    assert told["kept_bytes"] == 1000
    assert [entry.size_bytes for entry in cache.entries()] == [1000]
    assert "1 entry deleted, 0 MB kept" in streamgen("engines", "prune", "--max-size", "0").out
    assert cache.entries() == ()


def test_a_list_needs_no_torch():
    program = (
        "import atexit, sys; from streamgen.cli import main\n"
        "atexit.register(lambda: print('torch' in sys.modules))\n"
        "main(['engines', 'list']); main(['engines', 'lst']); main(['engines', '--help'])"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ((), "no action: choose probe, build, list, verify, debug, prune"),
        (
            ("lst",),
            "unknown action 'lst': choose probe, build, list, verify, debug, prune; did you",
        ),
        (("list", "--jsn"), "unknown option '--jsn'; did you mean --json?"),
        (("list", "two"), "'two' is one too many"),
        (("list", "--max-size", "1GB"), "unknown option '--max-size'"),
        (("prune", "--max-size", "much"), "'much': write a size such as 500MB, 2GB or 0"),
        (("build", "--size", "250"), "size 250x250: tiny takes a width"),
        (("build", "--backend", "nothing"), "backend 'nothing': choose auto, openvino"),
        (("build", "--batch", "0"), "'0': give a whole number from 1 to 64"),
        (("verify", "--precision", "fp9"), "precision 'fp9': choose auto, fp32"),
        (("verify", "--precision", "fp8"), "precision 'fp8': openvino cannot do it"),
        (("probe", "--json", "x.txt"), "give a path that ends in .json"),
    ],
)
def test_bad_input_is_one_sentence_that_names_it(streamgen, asked, sentence):
    done = streamgen("engines", *asked)

    assert (done.code, done.out) == (2, "")
    assert sentence in done.err and len(done.err.splitlines()) == 1


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_help_and_the_common_options(capsys, action):
    from streamgen.cli import main

    with pytest.raises(SystemExit, match="0"):
        main(["engines", action, "--help"])

    text = capsys.readouterr().out
    assert "--json" in text and "--verbose" in text and "--debug" in text


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("500", 500),
        ("500MB", 500_000_000),
        ("2 gb", 2_000_000_000),
        ("1.5GiB", 3 * 2**29),
        ("1K", 1000),
    ],
)
def test_sizes_are_read_as_people_write_them(text, count):
    assert read_bytes(text) == count


@pytest.mark.parametrize("text", ["", "-1", "GB", "1XB", "1e3", "0x10"])
def test_other_sizes_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        read_bytes(text)


def test_sizes_and_times_are_told_in_few_characters():
    assert [megabytes(count) for count in (0, 1_250_000, 99.9e6, 8_589_934_592)] == [
        *("0", "1.2", "99.9", "8590"),
    ]
    assert [ago(seconds) for seconds in (0.2, 59, 60, 7300, 200_000)] == [
        *("now", "59 s", "1 min", "2 h", "2 d"),
    ]


def test_torch_has_nothing_to_build(streamgen):
    done = streamgen("engines", "build", "--size", "64", "--backend", "torch")

    assert done.code == 0
    assert "torch runs networks as they are: there is nothing to build" in done.out


def test_what_was_built_is_listed_and_verified(streamgen, tmp_path, monkeypatch):
    monkeypatch.setenv("STREAMGEN_CACHE", str(tmp_path / "cache"))
    what = ("--size", "64", "--backend", "openvino", "--precision", "fp32")
    done = streamgen("engines", "build", *what, "--json", tmp_path / "built.json")

    assert done.code == 0, done.err
    told = json.loads((tmp_path / "built.json").read_text())
    assert [network["role"] for network in told["networks"]] == [
        *("vae_encoder", "unet", "vae_decoder"),
    ]
    assert all(network["built"] and network["snr_db"] > 40 for network in told["networks"])
    steps = [line for line in done.err.splitlines() if line.startswith("unet x1 fp32")]
    assert "building" in steps[1] and steps[-1] == "unet x1 fp32: ready"
    assert len(json.loads(streamgen("engines", "list", "--json").out)["entries"]) == 3

    done = streamgen("engines", "verify", *what)

    assert done.code == 0, done.err
    assert "openvino fp32" in done.out and "good" in done.out
    assert "exporting" not in done.err  # all of it was there


def test_torch_in_bf16_is_verified_with_figures(streamgen, tmp_path):
    path = tmp_path / "verified.json"
    what = ("--size", "64", "--backend", "torch", "--precision", "bf16", "--batch", "2")

    done = streamgen("engines", "verify", *what, "--json", path)

    assert done.code == 0, done.err
    networks = json.loads(path.read_text())["networks"]
    assert [network["batch"] for network in networks] == [2, 2, 2]
    assert all(network["required_db"] <= network["snr_db"] < 90 for network in networks)


def test_ctrl_c_ends_a_build_and_leaves_nothing_of_it(tmp_path):
    root = tmp_path / "cache"
    what = ("--size", "64", "--backend", "openvino", "--precision", "fp32")
    command = [sys.executable, "-m", "streamgen", "engines", "build", *what]
    environ = {**os.environ, "STREAMGEN_CACHE": str(root)}

    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line.strip())
            if line.startswith("vae_encoder") and "building" in line:
                process.send_signal(signal.SIGINT)

    assert process.returncode == 130
    assert said[-1] == "streamgen: stopped"
    assert [path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    assert list(root.rglob("*.tmp*")) == []
