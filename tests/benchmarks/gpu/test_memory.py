from __future__ import annotations

from benchmarks.gpu.memory import SAMPLES, Held, held, stability_facts, watched


def look(allocated: int, allocations: int) -> Held:
    return Held(allocated=allocated, reserved=2 * allocated, device=None, allocations=allocations)


def test_frames_are_run_in_parts_with_a_look_around_each():
    parts = []

    looks = watched(47, run=parts.append, device="cpu")

    assert sum(parts) == 47
    assert len(parts) == SAMPLES and len(looks) == SAMPLES + 1
    assert max(parts) - min(parts) <= 1


def test_fewer_frames_than_looks_are_run_one_by_one():
    parts = []

    watched(3, run=parts.append, device="cpu")

    assert parts == [1, 1, 1]


def test_growth_counts_from_the_end_of_the_first_part():
    facts = stability_facts([look(0, 0), look(100, 50), look(100, 70), look(130, 90)], 30)

    assert facts["allocated_growth_bytes"] == 30
    assert facts["reserved_growth_bytes"] == 60
    assert facts["allocations_per_frame"] == 2.0
    assert facts["device_growth_bytes"] is None
    assert len(facts["allocated_mib"]) == 4


def test_a_cpu_tells_what_the_process_holds():
    found = held("cpu")

    assert found.allocated == found.reserved >= 0
    assert found.device is None and found.allocations is None
    assert stability_facts([found, found, found], 2)["allocations_per_frame"] is None
