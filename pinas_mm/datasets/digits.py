"""Real images that ship in a package: scikit-learn's handwritten digits, for the quick start and
the tests."""

from typing import Any, Literal

import numpy as np
from mmengine.dataset import BaseDataset
from sklearn.datasets import load_digits

from ..errors import InputError
from ..registry import DATASETS
from ..schema import Count, Seed

Split = Literal['learning', 'held_out', 'test']
SIZES: dict[Split, int] = dict(learning=1097, held_out=300, test=400)


@DATASETS.register_module()
class Digits(BaseDataset):
    """1,797 handwritten digits (UCI, Alpaydin and Kaynak, 1998) as 32x32 RGB images, split once by
    seed.

    Each sample has ``img``, uint8 ``(32, 32, 3)``, and ``gt_label``, 0 to 9.

    Args:
        split: ``'learning'`` (1,097 images), ``'held_out'`` (300, for search scores) or ``'test'``
            (400).
        split_seed: Seed of the split.
        copies: How often each image stands in the set, one round after the other: for transforms
            that change each by its index, such as :class:`~.digit_clutter.DigitClutter`.
        kwargs: As in mmengine's ``BaseDataset``.
    """

    METAINFO = dict(classes=tuple('0123456789'))

    def __init__(
        self, split: Split = 'learning', split_seed: Seed = 0, copies: Count = 1, **kwargs: Any
    ) -> None:
        if split not in SIZES:
            raise InputError(f'Digits: split={split!r}, expected one of {list(SIZES)}')
        self.split = split
        self.split_seed = split_seed
        self.copies = copies
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        digits = load_digits()
        order = np.random.default_rng(self.split_seed).permutation(len(digits.target))
        ends = dict(zip(SIZES, np.cumsum(list(SIZES.values()))))
        indices = order[ends[self.split] - SIZES[self.split] : ends[self.split]]
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        images = images.repeat(4, axis=1).repeat(4, axis=2)[..., None].repeat(3, axis=3)
        return [
            dict(img=images[i], img_shape=images[i].shape[:2], gt_label=int(digits.target[i]))
            for i in np.tile(indices, self.copies)
        ]
