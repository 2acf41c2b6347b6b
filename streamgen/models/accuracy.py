"""How exact a compiled network of a frame has to be."""

from __future__ import annotations

from engines.spec import FP8, INT8, EngineSpec
from engines.verify import Limits

#: Of what is kept in these dtypes, where a rounding may go either way. Measured, with OpenVINO:
#: 54 dB of int8 and 74 dB of float16 with modules for `tiny`, 56 dB with small random ones.
_KEPT_DB = {"int8": 25.0, "float16": 45.0}


def limits_of(spec: EngineSpec) -> Limits:
    """Return how far a new build may be from the module in fp32.

    `tiny` with OpenVINO, the worst of a few sizes, seeds and timesteps: fp32 75 dB, 78 dB of the
    pixels; bf16 32 dB, 40 dB of the pixels. Where a level is off everywhere, that is 42 dB.
    Its denoiser in fp8 beside bf16, by ONNX Runtime: 37 dB, 47 dB of what frames give it; where
    the layers of its timestep are in fp8 as well, which are to be left: 20 dB.
    """
    of_pixels = spec.role == "vae_decoder"
    if spec.precision == INT8:
        return Limits(min_snr_db=5.0)  # of noise; of pictures there is `quantised.Gate`
    if spec.precision == FP8:
        return Limits(min_snr_db=22.0)
    if spec.precision == "fp32":
        kept = {tensor.dtype_name for tensor in spec.outputs[1:]}
        inner_db = next((_KEPT_DB[dtype] for dtype in _KEPT_DB if dtype in kept), None)
        return Limits(min_snr_db=40.0 if of_pixels else 60.0, inner_snr_db=inner_db)
    # What a network remembers lies deep in it. Of noise, little is left there but rounding: `tiny`
    # has 1 to 40 dB, and 20 dB and more on pictures. So here only its size counts; the answer is
    # made of it, and held to its own limit.
    remembers = any(tensor.name in ("memory_slot", "motion_slot") for tensor in spec.inputs)
    inner_db = -10.0 if remembers else None
    return Limits(min_snr_db=25.0 if of_pixels else 20.0, inner_snr_db=inner_db)
