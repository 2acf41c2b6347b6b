"""What a proof holds to, and what ends it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines.errors import CacheUnusable
from engines.proof import (
    facts_of,
    proof_of,
    proof_path,
    withdraw_proof,
    write_proof,
)
from engines.protocol import Availability, BackendOptions

COMMAND = "streamgen engines verify --backend careful --report"


class CarefulBackend:
    """A backend that "auto" takes only with a proof."""

    name = "careful"
    batch_sizes = (1,)

    def __init__(self, options: BackendOptions, version: str = "10.14.1.48") -> None:
        self.versions = {"careful": version, "torch": "2.13.0"}

    def probe(self, device: str) -> Availability:
        return Availability(ok=True, versions=self.versions)

    def precisions(self, device: str) -> tuple[str, ...]:
        return ("fp32",)


@pytest.fixture
def careful() -> CarefulBackend:
    return CarefulBackend(BackendOptions())


def test_what_never_passed_has_no_proof_and_is_told_the_command(
    tmp_path: Path, careful: CarefulBackend
) -> None:
    found = proof_of(tmp_path, careful, "cpu")

    assert (found.ok, found.reason, found.hint) == (False, "never verified here", COMMAND)


def test_a_gpu_of_several_is_named_in_the_command(tmp_path: Path, careful: CarefulBackend) -> None:
    hint = proof_of(tmp_path, careful, "cpu:1").hint

    assert hint == "streamgen engines verify --backend careful --device cpu:1 --report"


def test_what_passed_has_one_until_it_is_taken_back(
    tmp_path: Path, careful: CarefulBackend
) -> None:
    path = write_proof(tmp_path, careful, "cpu", told={"ratios": {"tiny": 1.2}})

    assert path == proof_path(tmp_path, "careful") == tmp_path / "proofs" / "careful.json"
    found = proof_of(tmp_path, careful, "cpu")
    assert (found.ok, found.versions["careful"]) == (True, "10.14.1.48")
    assert json.loads(path.read_text())["proofs"]["cpu"]["told"] == {"ratios": {"tiny": 1.2}}

    assert withdraw_proof(tmp_path, careful, "cpu")
    assert not proof_of(tmp_path, careful, "cpu").ok
    assert not withdraw_proof(tmp_path, careful, "cpu")


def test_nothing_but_the_whole_file_is_left(tmp_path: Path, careful: CarefulBackend) -> None:
    for _ in range(2):
        write_proof(tmp_path, careful, "cpu")

    assert [each.name for each in (tmp_path / "proofs").iterdir()] == ["careful.json"]


def test_another_version_ends_it_and_is_named(tmp_path: Path, careful: CarefulBackend) -> None:
    write_proof(tmp_path, careful, "cpu")
    later = CarefulBackend(BackendOptions(), version="10.14.1.49")

    found = proof_of(tmp_path, later, "cpu")

    assert not found.ok and found.hint == COMMAND
    assert found.reason == (
        "since it was verified here, this has changed: careful from 10.14.1.48 to 10.14.1.49"
    )


@pytest.mark.parametrize(
    ("fact", "told"),
    [
        ("driver", "driver from 570 to none"),
        ("torch", "torch from 570 to 2.13.0"),
        ("code", "the code that builds and runs its networks"),
    ],
)
def test_whatever_else_differs_ends_it_too(
    tmp_path: Path, careful: CarefulBackend, fact: str, told: str
) -> None:
    path = write_proof(tmp_path, careful, "cpu")
    kept = json.loads(path.read_text())
    kept["proofs"]["cpu"]["facts"][fact] = "570"
    path.write_text(json.dumps(kept))

    assert proof_of(tmp_path, careful, "cpu").reason.endswith(f"has changed: {told}")


def test_it_is_of_one_device_and_leaves_those_of_others(
    tmp_path: Path, careful: CarefulBackend
) -> None:
    write_proof(tmp_path, careful, "cpu")
    write_proof(tmp_path, careful, "xpu")
    withdraw_proof(tmp_path, careful, "xpu")

    assert proof_of(tmp_path, careful, "cpu").ok
    assert not proof_of(tmp_path, careful, "xpu").ok


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"schema": 0, "proofs": {"cpu": {"facts": {}}}}',
        '{"schema": 1, "proofs": []}',
        '{"schema": 1, "proofs": {"cpu": {"facts": 3}}}',
        '{"schema": 1, "proofs": {"cpu": []}}',
    ],
)
def test_a_file_that_says_nothing_is_no_proof(
    tmp_path: Path, careful: CarefulBackend, text: str
) -> None:
    path = proof_path(tmp_path, "careful")
    path.parent.mkdir()
    path.write_text(text)

    assert proof_of(tmp_path, careful, "cpu").reason == "never verified here"
    write_proof(tmp_path, careful, "cpu")
    assert proof_of(tmp_path, careful, "cpu").ok


def test_a_folder_that_cannot_be_written_is_an_error_with_the_fix(
    tmp_path: Path, careful: CarefulBackend
) -> None:
    (tmp_path / "proofs").write_text("a file")

    with pytest.raises(CacheUnusable, match="set STREAMGEN_CACHE to a folder"):
        write_proof(tmp_path, careful, "cpu")


def test_it_is_about_versions_device_and_code(careful: CarefulBackend) -> None:
    facts = facts_of(careful, "cpu")

    assert set(facts) == {"device", "careful", "torch", "code"}
    assert facts["device"] == "cpu"
