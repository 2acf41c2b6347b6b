"""The double as the backend of `engines` takes it: in place of the installed library."""

from __future__ import annotations

import torch

from engines.backends.tensorrt_library import Gpu, Library
from fake_tensorrt.gpu import Gpu as PretendGpu
from fake_tensorrt.module import load

#: A stream's handle; 0 would be CUDA's default one.
STREAM = 7


def library(
    version: str, *, gpu: PretendGpu | None = None, newest_opset: int | None = None
) -> Library:
    """Return a library whose device is the CPU and whose GPU is a pretended one."""
    device = gpu or PretendGpu()
    trt = load(version, gpu=device, newest_opset=newest_opset)
    versions = {"tensorrt": trt.__version__, "torch": str(torch.__version__)}
    major, minor = (int(part) for part in device.capability.split("."))
    told = Gpu(name=device.name, capability=(major, minor), processors=1)
    return Library(
        trt,
        versions,
        device="cpu",
        stream=lambda _: STREAM,
        synchronize=lambda _: device.synchronize(),
        gpu=lambda _: told,
    )
