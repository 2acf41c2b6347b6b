"""A test double of NVIDIA's `tensorrt`: it proves a sequence of calls, and nothing about TensorRT.

`load` gives an object that stands for the imported module, with what the documentation of that
version has and a backend may sensibly call; anything else is an AttributeError. Numbers come from
ONNX Runtime, on the CPU tensors that stand for the GPU's. A call that the real one refuses is
refused as it does it: False or None, and a line in the log. Where the real one has undefined
behaviour (freed memory, races) the double raises `Undefined`.

The surface is that of python/src of NVIDIA/TensorRT at 10.14 (3b4ddc1d) and 11.1 (82d1dca8).
"""

from fake_tensorrt.arguments import Undefined
from fake_tensorrt.as_library import library
from fake_tensorrt.gpu import Gpu
from fake_tensorrt.module import VERSIONS, load

__all__ = ["VERSIONS", "Gpu", "Undefined", "library", "load"]
