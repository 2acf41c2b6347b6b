from __future__ import annotations

import pytest

from benchmarks.gpu.peak import find_peak, known_peak, peak_facts


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA GeForce RTX 4090", 165),
    ],
)
def test_a_known_gpu_is_found_by_its_name(name, tflops):
    flops, bytes_ = known_peak(name)

    assert flops == tflops * 1e12
    assert 1e11 < bytes_ < 1e13


def test_a_device_that_nobody_knows_is_measured():
    peak = find_peak("cpu", "fp32", name="Some GPU", side=32)

    assert peak.source == "measured"
    assert peak.flops == peak.measured_flops > 0
    assert peak.bytes == peak.measured_bytes > 0


def test_the_data_sheet_counts_for_the_precisions_that_it_speaks_of():
    assert find_peak("cpu", "bf16", name="NVIDIA H200", side=32).source == "data sheet"
    assert find_peak("cpu", "fp32", name="NVIDIA H200", side=32).source == "measured"


def test_both_are_told():
    facts = peak_facts(find_peak("cpu", "bf16", name="NVIDIA H200", side=32))

    assert (facts["tflops"], facts["gb_per_s"], facts["source"]) == (989, 4800, "data sheet")
    assert facts["measured_gb_per_s"] > 0
