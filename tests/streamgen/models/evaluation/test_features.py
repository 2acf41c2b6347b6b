import numpy as np
import pytest
import torch

from streamgen.models.evaluation.features import look_of, sharpness
from streamgen.training.styles import STYLES
from streamgen.training.styles.filters import blur


def picture(seed=0):
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(96, 96), mode="bicubic").clamp(0, 1)


def as_pixels(image):
    return (image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).contiguous().numpy()


def test_the_look_does_not_change_with_what_is_where():
    pixels = as_pixels(picture())
    turned = np.ascontiguousarray(pixels[::-1, ::-1])
    away = np.abs(look_of(pixels) - look_of(turned)).max()
    styled = as_pixels(STYLES[0].draw(picture()))
    assert away < 0.1 * np.abs(look_of(pixels) - look_of(styled)).max()


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_a_little_noise_does_not_move_a_style_to_another(style):
    image = picture(3)
    looks = {row.name: look_of(as_pixels(row.draw(image).clamp(0, 1))) for row in STYLES}
    unit = np.std(list(looks.values()), axis=0) + 1e-3
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    noisy = look_of(as_pixels((style.draw(image) + 0.01 * noise).clamp(0, 1)))
    away = {name: np.mean(((look - noisy) / unit) ** 2) for name, look in looks.items()}
    assert min(away, key=away.get) == style.name


def test_blur_takes_sharpness_and_an_even_picture_has_none():
    image = picture()
    assert sharpness(as_pixels(blur(image, 3.0))) < 0.9 * sharpness(as_pixels(image))
    assert sharpness(np.full((32, 32, 3), 90, np.uint8)) == 0
