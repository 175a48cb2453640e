"""Clutter that makes digits a task on which archs differ."""

from functools import cache
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from ..registry import TRANSFORMS
from ..schema import WholeNumber
from .digits import Digits

# Side of an image, and of a piece of a digit, which is 8.
SIZE, PIECE = 16, 3


@TRANSFORMS.register_module()
class DigitClutter(BaseTransform):
    """Puts a digit at a random place of a black image and scatters pieces of other digits over it:
    the cluttered, translated digits of Mnih et al. (2014), section 4.1, in small.

    The image is uint8 ``(32, 32, C)``, as :class:`~.digits.Digits` gives it, the result ``(16, 16,
    C)``: the digit has the 8x8 pixels it was scanned with. At each pixel the brightest of what lies
    there shows.

    Args:
        pieces: How many pieces of 3x3 pixels, each of a random place of a random digit of the
            learning split.
        fixed: Whether places and pieces are a function of the sample's index, so that each reading
            of it gives the same: for validation and test sets, whose scores are compared. By
            default they are others each time, drawn with NumPy's global generator, as with mm's
            random transforms.
    """

    def __init__(self, pieces: WholeNumber = 4, fixed: bool = False) -> None:
        self.pieces = pieces
        self.fixed = fixed
        self.sources = learning_digits()

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        rng = np.random.default_rng(
            results['sample_idx'] if self.fixed else np.random.randint(2**32, dtype=np.uint32)
        )
        digit = scanned(results['img'])
        image = np.zeros((SIZE, SIZE, *digit.shape[2:]), np.uint8)
        put_somewhere(image, digit, rng)
        for source in rng.integers(len(self.sources), size=self.pieces):
            top, left = rng.integers(len(digit) - PIECE + 1, size=2)
            put_somewhere(image, self.sources[source, top : top + PIECE, left : left + PIECE], rng)
        results['img'], results['img_shape'] = image, image.shape[:2]
        return results


@cache
def learning_digits() -> np.ndarray:
    """The digits of the learning split, ``(N, 8, 8, 3)``; read once in a process."""
    return np.stack([scanned(info['img']) for info in Digits(serialize_data=False).data_list])


def scanned(image: np.ndarray) -> np.ndarray:
    """The 8x8 pixels of which :class:`~.digits.Digits` repeats each 4 times."""
    return image[::4, ::4]


def put_somewhere(image: np.ndarray, piece: np.ndarray, rng: np.random.Generator) -> None:
    """Puts a square piece at a random place of a square image, in place."""
    side = len(piece)
    top, left = rng.integers(len(image) - side + 1, size=2)
    place = image[top : top + side, left : left + side]
    np.maximum(place, piece, out=place)
