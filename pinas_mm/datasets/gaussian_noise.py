"""Noise that makes a small task hard enough to tell archs apart."""

import zlib
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from ..registry import TRANSFORMS
from ..schema import NotNegative


@TRANSFORMS.register_module()
class GaussianNoise(BaseTransform):
    """Adds Gaussian noise to an image, independent at each pixel and equal in all channels, so that
    a grey image stays grey.

    The image and the result are uint8 ``(H, W, C)``; values beyond 0 to 255 are cut off there.

    Args:
        std: Standard deviation, of 255.
        fixed: Whether the noise is a function of the image, so that each reading of it gives the
            same: for validation and test sets, whose scores are compared. By default an image
            gets other noise each time it is read, from NumPy's global generator, as with mm's
            random transforms.
    """

    def __init__(self, std: NotNegative, fixed: bool = False) -> None:
        self.std = std
        self.fixed = fixed

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        image = results['img']
        draw = (
            np.random.default_rng(zlib.crc32(image.tobytes())).normal
            if self.fixed
            else np.random.normal
        )
        channels = (1,) * (image.ndim - 2)  # none of a grey image
        noise = draw(0, self.std, (*image.shape[:2], *channels))
        results['img'] = np.rint(image + noise).clip(0, 255).astype(np.uint8)
        return results
