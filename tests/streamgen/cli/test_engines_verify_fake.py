"""The report of `engines verify` for TensorRT, whose double shows that it comes to its end.

Nothing here says anything of TensorRT.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from fake_tensorrt import VERSIONS, Gpu, library

from benchmarks.clip import SAMPLE, read_clip
from benchmarks.frame_path import Plan
from engines.backends.tensorrt import TensorRtBackend
from engines.building import build_here
from engines.cache import EngineCache
from engines.proof import proof_of
from engines.protocol import BackendOptions
from engines.registry import BackendRow, Choice
from streamgen.cli.engines_networks import networks_of
from streamgen.cli.engines_verify import CONTROLS
from streamgen.cli.engines_verify_checks import NOT_RUN, PASSED, Subject
from streamgen.cli.engines_verify_frames import Terms
from streamgen.cli.engines_verify_report import Examined, examine, settle
from streamgen.cli.options import controls_of
from streamgen.config import StreamConfig
from streamgen.models.engines import Engines
from streamgen.models.loading import LoadedModel, load_model
from streamgen.models.registry import find_model

ROW = BackendRow(
    name="tensorrt",
    module="engines.backends.tensorrt",
    factory="TensorRtBackend",
    auto_devices=("cpu",),
    needs_proof=True,
)


@pytest.fixture(scope="module")
def model(small_folder: Path) -> LoadedModel:
    return load_model(find_model(str(small_folder)))


def backend_of(version: str, gpu: Gpu) -> TensorRtBackend:
    found = library(version, gpu=gpu)
    return TensorRtBackend(BackendOptions(), library=lambda: found)


def examined_with(backend: TensorRtBackend, model: LoadedModel, root: Path) -> Examined:
    config = StreamConfig(model=model.row.location, width=64, height=64, device="cpu")
    choice = Choice(backend=backend, device="cpu")
    engines = Engines(model, config, choice=choice, cache=EngineCache(root))
    subject = Subject(
        engines=engines,
        networks=networks_of(engines, (1,)),
        controls=controls_of(model.row, CONTROLS),
        builder=build_here,
    )
    ticks = count(0, 1_000_000)
    plan = Plan(frames=1, runs=1, warmup=1)
    clip = read_clip(SAMPLE, limit=2)
    return examine(subject, Terms(clip=clip, plan=plan, now_ns=lambda: next(ticks)))


@pytest.mark.slow
@pytest.mark.parametrize("version", ["10.14", "11.4"])
def test_trt_sequence_fake_passes_all_but_graphs_and_is_proven(
    version: str, model: LoadedModel, tmp_path: Path
) -> None:
    backend = backend_of(version, Gpu())

    examined = examined_with(backend, model, tmp_path)
    proofs = settle([examined], (ROW,))

    verdicts = {check.name: check.verdict for check in examined.checks}
    assert verdicts == {"networks": PASSED, "graph": NOT_RUN, "frames": PASSED, "LoRA": PASSED}, [
        check.said for check in examined.checks
    ]
    assert {each.computes_in for each in examined.networks} == {"bf16"}
    assert all(each.size_bytes and each.weight_bytes for each in examined.networks)
    assert proofs["tensorrt"].verdict == PASSED
    assert proof_of(tmp_path, backend, "cpu").ok

    other = next(each for each in VERSIONS if not each.startswith(version))
    found = proof_of(tmp_path, backend_of(other, Gpu()), "cpu")
    assert found.reason.startswith("since it was verified here, this has changed: tensorrt from")


def test_trt_sequence_fake_that_cannot_build_is_a_report_and_no_proof(
    model: LoadedModel, tmp_path: Path
) -> None:
    backend = backend_of("10.14", Gpu(highest_level=-1))

    examined = examined_with(backend, model, tmp_path)
    proofs = settle([examined], (ROW,))

    assert [check.verdict for check in examined.checks[1:]] == [NOT_RUN] * 3
    assert examined.checks[0].said.startswith("0 of 3 are as exact as they have to be")
    assert all(each.failure and each.snr_db is None for each in examined.networks)
    assert proofs["tensorrt"].said == "auto will not take tensorrt here: networks failed"
    assert not proof_of(tmp_path, backend, "cpu").ok
