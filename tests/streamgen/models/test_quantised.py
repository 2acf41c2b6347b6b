import pytest

from engines.cache import EngineCache
from engines.errors import EngineError
from streamgen.config import StreamConfig
from streamgen.models.engines import load_engines
from streamgen.models.quantised import MEAN_DB, WORST_DB, Gate, real_frames

pytest.importorskip("nncf", reason="nncf is not installed: pip install 'streamgen[int8]'")


def test_tiny_in_int8_passes_the_gate_and_only_its_autoencoder_is_quantised(tmp_path):
    config = StreamConfig(model="tiny", width=192, height=192, precision="int8")
    cache = EngineCache(tmp_path)
    engines = load_engines(config, cache)
    assert engines.gate and engines.gate.mean_db >= MEAN_DB and engines.gate.worst_db >= WORST_DB
    assert engines.precision_of("vae_encoder") == engines.precision_of("vae_decoder") == "int8"
    assert engines.precision_of("unet") in ("bf16", "fp32")
    built = {entry.role for entry in cache.entries()}
    assert built == {"vae_encoder", "unet", "vae_decoder", "int8_gate"}


def test_a_worse_autoencoder_is_refused_with_its_figures():
    Gate(mean_db=36.0, worst_db=33.0).require()
    for gate in (Gate(mean_db=35.9, worst_db=34.0), Gate(mean_db=37.0, worst_db=32.0)):
        with pytest.raises(EngineError, match="use bf16") as caught:
            gate.require()
        assert f"{gate.mean_db:.1f} dB" in str(caught.value)


def test_frames_that_are_judged_by_take_no_part_in_the_calibration():
    calibrated, judged = real_frames(64, 48)
    assert calibrated[0].shape == judged[0].shape == (48, 64, 3)
    assert len(calibrated) == 3 * len(judged)
    assert not {one.tobytes() for one in calibrated} & {one.tobytes() for one in judged}


def test_int8_with_another_backend_is_refused(tmp_path):
    config = StreamConfig(model="tiny", width=64, height=64, precision="int8", backend="torch")
    with pytest.raises(EngineError, match="torch cannot do it: use openvino"):
        load_engines(config, EngineCache(tmp_path))
