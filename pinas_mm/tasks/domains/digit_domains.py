"""Digits that look different, in class-name folders: small domains to adapt between."""

import os
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from ...datasets.digits import Digits, Split
from ...errors import InputError

Look = Literal['grey', 'inverted', 'coloured', 'noisy']
LOOKS: tuple[Look, ...] = ('grey', 'inverted', 'coloured', 'noisy')


def write_digit_domain(
    folder: str | os.PathLike,
    look: Look,
    split: Split = 'learning',
    num_images: int | None = None,
    seed: int = 0,
    noise: float = 60,
) -> None:
    """Writes ``folder/<digit>/<index>.png``, 32x32: the layout of Office-31's and Office-Home's
    domains.

    Args:
        folder: Where to.
        look: ``'grey'``, bright digits on black as they are; ``'inverted'``; ``'coloured'``, a
            digit and a background of two random colours, either of which may be the brighter; or
            ``'noisy'``, with Gaussian noise.
        split: Which of :class:`Digits`' splits.
        num_images: So many of its first images. Defaults to all.
        seed: With an image's index, it fixes colours and noise.
        noise: Standard deviation of the noise, of 255. By default one that is easily read.

    Raises:
        InputError: An unknown look, or see :class:`Digits`.
    """
    if look not in LOOKS:
        raise InputError(f'write_digit_domain: look={look!r}, expected one of {list(LOOKS)}')
    dataset = Digits(split, serialize_data=False)
    for index in range(len(dataset) if num_images is None else num_images):
        sample = dataset.get_data_info(index)
        image = _changed(
            sample['img'], look, np.random.default_rng((seed, LOOKS.index(look), index)), noise
        )
        path = Path(folder) / str(sample['gt_label']) / f'{index:04d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), image):
            raise OSError(f'{path}: cannot be written')


def _changed(image: np.ndarray, look: Look, rng: np.random.Generator, noise: float) -> np.ndarray:
    """``image`` and the result are uint8 ``(32, 32, 3)``."""
    if look == 'inverted':
        return 255 - image
    if look == 'noisy':
        return np.rint(image + rng.normal(0, noise, image.shape)).clip(0, 255).astype(np.uint8)
    if look == 'coloured':
        while True:
            digit, background = rng.uniform(0, 255, (2, 3))
            if abs(digit - background).max() >= 100:  # or it could not be read
                break
        cover = image / 255
        return np.rint(cover * digit + (1 - cover) * background).astype(np.uint8)
    return image
