import numpy as np
import torch
from mmdet.models.data_preprocessors import ReIDDataPreprocessor
from mmdet.structures import ReIDDataSample
from mmengine.dataset import pseudo_collate
from mmengine.registry import TRANSFORMS

import pinas_mm  # noqa: F401


def packed(value):
    image = np.full((8, 4, 3), value, np.uint8)
    image[..., 0] = 200
    return TRANSFORMS.build(dict(type='pinas_mm.PackReIDImage'))(
        dict(
            img=image,
            gt_label=7,
            camera=3,
            query=True,
            img_path='a.jpg',
            ori_shape=(8, 4),
            img_shape=(8, 4),
            scale=(4, 8),
            scale_factor=1.0,
        )
    )


def test_what_mmdets_models_take():
    item = packed(5)
    sample = item['data_samples']
    assert item['inputs'].shape == (3, 8, 4) and isinstance(sample, ReIDDataSample)
    assert sample.gt_label.label.tolist() == [7] and (
        sample.camera,
        sample.query,
        sample.img_path,
    ) == (3, True, 'a.jpg')


def test_batches_are_made_by_the_loader():
    """With mmdet's own packing, a batch of more than one sample fails in its model, and colours
    stay BGR."""
    batch = ReIDDataPreprocessor(mean=[1, 2, 3], std=[1, 1, 2], to_rgb=True)(
        pseudo_collate([packed(5), packed(9)])
    )
    assert batch['inputs'].shape == (2, 3, 8, 4)
    torch.testing.assert_close(
        batch['inputs'][:, :, 0, 0], torch.tensor([[4.0, 3, 98.5], [8, 7, 98.5]])
    )
    assert [sample.gt_label.label.item() for sample in batch['data_samples']] == [7, 7]
