from functools import cache

import pytest
import torch

from engines import registry
from engines.binding import torch_dtype
from engines.errors import ShapeOutOfProfile
from engines.export import exported
from streamgen.errors import ConfigError
from streamgen.models.architectures import config_of, make
from streamgen.models.loading import load_model
from streamgen.models.networks import PixelDecoder, PixelEncoder, denoiser_of
from streamgen.models.registry import find_model
from streamgen.models.sides import SizeRange, over, picture_sides
from streamgen.models.specs import further_inputs, spec_of, text_spec, unet_spec, vae_spec
from streamgen.models.text import tokens_of

UNETS = ("sd15-unet", "sd15-lcm-unet", "sd-turbo-unet", "sdxl-turbo-unet")
SMALL = 0.05
SIZES = SizeRange(least=(64, 64), usual=(128, 64), most=(192, 128))


def unet_at(name, size, *, batch=2, scale=SMALL):
    config = config_of(name, scale=scale)
    latent = tuple(over(side, 8) for side in picture_sides(size, unit=64))
    return unet_spec(config, batch, latent=latent, precision="fp32"), config


@cache
def small(name):
    return make(name, scale=SMALL)


def filled(spec, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        each.name: torch.randn(each.usual_shape, generator=generator).to(torch_dtype(each))
        for each in spec.inputs
    }


def run(compiled, inputs):
    binding = compiled.bind(inputs)
    binding.run()
    return binding.outputs


@pytest.mark.parametrize(
    ("name", "further"),
    [
        ("sd15-unet", {}),
        ("sd-turbo-unet", {}),
        ("sd15-lcm-unet", {"guidance": (2, 256)}),
        ("sdxl-turbo-unet", {"text_embeds": (2, 1280), "time_ids": (2, 6)}),
    ],
)
def test_a_published_unet_is_specified_by_its_config(name, further):
    spec, config = unet_at(name, (768, 512), scale=1)
    told = {each.name: each.shape for each in spec.inputs}
    width = config["cross_attention_dim"]
    plain = {"x": (2, 4, 64, 96), "t": (2,), "text": (2, 77, width)}
    assert told == {**plain, **further}
    assert further_inputs(config) == tuple(further)
    assert [str(each) for each in spec.outputs] == ["answer [2, 4, 64, 96] float32"]


@pytest.mark.parametrize("name", UNETS)
def test_a_unet_takes_what_its_specification_says(name):
    spec, config = unet_at(name, (64, 64))
    module = denoiser_of(small(name), further_inputs(config))
    compiled = registry.backend("torch").adopt(spec, module, device="cpu")
    inputs = filled(spec)
    answer = run(compiled, inputs)["answer"].clone()
    assert answer.isfinite().all() and answer.std() > 0

    for name in further_inputs(config):
        inputs[name].add_(1)
        assert not torch.equal(run(compiled, inputs)["answer"], answer)


@pytest.mark.parametrize("name", ["sd-turbo-unet", "sdxl-turbo-unet"])
def test_a_range_of_sizes_is_one_network(name):
    spec, config = unet_at(name, SIZES, batch=1)
    module = denoiser_of(small(name), further_inputs(config))
    compiled = registry.backend("torch").adopt(spec, module, device="cpu")
    for size in ((64, 64), (192, 128)):
        fixed, _ = unet_at(name, size, batch=1)
        assert run(compiled, filled(fixed))["answer"].shape == fixed.outputs[0].shape
    with pytest.raises(ShapeOutOfProfile, match="w 4 is outside"):
        compiled.bind(filled(unet_at(name, (256, 64), batch=1)[0]))


def test_further_inputs_come_through_an_export_with_a_range_of_sizes(xl_folder):
    model = load_model(find_model(str(xl_folder)))
    sizes = SizeRange(least=(64, 64), usual=(80, 64), most=(128, 96), step=16)
    spec = spec_of("unet", 1, model, size=sizes, precision="fp32")
    module = denoiser_of(model.unet, further_inputs(model.unet.config))
    program = exported(spec, module)

    largest = spec_of("unet", 1, model, size=(128, 96), precision="fp32")
    inputs = filled(largest)
    answer = program.module()(*inputs.values())[0]

    assert answer.shape == largest.outputs[0].shape
    assert torch.allclose(answer, module(*inputs.values()), atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), SIZES])
def test_the_small_autoencoder_is_specified_with_pixels_and_latents(size):
    vae = make("taesd", scale=0.2)
    sides = picture_sides(size, unit=8)
    encoder, decoder = (
        vae_spec(role, 1, config_of("taesd"), sides=sides, precision="fp32")
        for role in ("vae_encoder", "vae_decoder")
    )
    backend = registry.backend("torch")
    pixels = torch.zeros(encoder.inputs[0].usual_shape, dtype=torch.uint8)
    latent = run(backend.adopt(encoder, PixelEncoder(vae), device="cpu"), {"pixels": pixels})
    drawn = run(backend.adopt(decoder, PixelDecoder(vae), device="cpu"), dict(latent))
    assert drawn["pixels"].shape == pixels.shape == (1, 64, 128 if size is SIZES else 64, 3)


def test_a_size_that_the_network_cannot_take_is_named_with_its_multiples():
    sizes = SizeRange(least=(64, 64), usual=(64, 64), most=(96, 96), step=32)
    with pytest.raises(ConfigError, match="sizes 64 to 96, .*: this network takes multiples of 64"):
        picture_sides(sizes, unit=64)


@pytest.mark.parametrize(
    ("folder", "outputs"),
    [
        ("plain_folder", ["text [1, 32, 12] float32"]),
        ("xl_folder", ["text [1, 32, 28] float32", "text_embeds [1, 10] float32"]),
    ],
)
def test_the_text_encoders_are_one_network(request, folder, outputs):
    model = load_model(find_model(str(request.getfixturevalue(folder))))
    spec = text_spec(model, 1, precision="fp32")
    assert [str(each) for each in spec.outputs] == outputs

    compiled = registry.backend("torch").adopt(spec, model.reader, device="cpu")
    second = [model.second_text.tokenizer] if model.second_text else []
    tokens = tokens_of("a pencil sketch", [model.tokenizer, *second], model.text_tokens)
    names = [each.name for each in spec.inputs]
    made = run(compiled, dict(zip(names, tokens, strict=True)))

    wanted = model.text("a pencil sketch")
    assert torch.allclose(made["text"][0], wanted[:32], atol=1e-6)
    assert spec == spec_of("text_encoder", 1, model, size=(64, 64), precision="fp32")
