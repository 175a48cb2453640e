import numpy as np
import pytest
from sklearn.datasets import load_digits

from pinas_mm.datasets import Digits
from pinas_mm.errors import InputError

SIZES = dict(learning=1097, held_out=300, test=400)


INDEX = {image.astype(int).tobytes(): index for index, image in enumerate(load_digits().images)}


def samples(split, **kwargs):
    dataset = Digits(split, **kwargs)
    return [dataset[i] for i in range(len(dataset))]


def original_index(sample):
    """Which of scikit-learn's images it is: no two are equal."""
    return INDEX[np.rint(sample['img'][::4, ::4, 1] / 255 * 16).astype(int).tobytes()]


@pytest.mark.slow
def test_splits_are_disjoint_and_complete():
    assert len(INDEX) == 1797
    indices = {split: {original_index(sample) for sample in samples(split)} for split in SIZES}
    assert {split: len(found) for split, found in indices.items()} == SIZES
    assert set.union(*indices.values()) == set(range(1797)) and sum(SIZES.values()) == 1797


def test_the_seed_alone_fixes_a_split():
    def order(**kwargs):
        return [original_index(sample) for sample in samples('held_out', **kwargs)]

    assert order() == order(split_seed=0) != order(split_seed=1)


@pytest.mark.slow
def test_samples_are_the_digits_enlarged():
    digits = load_digits()
    for sample in samples('held_out'):
        index, image = original_index(sample), sample['img']
        assert (
            image.dtype == np.uint8
            and image.shape == (32, 32, 3)
            and sample['img_shape'] == (32, 32)
        )
        expected = np.kron(digits.images[index], np.ones((4, 4)))[..., None] * [1, 1, 1]
        np.testing.assert_allclose(image / 255 * 16, expected, atol=8 / 255 + 1e-9)
        assert sample['gt_label'] == digits.target[index]
    assert max(sample['img'].max() for sample in samples('held_out')) == 255
    assert Digits('test').metainfo['classes'] == tuple('0123456789')


def test_an_unknown_split_is_named():
    with pytest.raises(
        InputError, match="split='train', expected one of .*'learning', 'held_out', 'test'"
    ):
        Digits('train')


def test_copies_come_one_round_after_the_other():
    once, thrice = Digits('held_out'), Digits('held_out', copies=3)
    assert len(thrice) == 3 * len(once)
    for index in (0, 1, 299):
        for copy in range(3):
            found = thrice[index + copy * len(once)]
            assert np.array_equal(found['img'], once[index]['img'])
            assert found['gt_label'] == once[index]['gt_label']
            assert found['sample_idx'] == index + copy * len(once)
