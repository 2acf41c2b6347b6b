"""Why TensorRT does not run, and what mends it; it runs on none of the machines of these tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fake_tensorrt import Gpu, library, load

from engines.backends.tensorrt import TensorRtBackend
from engines.backends.tensorrt_library import Library
from engines.backends.tensorrt_probe import check_refit
from engines.errors import BackendUnavailable, BuildError
from engines.graphs import Capturable
from engines.probing import probe
from engines.protocol import ArtifactBackend, BackendOptions
from engines.registry import TABLE, choose

INDEX = "--extra-index-url https://pypi.nvidia.com"


def backend(find: Callable[[], Library]) -> TensorRtBackend:
    return TensorRtBackend(BackendOptions(), library=find)


def refusing(error: Exception) -> Callable[[], Library]:
    def find() -> Library:
        raise error

    return find


def without_driver() -> Library:
    trt = load("11.4", gpu=None)
    return Library(trt, {"tensorrt": trt.__version__}, device="cpu", gpu=library("11.4").gpu)


def test_nothing_installed_is_told_with_the_command_and_nvidias_index():
    absent = ModuleNotFoundError("No module named 'tensorrt'", name="tensorrt")

    found = backend(refusing(absent)).probe("cuda")

    assert (found.ok, found.reason) == (False, "tensorrt is not installed")
    assert found.hint.startswith("pip install") and found.hint.endswith(INDEX)


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libnvonnxparser.so.11: cannot open shared object file"),
        OSError("libnvonnxparser.so.11: cannot open shared object file\nsecond line"),
    ],
)
def test_bindings_without_their_libraries_are_told_apart(error: Exception):
    found = backend(refusing(error)).probe("cuda:1")

    assert not found.ok
    missing = "libnvonnxparser.so.11: cannot open shared object file"
    assert found.reason == f"tensorrt is installed, its libraries are not: {missing}"
    assert INDEX in found.hint


def test_an_empty_folder_of_that_name_is_an_answer_and_not_an_error():
    found = backend(refusing(AttributeError("no attribute '__version__'"))).probe("cuda")

    assert not found.ok
    assert "__version__" in found.reason


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_another_device_is_refused_whether_it_is_installed_or_not(device: str):
    found = backend(refusing(ImportError("no such file"))).probe(device)

    assert (found.ok, found.reason) == (False, f"runs on cuda, not on {device}")
    assert found.hint == "use --device cuda, or --backend torch"


def test_trt_sequence_fake_a_missing_driver_is_told_in_the_words_of_the_log():
    found = backend(without_driver).probe("cpu")

    assert not found.ok
    assert "tensorrt makes no Runtime: CUDA initialization failure with error: 35" in found.reason
    assert found.hint == "update the NVIDIA driver: this TensorRT needs a newer one"
    assert found.versions["tensorrt"] == "11.4.0.106"


@pytest.mark.parametrize(
    ("version", "is_taken"),
    [("10.13.3.9", False), ("10.14", True), ("11.3", True), ("11.4", True), ("12.0.0.1", False)],
)
def test_trt_sequence_fake_versions_from_10_14_to_below_12_are_taken(version: str, is_taken: bool):
    found = backend(lambda: library(version)).probe("cpu")

    assert found.ok == is_taken
    if not is_taken:
        assert found.reason == f"tensorrt {version} is not in 10.14 up to 12.0"
        assert "tensorrt-cu13>=10.14.1,<12,!=11.3.*" in found.hint


def test_trt_sequence_fake_a_gpu_from_before_turing_is_refused():
    found = backend(lambda: library("11.4", gpu=Gpu(capability="7.0"))).probe("cpu")

    assert (found.ok, found.hint) == (False, "use --backend torch")
    assert found.reason == "Pretend GPU is older than what TensorRT compiles for"


@pytest.mark.parametrize(
    ("capability", "first"), [("9.0", "bf16"), ("8.0", "bf16"), ("7.5", "fp16")]
)
def test_trt_sequence_fake_bf16_comes_first_where_the_gpu_has_it(capability: str, first: str):
    found = backend(lambda: library("10.14", gpu=Gpu(capability=capability)))

    precisions = found.precisions("cpu")
    assert precisions[0] == first
    assert ("bf16" in precisions) == (first == "bf16")
    assert precisions[-2:] == ("fp16", "fp32")


@pytest.mark.parametrize("version", ["10.14", "11.4"])
def test_trt_sequence_fake_weights_may_be_exchanged_but_not_in_11_3(version: str):
    check_refit(library(version), "unet")

    with pytest.raises(BuildError, match=r"unet: tensorrt 11\.3\.\S+ may lose biases"):
        check_refit(library("11.3"), "unet")


def test_it_builds_artifacts_and_may_be_recorded_on_cuda_alone():
    made = backend(refusing(ImportError()))

    assert isinstance(made, ArtifactBackend)
    assert isinstance(made, Capturable)
    assert (made.captures_on("cuda:1"), made.captures_on("cpu")) == (True, False)


def test_the_library_of_this_machine_is_probed_without_an_error():
    [row] = [row for row in TABLE if row.name == "tensorrt"]

    [on_cpu] = probe("cpu", (row,))
    [on_cuda] = probe("cuda:99", (row,))

    assert (on_cpu.ok, on_cpu.reason) == (False, "runs on cuda, not on cpu")
    assert not on_cuda.ok and on_cuda.reason and on_cuda.hint


def test_asked_for_by_name_where_it_cannot_be_had_it_is_an_error_with_the_fix():
    with pytest.raises(BackendUnavailable, match="runs on cuda, not on cpu; use --device cuda"):
        choose("tensorrt", device="cpu")
