"""Eight-bit integers for OpenVINO, by the post-training quantisation of NNCF."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stdout
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any  # neither OpenVINO nor NNCF ships types for its models

from engines.backends.openvino_library import root_logger_kept, without_telemetry
from engines.calibration import Calibration
from engines.errors import BuildError
from engines.protocol import Availability
from engines.spec import EngineSpec

HINT = "pip install 'streamgen[int8]', or use bf16"
_CONVOLUTIONS = ("Convolution", "GroupConvolution")


def int8_availability() -> Availability:
    """Tell whether NNCF is installed; imports nothing."""
    try:
        return Availability(ok=True, versions={"nncf": version("nncf")})
    except PackageNotFoundError:
        return Availability(ok=False, reason="nncf is not installed", hint=HINT)


def quantised(model: Any, spec: EngineSpec, calibration: Calibration) -> Any:
    """Return a copy of a model whose convolutions compute in int8, but for the first and the last.

    Those two see pixels and latents themselves, where a level of rounding is a level of error;
    they are a small part of the work.
    """
    samples = list(calibration.samples())
    if not samples:
        raise BuildError(f"{spec.role}: int8 needs samples to choose its ranges by, there are none")
    names = [tensor.name for tensor in spec.inputs]
    with without_telemetry(), root_logger_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that NNCF is made of
        try:
            nncf = import_module("nncf")
        except (ImportError, OSError) as error:
            raise BuildError(f"{spec.role}: int8: nncf cannot be used: {error}: {HINT}") from error
        # Not by its own set_log_level, which changes handlers that others may share.
        logging.getLogger("nncf").setLevel(logging.ERROR)
        items = nncf.Dataset(samples, lambda sample: {name: sample[name].numpy() for name in names})
        try:
            with redirect_stdout(io.StringIO()):  # NNCF draws bars of progress
                return nncf.quantize(
                    model,
                    items,
                    preset=nncf.QuantizationPreset.MIXED,
                    subset_size=len(samples),
                    ignored_scope=nncf.IgnoredScope(names=_ends(model)),
                )
        # NNCF raises types of its own and of OpenVINO's for what it cannot do
        except Exception as error:
            raise BuildError(f"{spec.role}: nncf cannot quantise it: {error}") from error


def _ends(model: Any) -> list[str]:
    """Return the names of the first and the last convolution."""
    found = [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() in _CONVOLUTIONS
    ]
    return sorted({*found[:1], *found[-1:]})
