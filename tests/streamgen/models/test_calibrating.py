"""What the denoiser is calibrated on, with the built-in model at a small size."""

from __future__ import annotations

from dataclasses import replace

import fake_tensorrt
import onnxruntime as ort
import pytest
import torch

from engines.backends.tensorrt import TensorRtBackend
from engines.backends.tensorrt_quantised import write_quantised
from engines.cache import EngineCache
from engines.protocol import BackendOptions
from engines.registry import Choice
from engines.verify import sample_inputs, snr_db
from streamgen.config import StreamConfig
from streamgen.models.calibrating import ROWS, Calibrating, quantised_roles, real_rows
from streamgen.models.engines import Engines
from streamgen.models.loading import load_model
from streamgen.models.networks import PixelEncoder, denoiser_of
from streamgen.models.registry import find_model
from streamgen.models.specs import further_inputs, spec_of

SIZE = (64, 64)


@pytest.fixture(scope="module")
def tiny():
    return load_model(find_model("tiny"))


@pytest.fixture(scope="module")
def encoder(tiny):
    return PixelEncoder(tiny.vae)


def spec(tiny, batch=1, *, role="unet", size=SIZE, precision="fp8"):
    return spec_of(role, batch, tiny, size=size, precision=precision)


def test_fp8_is_for_the_denoiser_and_int8_for_the_autoencoder():
    assert quantised_roles("fp8") == ("unet",)
    assert quantised_roles("int8") == ("vae_encoder", "vae_decoder")
    assert quantised_roles("bf16") == quantised_roles("auto") == ()


def test_rows_are_frames_at_the_levels_of_the_models_own_controls(tiny, encoder):
    rows = real_rows(tiny, encoder, SIZE)
    assert len(rows) == ROWS
    # Strength 0.8 in one step, and in four: timesteps of a grid of 50.
    own = tiny.schedule.level(10).t
    assert {row["t"].item() for row in rows} > {own}
    assert max(row["t"].item() for row in rows) == own
    assert all(torch.isfinite(value).all() for row in rows for value in row.values())
    level = next(row for row in rows if row["t"] == own)
    assert level["x"].shape == level["source"].shape == (16, 8, 8)
    assert 0.5 < level["x"].std() < 2


def test_samples_fit_the_specification_in_batches_of_its_size(tiny, encoder):
    made = Calibrating(tiny, {"vae_encoder": encoder}).terms_of(spec(tiny, 3))
    samples = made["calibration"].samples()
    assert len(samples) == ROWS // 3
    for sample in samples:
        for tensor in spec(tiny, 3).inputs:
            assert sample[tensor.name].shape == tensor.shape
            assert sample[tensor.name].dtype == torch.float32
            assert sample[tensor.name].is_contiguous()


def test_the_same_network_is_given_the_same_samples(tiny, encoder):
    first, again = (real_rows(tiny, encoder, SIZE) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_changes_the_samples_changes_the_fingerprint(tiny, encoder):
    calibrating = Calibrating(tiny, {"vae_encoder": encoder})

    def fingerprint(*, by=calibrating, **changes):
        return by.terms_of(spec(tiny, **changes))["calibration"].fingerprint

    other = PixelEncoder(load_model(find_model("tiny")).vae)
    with torch.no_grad():
        next(other.parameters()).mul_(1.01)
    row = replace(tiny.row, controls={**tiny.row.controls, "strength": 0.5})
    found = [
        fingerprint(),
        fingerprint(batch=2),
        fingerprint(size=(128, 64)),
        fingerprint(by=Calibrating(tiny, {"vae_encoder": other})),
        fingerprint(by=Calibrating(replace(tiny, row=row), {"vae_encoder": encoder})),
    ]
    assert len(set(found)) == len(found)
    assert fingerprint() == found[0]


def test_other_networks_are_held_to_what_they_were(tiny, encoder):
    calibrating = Calibrating(tiny, {"vae_encoder": encoder})
    plain = calibrating.terms_of(spec(tiny, precision="bf16"))
    assert plain["calibration"] is None and plain["limits"].min_snr_db == 20
    int8 = calibrating.terms_of(spec(tiny, role="vae_encoder", precision="int8"))
    assert int8["calibration"] is not None and int8["limits"].min_snr_db == 5
    assert calibrating.terms_of(spec(tiny))["limits"].min_snr_db == 22


def test_trt_sequence_fake_computes_the_denoiser_alone_in_fp8(tiny, tmp_path):
    pytest.importorskip("modelopt", reason="modelopt is not installed: see streamgen[quant]")
    backend = TensorRtBackend(BackendOptions(), lambda: fake_tensorrt.library("10.14"))
    config = StreamConfig(model="tiny", width=64, height=64, precision="fp8")
    choice = Choice(backend=backend, device="cpu")
    engines = Engines(tiny, config, choice=choice, cache=EngineCache(tmp_path))
    assert engines.precision_of("unet") == "fp8"
    assert engines.precision_of("vae_encoder") == engines.precision_of("vae_decoder") == "bf16"
    # It would take the whole bank for every sample.
    assert engines.bank.spec(1).precision == "bf16"
    assert engines.described_precision == "fp8 denoiser, bf16"
    assert not engines.is_quantised  # there is no gate for it


@pytest.mark.slow
def test_the_built_in_denoiser_in_fp8_is_as_near_to_fp32_as_its_limit_says(tiny, encoder, tmp_path):
    pytest.importorskip("modelopt", reason="modelopt is not installed: see streamgen[quant]")
    wanted = spec(tiny)
    terms = Calibrating(tiny, {"vae_encoder": encoder}).terms_of(wanted)
    module = denoiser_of(tiny.unet, further_inputs(tiny.unet.config)).eval()
    path = tmp_path / "model.onnx"
    write_quantised(wanted, module, path, calibration=terms["calibration"], floats="fp32")
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # it fuses no fp8
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def decibels(sample):
        given = {name: value.numpy() for name, value in sample.items()}
        with torch.inference_mode():
            return snr_db(torch.from_numpy(session.run(None, given)[0]), module(*sample.values()))

    noise = [decibels(sample_inputs(wanted, seed=seed)) for seed in range(3)]
    frames = [decibels(sample) for sample in terms["calibration"].samples()[::8]]
    assert min(noise) > terms["limits"].min_snr_db + 8
    assert min(frames) > 45
