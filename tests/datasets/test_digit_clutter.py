import numpy as np
import pytest
from mmengine.registry import DATASETS
from numpy.lib.stride_tricks import sliding_window_view

from pinas_mm.datasets import DigitClutter, Digits
from pinas_mm.errors import InputError

BLACK = np.zeros((32, 32, 3), np.uint8)


def cluttered(image, index=0, **kwargs):
    return DigitClutter(**kwargs)(dict(img=image.copy(), sample_idx=index))['img']


def places(image, piece):
    """Where an image holds a piece: at each place of (P, 2) its pixels are no darker."""
    windows = sliding_window_view(image, piece.shape)
    return np.argwhere((windows >= piece).all(axis=(-2, -1)))


def test_the_digit_stands_as_it_was_scanned_at_any_place():
    sample, clutter = Digits('held_out')[3], DigitClutter(pieces=0, fixed=True)
    small = sample['img'][::4, ::4, 0]
    assert np.array_equal(np.kron(small, np.ones((4, 4))), sample['img'][..., 0])
    found = []
    for index in range(400):
        image = clutter(dict(img=sample['img'].copy(), sample_idx=index))['img']
        assert image.dtype == np.uint8 and image.shape == (16, 16, 3)
        assert (image == image[..., :1]).all() and image.sum() == 3 * small.sum(dtype=int)
        ((top, left),) = places(image[..., 0], small)
        found.append((top, left))
    # Uniform over 0 to 8: 4 in the mean, within five standard errors of 2.6 / 400 ** 0.5.
    assert np.ptp(found, axis=0).tolist() == [8, 8]
    assert (abs(np.mean(found, axis=0) - 4) < 0.65).all()


@pytest.mark.parametrize('split', ['learning', 'test'])
def test_a_piece_is_cut_from_a_digit_of_the_learning_split(split):
    digits = Digits(split)
    small = np.stack([digits[i]['img'][::4, ::4, 0] for i in range(len(digits))])
    windows = sliding_window_view(small, (3, 3), axis=(1, 2)).reshape(-1, 9)
    known = {window.tobytes() for window in windows if window.astype(bool).sum() > 6}
    pieces = []
    for index in range(40):
        image = cluttered(BLACK, index, pieces=1, fixed=True)[..., 0]
        rows, columns = np.nonzero(image)
        if len(rows) > 6 and np.ptp(rows) == np.ptp(columns) == 2:
            piece = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            pieces.append(piece.tobytes() in known)
    assert len(pieces) > 5 and all(pieces) == (split == 'learning')


def test_pieces_hide_nothing():
    sample = Digits('held_out')[3]
    alone = cluttered(sample['img'], pieces=0, fixed=True)
    image = cluttered(sample['img'], pieces=4, fixed=True)
    assert (image >= alone).all() and 0 < np.count_nonzero((image > alone)[..., 0]) <= 4 * 9


def test_each_reading_draws_from_the_global_generator():
    image = Digits('learning')[0]['img']
    np.random.seed(1)
    first, second = cluttered(image), cluttered(image)
    np.random.seed(1)
    assert np.array_equal(cluttered(image), first) and not np.array_equal(first, second)


def test_fixed_clutter_does_not_depend_on_order_or_seed_and_differs_between_copies():
    def images(order, seed):
        np.random.seed(seed)
        dataset = DATASETS.build(
            dict(
                type='pinas_mm.Digits',
                split='held_out',
                copies=2,
                pipeline=[dict(type='pinas_mm.DigitClutter', fixed=True)],
            )
        )
        state = np.random.get_state()[1].copy()
        found = {index: dataset[index]['img'] for index in order}
        assert np.array_equal(np.random.get_state()[1], state), 'it draws nothing'
        return np.stack([found[index] for index in sorted(found)])

    indices = [0, 1, 2, 300, 301, 302]
    first = images(indices, 0)
    assert np.array_equal(first, images(reversed(indices), 1))
    assert (first[:3] != first[3:]).any(axis=(1, 2, 3)).all()


def test_a_negative_number_of_pieces_is_named():
    with pytest.raises(InputError, match=r'DigitClutter.*pieces=-1'):
        DigitClutter(pieces=-1)
