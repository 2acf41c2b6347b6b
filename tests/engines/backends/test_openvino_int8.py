import pytest
import torch
from torch import nn

from engines.backends.openvino import OpenVinoBackend
from engines.backends.torch import TorchBackend
from engines.cache import EngineCache
from engines.calibration import Calibration
from engines.errors import BuildError, EngineError
from engines.protocol import BackendOptions
from engines.spec import EngineSpec, TensorSpec
from engines.store import NetworkStore
from engines.verify import snr_db

nncf = pytest.importorskip("nncf", reason="nncf is not installed: pip install 'streamgen[int8]'")

SPEC = EngineSpec(
    role="vae_encoder",
    inputs=(TensorSpec("x", (1, 8, 24, 24), "float32"),),
    outputs=(TensorSpec("y", (1, 8, 24, 24), "float32"),),
    precision="int8",
)


def network():
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()) for _ in range(3)]
    return nn.Sequential(*layers, nn.Conv2d(8, 8, 3, padding=1)).eval()


def samples(count=6, scale=1.0):
    generator = torch.Generator().manual_seed(1)
    return [{"x": scale * torch.randn(1, 8, 24, 24, generator=generator)} for _ in range(count)]


def calibration(count=6, scale=1.0):
    return Calibration(samples=lambda: samples(count, scale), fingerprint=f"{count} {scale}")


def store(root, backend=OpenVinoBackend):
    return NetworkStore(backend=backend(BackendOptions()), cache=EngineCache(root))


def types_in(root):
    [xml] = root.glob("engines/v1/vae_encoder/*/*/model.xml")
    return xml.read_text()


def test_the_inner_convolutions_are_quantised_and_near_to_fp32(tmp_path, capfd):
    module = network()
    compiled = store(tmp_path).compile(SPEC, module, calibration=calibration())
    given = samples(1)[0]
    binding = compiled.bind(given)
    binding.run()
    with torch.inference_mode():
        assert snr_db(binding.outputs["y"], module(given["x"])) > 20
    assert types_in(tmp_path).count('type="FakeQuantize"') == 2
    assert capfd.readouterr().out == ""


def test_the_same_calibration_is_found_again_and_another_is_not(tmp_path):
    asked = []

    def counted():
        asked.append(1)
        return samples()

    for fingerprint in ("a", "a", "b"):
        made = Calibration(samples=counted, fingerprint=fingerprint)
        store(tmp_path).compile(SPEC, network(), calibration=made)
    assert len(asked) == 2


def test_what_cannot_be_quantised_is_said(tmp_path):
    with pytest.raises(EngineError, match="needs a calibration"):
        store(tmp_path).compile(SPEC, network())
    with pytest.raises(BuildError, match="samples"):
        store(tmp_path).compile(SPEC, network(), calibration=calibration(0))
    with pytest.raises(EngineError, match="torch cannot do it: use openvino"):
        store(tmp_path, TorchBackend).compile(SPEC, network(), calibration=calibration())
