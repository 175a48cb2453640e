"""Scenes of several handwritten digits with exact boxes, masks and label maps, for the quick
start's detector and segmentor."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from ..errors import InputError
from .digits import SIZES, Digits
from .digits import Split as DigitsSplit

Split = Literal['train', 'val', 'test']

# Scenes of a split are made of this split of the digits alone, so that no digit of a test scene was
# learned from anywhere.
SOURCES: dict[Split, DigitsSplit] = dict(train='learning', val='held_out', test='test')
CLASSES = ('background', *'0123456789')
BACKGROUND = 0
# A digit that would leave less than this of an earlier one visible goes elsewhere.
LEAST_VISIBLE = 0.85
TRIES = 20


@dataclass(frozen=True)
class Scene:
    """One image and what is in it.

    Attributes:
        image: uint8 ``(H, W, 3)``, RGB.
        labels: Digits 0 to 9, ``(K, )``, from the back to the front.
        sources: Index of each digit in the dataset of its split, ``(K, )``.
        masks: What is visible of each digit, bool ``(K, H, W)``; disjoint.
    """

    image: np.ndarray
    labels: np.ndarray
    sources: np.ndarray
    masks: np.ndarray

    def boxes(self) -> np.ndarray:
        """The extents of the visible masks as ``(x, y, width, height)`` in whole pixels, int64
        ``(K, 4)``."""
        boxes = []
        for mask in self.masks:
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            boxes.append(
                (columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
            )
        return np.array(boxes, dtype=np.int64).reshape(-1, 4)

    def label_map(self) -> np.ndarray:
        """The class of every pixel, uint8 ``(H, W)``: 0 is background, digit d is d + 1."""
        label_map = np.full(self.masks.shape[1:], BACKGROUND, np.uint8)
        for mask, label in zip(self.masks, self.labels):
            label_map[mask] = label + 1
        return label_map


class DigitScenes:
    """Scene ``i`` of a split, a function of (seed, split, i) alone.

    A digit is 28 to 50 % of the image high, turned by up to 12 degrees, in a colour brighter than
    the background of soft blotches and noise; later digits may cover up to 15 % of earlier ones.

    Args:
        split: Which digits the scenes are made of: see ``SOURCES``.
        num_scenes: How many scenes.
        size: Height and width in pixels.
        seed: Seed of the composition (not of the split of the digits, which is ``Digits``' own).
        max_digits: A scene has 2 to this many digits; with more the image is full.

    Raises:
        InputError: An unknown split, or a size or number that cannot be.
    """

    def __init__(
        self, split: Split, num_scenes: int, size: int = 96, seed: int = 0, max_digits: int = 4
    ) -> None:
        if split not in SOURCES:
            raise InputError(f'DigitScenes: split={split!r}, expected one of {list(SOURCES)}')
        for name, value, least in (
            ('num_scenes', num_scenes, 1),
            ('size', size, 48),
            ('seed', seed, 0),
            ('max_digits', max_digits, 2),
        ):
            if value < least:
                raise InputError(f'DigitScenes: {name}={value}, expected at least {least}')
        self.split, self.num_scenes, self.size, self.seed, self.max_digits = (
            split,
            num_scenes,
            size,
            seed,
            max_digits,
        )
        digits = Digits(SOURCES[split])
        samples = [digits[index] for index in range(SIZES[SOURCES[split]])]
        # Digits repeats each of scikit-learn's 8x8 pixels 4 times.
        self.sources = np.stack([sample['img'][::4, ::4, 0] for sample in samples])
        self.labels = np.array([sample['gt_label'] for sample in samples])

    def __len__(self) -> int:
        return self.num_scenes

    def __getitem__(self, index: int) -> Scene:
        if not 0 <= index < self.num_scenes:
            raise IndexError(index)
        rng = np.random.default_rng((self.seed, list(SOURCES).index(self.split), index))
        image = self._background(rng)
        mean = image.mean(axis=(0, 1))
        masks: list[np.ndarray] = []
        whole: list[int] = []
        chosen: list[int] = []
        for source in rng.choice(
            len(self.sources), rng.integers(2, self.max_digits + 1), replace=False
        ):
            for _ in range(TRIES):
                cover = self._place(self.sources[source], rng)
                mask = cover >= 0.5
                left = [np.count_nonzero(other & ~mask) for other in masks]
                if all(count >= LEAST_VISIBLE * area for count, area in zip(left, whole)):
                    break
            else:
                continue
            masks = [other & ~mask for other in masks] + [mask]
            whole.append(np.count_nonzero(mask))
            chosen.append(source)
            colour = self._colour(mean, rng)
            image += cover[..., None] * (colour - image)
        image += rng.normal(0, rng.uniform(2, 10), image.shape)
        return Scene(
            image=np.rint(image).clip(0, 255).astype(np.uint8),
            labels=self.labels[chosen],
            sources=np.array(chosen),
            masks=np.stack(masks),
        )

    def _background(self, rng: np.random.Generator) -> np.ndarray:
        """Blotches of two scales around one colour, float ``(H, W, 3)``."""
        image = np.full((self.size, self.size, 3), rng.uniform(10, 110, 3))
        for cells, strength in ((3, 20), (12, 8)):
            coarse = rng.normal(0, strength, (cells, cells, 3))
            image += cv2.resize(coarse, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        return image

    def _place(self, source: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """How much of each pixel a digit covers, float ``(H, W)`` in [0, 1]; where it is 0.5 or
        more, the pixel is the digit's."""
        height = self.size * rng.uniform(0.28, 0.5)
        width = height * rng.uniform(0.85, 1.15)
        angle = np.deg2rad(rng.uniform(-12, 12))
        cos, sin = np.cos(angle), np.sin(angle)
        matrix = np.array([[cos * width, -sin * height], [sin * width, cos * height]]) / 8
        margin = np.abs(matrix) @ [4, 4]
        # Padded, or the strokes at the edge of the 8x8 pixels would end there as if cut; its centre
        # is at 4.5.
        padded = np.pad(source.astype(np.float64) / 255, 1)
        shift = rng.uniform(margin, self.size - margin) - matrix @ [4.5, 4.5]
        cover = cv2.warpAffine(
            padded, np.column_stack([matrix, shift]), (self.size, self.size), flags=cv2.INTER_CUBIC
        )
        # Thin strokes of the scans are grey; they cover their pixels all the same.
        return (1.6 * cover).clip(0, 1)

    def _colour(self, background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A colour at least 70 of 255 brighter than the background."""
        while True:
            colour = rng.uniform(50, 255, 3)
            if colour.mean() - background.mean() >= 70:
                return colour
