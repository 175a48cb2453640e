import numpy as np
import pytest
from mmengine.registry import DATASETS

from pinas_mm.datasets import GaussianNoise
from pinas_mm.errors import InputError

GREY = np.full((200, 200, 3), 128, np.uint8)


def noisy(image, **kwargs):
    return GaussianNoise(**kwargs)(dict(img=image.copy()))['img']


@pytest.mark.parametrize('fixed', [False, True])
def test_the_noise_has_its_deviation_at_each_pixel_and_is_grey(fixed):
    np.random.seed(0)
    image = noisy(GREY, std=20, fixed=fixed)
    assert image.dtype == np.uint8 and image.shape == GREY.shape
    assert (image == image[..., :1]).all()
    noise = image[..., 0].astype(float) - 128
    # 40,000 draws: within five standard errors of the mean (0.1) and of the deviation (0.07).
    assert abs(noise.mean()) < 0.5 and abs(noise.std() - 20) < 0.35
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 10  # 5 * 400 / 200
    assert np.array_equal(noisy(GREY, std=0, fixed=fixed), GREY)
    cut = noisy(GREY, std=500, fixed=fixed)
    assert cut.min() == 0 and cut.max() == 255


@pytest.mark.parametrize('fixed', [False, True])
def test_a_grey_image_keeps_its_shape(fixed):
    image = np.full((32, 48), 128, np.uint8)
    found = noisy(image, std=20, fixed=fixed)
    assert found.shape == image.shape and (found != image).mean() > 0.9


def test_each_reading_draws_from_the_global_generator():
    np.random.seed(1)
    first, second = noisy(GREY, std=20), noisy(GREY, std=20)
    np.random.seed(1)
    assert np.array_equal(noisy(GREY, std=20), first) and not np.array_equal(first, second)


def test_fixed_noise_is_a_function_of_the_image_and_draws_nothing():
    other = GREY.copy()
    other[0, 0] += 1
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    first = noisy(GREY, std=20, fixed=True)
    assert np.array_equal(noisy(GREY, std=20, fixed=True), first)
    assert (noisy(other, std=20, fixed=True) != first).any(axis=-1).mean() > 0.9
    assert np.array_equal(np.random.get_state()[1], state)


def test_fixed_noise_of_a_digit_does_not_depend_on_order_or_seed():
    def images(order, seed):
        np.random.seed(seed)
        noise = dict(type='pinas_mm.GaussianNoise', std=100, fixed=True)
        dataset = DATASETS.build(dict(type='pinas_mm.Digits', split='held_out', pipeline=[noise]))
        found = {index: dataset[index]['img'] for index in order}
        return np.stack([found[index] for index in sorted(found)])

    assert np.array_equal(images(range(5), 0), images(reversed(range(5)), 1))


def test_a_negative_deviation_is_named():
    with pytest.raises(InputError, match=r'GaussianNoise.*std=-1'):
        GaussianNoise(std=-1)
