from __future__ import annotations

from dataclasses import replace

from engines.probing import auto_of, probe
from engines.proof import write_proof
from engines.registry import BackendRow, backend

TORCH = BackendRow(
    name="torch",
    module="engines.backends.torch",
    factory="TorchBackend",
    auto_devices=("*",),
)
BROKEN = BackendRow(
    name="broken",
    module="package_that_is_not_there.backend",
    factory="Backend",
    auto_devices=("cpu",),
)


def test_a_backend_that_cannot_be_imported_does_not_run_and_names_the_package():
    broken, torch = probe("cpu", (BROKEN, TORCH))

    assert (broken.ok, torch.ok) == (False, True)
    assert "package_that_is_not_there" in broken.reason
    assert broken.hint == "pip install package_that_is_not_there"
    assert (torch.reason, torch.hint) == ("", "")


def test_precisions_come_with_the_one_that_auto_means_first():
    [torch] = probe("cpu", (TORCH,))

    assert torch.precisions == ("fp32", "bf16")
    assert set(torch.versions) == {"torch"}


def test_auto_takes_the_first_that_runs_and_may_be_taken():
    assert auto_of(probe("cpu", (BROKEN, TORCH))) == "torch"
    assert auto_of(probe("cpu", (BROKEN,))) is None
    by_name_only = BackendRow(
        name="torch", module=TORCH.module, factory=TORCH.factory, auto_devices=("cuda",)
    )
    assert auto_of(probe("cpu", (by_name_only,))) is None


def test_a_device_that_is_not_here_is_an_answer_and_not_an_error():
    [torch] = probe("cuda:99", (TORCH,))

    assert not torch.ok
    assert torch.reason and torch.hint and torch.precisions == ()


def test_what_has_no_proof_runs_and_is_not_what_auto_takes(tmp_path):
    careful = replace(TORCH, needs_proof=True)

    [without] = probe("cpu", (careful,), root=tmp_path)
    write_proof(tmp_path, backend("torch", table=(careful,)), "cpu")
    [proven] = probe("cpu", (careful,), root=tmp_path)

    assert (without.ok, without.auto, without.proof.ok) == (True, False, False)
    assert without.proof.hint == "streamgen engines verify --backend torch --report"
    assert (proven.ok, proven.auto, proven.proof.ok) == (True, True, True)
    assert auto_of([without]) is None
    assert auto_of([proven]) == "torch"


def test_only_where_auto_could_take_it_a_proof_is_asked_for(tmp_path):
    elsewhere = replace(TORCH, auto_devices=("cuda",), needs_proof=True)

    [probed] = probe("cpu", (elsewhere,), root=tmp_path)

    assert (probed.ok, probed.auto, probed.proof) == (True, False, None)
