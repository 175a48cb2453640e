"""One picture of what a detector or segmentor found in a few test images."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from ...fileio import write_atomic
from ...registry import HOOKS
from ...schema import Count


@HOOKS.register_module()
class PredictionPictureHook(Hook):
    """Writes ``predictions.png`` to the work dir after a test: ground truth beside prediction,
    drawn by the runner's own visualizer.

    Small images are enlarged before boxes, masks and labels are drawn on them, so that those can be
    read.

    Args:
        num_images: How many images: the first of the test set.
        columns: Pairs beside each other.
        scale: Whole factor of the enlargement.

    Raises:
        InputError: One of them is not positive.
    """

    priority = 'LOW'

    def __init__(self, num_images: Count = 6, columns: Count = 2, scale: Count = 4) -> None:
        self.num_images, self.columns, self.scale = num_images, columns, scale

    def before_test_epoch(self, runner: Runner) -> None:
        self.samples: list[BaseDataElement] = []

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[BaseDataElement] | None = None,
    ) -> None:
        self.samples += [
            sample.cpu() for sample in (outputs or [])[: self.num_images - len(self.samples)]
        ]

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        pairs = [self._draw(runner, sample) for sample in self.samples]
        if not pairs:
            return
        height, width = (max(pair.shape[axis] for pair in pairs) for axis in (0, 1))
        gap = 2 * self.scale
        pairs = [
            cv2.copyMakeBorder(
                pair,
                0,
                height - pair.shape[0] + gap,
                0,
                width - pair.shape[1] + gap,
                cv2.BORDER_CONSTANT,
                value=(255, 255, 255),
            )
            for pair in pairs
        ]
        pairs += [np.full_like(pairs[0], 255)] * (-len(pairs) % self.columns)
        rows = [
            np.hstack(pairs[start : start + self.columns])
            for start in range(0, len(pairs), self.columns)
        ]
        picture = np.vstack([self._titles(width, gap), *rows])
        write_atomic(
            Path(runner.work_dir) / 'predictions.png',
            lambda file: file.write(cv2.imencode('.png', picture)[1].tobytes()),
        )

    def _draw(self, runner: Runner, sample: BaseDataElement) -> np.ndarray:
        """Ground truth beside prediction, BGR."""
        image = read_image(sample.img_path)[..., ::-1]
        with tempfile.TemporaryDirectory() as folder:
            path = f'{folder}/pair.png'
            runner.visualizer.add_datasample(
                'pair',
                np.ascontiguousarray(enlarged(image, self.scale)),
                enlarged_sample(sample, self.scale),
                out_file=path,
            )
            return read_image(path)

    def _titles(self, width: int, gap: int) -> np.ndarray:
        strip = np.full((32, (width + gap) * self.columns, 3), 255, np.uint8)
        for column in range(self.columns):
            for half, title in enumerate(('ground truth', 'prediction')):
                cv2.putText(
                    strip,
                    title,
                    ((width + gap) * column + half * width // 2 + 4, 22),
                    cv2.FONT_HERSHEY_SIMPLEX,
                    0.7,
                    (0, 0, 0),
                    1,
                    cv2.LINE_AA,
                )
        return strip


def read_image(path: str) -> np.ndarray:
    """A BGR image ``(H, W, 3)``.

    Raises:
        OSError: It cannot be read; cv2 itself returns None.
    """
    image = cv2.imread(path)
    if image is None:
        raise OSError(f'{path}: cannot be read as an image')
    return image


def enlarged(image: np.ndarray, scale: int) -> np.ndarray:
    """Repeats every pixel of ``(H, W, ...)``."""
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def enlarged_sample(sample: BaseDataElement, scale: int) -> BaseDataElement:
    """What an mmdet or mmseg visualizer draws of a data sample, for an image enlarged by
    ``scale``."""
    out = type(sample)()
    for name in ('gt_instances', 'pred_instances'):
        if name in sample:
            found = sample.get(name)
            found = InstanceData(
                **{
                    key: found[key]
                    for key in ('labels', 'scores', 'bboxes', 'masks')
                    if key in found
                }
            )
            found.bboxes = getattr(found.bboxes, 'tensor', found.bboxes) * scale
            if 'masks' in found:
                masks = (
                    found.masks
                    if isinstance(found.masks, torch.Tensor)
                    else torch.from_numpy(found.masks.to_ndarray())
                )
                found.masks = masks.repeat_interleave(scale, -2).repeat_interleave(scale, -1)
            setattr(out, name, found)
    for name in ('gt_sem_seg', 'pred_sem_seg'):
        if name in sample:
            setattr(
                out,
                name,
                PixelData(
                    data=sample.get(name)
                    .data.repeat_interleave(scale, -2)
                    .repeat_interleave(scale, -1)
                ),
            )
    return out
