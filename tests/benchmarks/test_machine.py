from __future__ import annotations

import json
import os
import platform
import subprocess

import pytest

from benchmarks.machine import (
    Load,
    commit_facts,
    load_facts,
    machine_facts,
    others_share,
    read_load,
    versions,
)


def test_our_own_work_does_not_count_as_that_of_others():
    before = Load(total_s=100, used_s=40, own_s=10)
    alone = Load(total_s=120, used_s=50, own_s=20)
    beside = Load(total_s=120, used_s=55, own_s=20)

    assert alone.others_since(before) == 0
    assert beside.others_since(before) == pytest.approx(0.25)


def test_no_time_between_two_looks_is_no_load():
    load = Load(total_s=100, used_s=40, own_s=10)

    assert load.others_since(load) == 0


@pytest.mark.parametrize(
    ("before", "during", "is_busy"),
    [(0.01, 0.02, False), (0.5, 0.0, True), (0.0, 0.5, True), (None, None, None)],
)
def test_a_machine_is_busy_if_others_used_it_before_or_during(before, during, is_busy):
    assert load_facts(before, during)["busy"] is is_busy


def test_a_share_lies_between_nothing_and_all():
    share = others_share(read_load())

    assert share is None or 0 <= share <= 1


def test_the_facts_are_plain_data_without_host_name_and_paths():
    facts = machine_facts("cpu")
    text = json.dumps([facts, versions()], allow_nan=False)

    assert facts["cores"] >= 1
    assert facts["gpu"] is None
    assert platform.node() not in text
    assert os.getcwd() not in text


def test_versions_name_all_that_takes_part():
    assert {"streamgen", "torch", "openvino", "diffusers", "av", "numpy", "commit", "dirty"} == set(
        versions()
    )


def test_outside_a_checkout_there_is_no_commit(tmp_path):
    assert commit_facts(tmp_path) == {"commit": None, "dirty": None}


def test_a_changed_file_makes_a_checkout_dirty_and_a_new_result_does_not(tmp_path):
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True)

    (tmp_path / "code.py").write_text("1\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "Begin")
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "benchmarks" / "results" / "new.json").write_text("{}")
    clean = commit_facts(tmp_path)
    (tmp_path / "code.py").write_text("2\n")

    assert len(str(clean["commit"])) == 40
    assert clean["dirty"] is False
    assert commit_facts(tmp_path)["dirty"] is True
