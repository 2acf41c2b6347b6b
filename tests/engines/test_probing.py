from __future__ import annotations

from engines.probing import auto_of, probe
from engines.registry import BackendRow

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
