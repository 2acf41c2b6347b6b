"""The UNet with memory against the plain one, and against itself on OpenVINO."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from engines import registry
from engines.binding import torch_dtype
from engines.protocol import Artifact
from engines.verify import compare, sample_inputs
from streamgen.errors import ConfigError
from streamgen.models.architectures import make
from streamgen.models.extensions import MemoryLayer, memory_layers, with_memory
from streamgen.models.memory_attention import MemoryDenoiser
from streamgen.models.networks import denoiser_of
from streamgen.models.specs import further_inputs, unet_spec

BATCH, SLOTS = 2, 3
SCALE = 0.05


def small_unet(**further):
    """A UNet with self-attentions on one level; further: of its config."""
    torch.manual_seed(0)
    return UNet2DConditionModel(
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        norm_num_groups=4,
        cross_attention_dim=12,
        **further,
    )


class Case:
    """A small UNet, plain and with memory, and inputs for both."""

    def __init__(self, unet, latent=(8, 8)):
        torch.manual_seed(0)
        self.config = unet.config
        unet.eval().requires_grad_(False)
        self.unet = unet
        self.names = further_inputs(self.config)
        plain = unet_spec(self.config, BATCH, latent=latent, precision="fp32")
        self.layers = memory_layers(self.config, latent)
        self.spec = with_memory(plain, self.layers, slots=SLOTS, frames=1)
        self.network = MemoryDenoiser(unet, self.names, self.layers).eval()
        drawn = sample_inputs(plain, seed=1)
        empty = {
            each.name: torch.zeros(each.usual_shape, dtype=torch_dtype(each))
            for each in self.spec.inputs
        }
        self.inputs = {**empty, **drawn, "memory_slot": torch.tensor([2, 0])}
        self.plain = denoiser_of(unet, self.names)(*drawn.values())

    def run(self, **changed):
        made = self.network(*{**self.inputs, **changed}.values())
        return dict(zip((each.name for each in self.spec.outputs), made, strict=True))

    def fill(self, made, *, row):
        """Write what a row was like into its slot."""
        slot = self.inputs["memory_slot"][row]
        self.inputs["memory_mask"][slot] = True
        for name, each in made.items():
            if name.startswith("new_"):
                self.inputs[name.replace("new", "memory")][slot, 0] = each[row]


@pytest.fixture
def case():
    return Case(make("sd15-unet", scale=SCALE))


def numbers(value):
    return torch.full((BATCH,), float(value))


def apart(a, b):
    """Return the largest difference of each row."""
    return (a - b).abs().amax(dim=(1, 2, 3))


@pytest.mark.parametrize("name", ["sd15-unet", "sdxl-turbo-unet"])
def test_with_an_empty_memory_it_is_the_plain_network(name):
    case = Case(make(name, scale=SCALE))
    for part in case.inputs:
        if part.startswith(("memory_k", "memory_v", "memory_o")):
            case.inputs[part].normal_()  # what is not filled counts nothing
    made = case.run(bank_strength=numbers(1), bank_fusion=numbers(1))
    torch.testing.assert_close(made["answer"], case.plain, atol=2e-5, rtol=1e-4)


def test_at_strength_0_it_is_the_plain_network_whatever_it_remembers(case):
    case.fill({name: each * 3 for name, each in case.run().items()}, row=0)
    made = case.run()
    torch.testing.assert_close(made["answer"], case.plain, atol=2e-5, rtol=1e-4)


def test_the_same_frame_beside_itself_changes_nothing_at_any_strength(case):
    case.fill(case.run(), row=0)
    for strength in (0.3, 1.0):
        made = case.run(bank_strength=numbers(strength), bank_fusion=numbers(1))
        torch.testing.assert_close(made["answer"], case.plain, atol=2e-5, rtol=1e-4)


def test_a_row_looks_at_its_own_slot_the_more_the_stronger(case):
    other = case.run(x=torch.randn(case.inputs["x"].shape))
    case.fill(other, row=0)
    weak, strong = (
        apart(case.run(bank_strength=numbers(s))["answer"], case.plain) for s in (0.05, 1.0)
    )
    assert 1e-6 < weak[0] < strong[0]
    assert strong[1] < 1e-5  # its slot is another one, and empty


def test_a_token_is_fused_with_the_likest_one_remembered(case):
    made = case.run()
    nearly = {name: each * 1.5 if "_o_" in name else each for name, each in made.items()}
    case.fill(nearly, row=0)
    half, whole = (
        apart(case.run(bank_fusion=numbers(f))["answer"], made["answer"]) for f in (0.5, 1)
    )
    assert 0 < half[0] < whole[0]
    for name, each in nearly.items():
        if "_o_" in name:
            each.normal_()
    case.fill(nearly, row=0)  # of no token the likeness is enough
    assert apart(case.run(bank_fusion=numbers(1))["answer"], made["answer"]).max() < 1e-5


def test_the_unet_it_is_made_of_stays_as_it_is_and_gives_it_its_weights(case):
    kinds = {type(each).__name__ for each in case.unet.attn_processors.values()}
    assert kinds == {"AttnProcessor2_0"}
    own, given = (dict(each.named_parameters()) for each in (case.network, case.unet))
    assert {each.data_ptr() for each in own.values()} == {e.data_ptr() for e in given.values()}


def test_openvino_computes_what_torch_computes(tmp_path):
    case = Case(small_unet())
    case.fill(case.run(x=torch.randn(case.inputs["x"].shape)), row=0)
    case.inputs |= {"bank_strength": numbers(0.7), "bank_fusion": numbers(0.5)}
    backend = registry.backend("openvino")
    backend.build(case.spec, case.network, tmp_path)
    compiled = backend.load(Artifact(spec=case.spec, folder=tmp_path), device="cpu")
    report = compare(compiled, case.network, inputs=case.inputs)
    assert min(output.snr_db for output in report.outputs) > 60


def test_any_slot_numbers_do_for_trying_it_out(case):
    inputs = sample_inputs(case.spec, seed=0)
    assert int(inputs["memory_slot"].max()) >= SLOTS
    made = case.network(*inputs.values())
    assert all(bool(torch.isfinite(each).all()) for each in made)


def test_a_unet_with_other_self_attentions_is_refused(case):
    layers = [MemoryLayer(tokens=4, width=7)] * 2
    with pytest.raises(ConfigError, match=r"has 16 self-attentions .* bank_fusion to 0"):
        MemoryDenoiser(case.unet, case.names, layers)
    crossed = small_unet(only_cross_attention=True, mid_block_only_cross_attention=True)
    with pytest.raises(ConfigError, match="set bank_strength and bank_fusion to 0"):
        MemoryDenoiser(crossed, (), memory_layers(crossed.config, (8, 8)))
