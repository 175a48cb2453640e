from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

from pinas_mm.engine.hooks import PredictionPictureHook

SIZE, SCALE, COLUMNS, STRIP, GAP = 24, 3, 2, 32, 6
INSIDE = (slice(6, 14), slice(9, 17))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), np.full((SIZE, SIZE, 3), 100, np.uint8))
    return str(path)


def detection(path, found):
    sample = DetDataSample(metainfo=dict(img_path=path))
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    mask[0][INSIDE] = True
    truth = InstanceData(
        labels=torch.tensor([1]), bboxes=torch.tensor([[9.0, 6, 17, 14]]), masks=mask
    )
    sample.gt_instances = truth
    sample.pred_instances = InstanceData(**truth, scores=torch.tensor([0.9 if found else 0.1]))
    return sample


def segmentation(path, found):
    sample = SegDataSample(metainfo=dict(img_path=path))
    label_map = torch.zeros(1, SIZE, SIZE, dtype=torch.long)
    label_map[0][INSIDE] = 1
    sample.gt_sem_seg = PixelData(data=label_map)
    sample.pred_sem_seg = PixelData(data=label_map * found)
    return sample


@pytest.mark.parametrize(
    'make, visualizer', [(detection, DetLocalVisualizer), (segmentation, SegLocalVisualizer)]
)
def test_ground_truth_is_beside_prediction(make, visualizer, image, tmp_path):
    drawer = visualizer()
    drawer.dataset_meta = dict(classes=('a', 'b'), palette=[(0, 0, 0), (255, 0, 0)])
    runner = SimpleNamespace(visualizer=drawer, work_dir=str(tmp_path / 'work'))
    hook = PredictionPictureHook(num_images=3, columns=COLUMNS, scale=SCALE)
    for _ in range(2):  # a second test starts anew
        hook.before_test_epoch(runner)
        for batch in ([True, False], [True, True]):
            hook.after_test_iter(runner, 0, None, [make(image, found) for found in batch])
        hook.after_test_epoch(runner, {})
    picture = cv2.imread(str(tmp_path / 'work/predictions.png')).astype(int)
    side = SIZE * SCALE
    assert picture.shape == (STRIP + 2 * (side + GAP), COLUMNS * (2 * side + GAP), 3)

    def red(index, half):
        """How much redder an image's middle is than its corner, in the picture."""
        top, left = (
            STRIP + index // COLUMNS * (side + GAP),
            index % COLUMNS * (2 * side + GAP) + half * side,
        )
        tile = picture[top : top + side, left : left + side]
        redness = tile[..., 2] - tile[..., 0]
        return (
            redness[6 * SCALE : 14 * SCALE, 9 * SCALE : 17 * SCALE].mean()
            - redness[18 * SCALE :, : 6 * SCALE].mean()
        )

    assert [red(index, 0) > 40 for index in range(3)] == [True, True, True]
    assert [red(index, 1) > 40 for index in range(3)] == [True, False, True]
    assert (picture[STRIP + side + GAP :, 2 * side + GAP :] == 255).all(), (
        'the place of a fourth is blank'
    )


def test_without_samples_nothing_is_written(tmp_path):
    hook = PredictionPictureHook()
    hook.before_test_epoch(None)
    hook.after_test_epoch(SimpleNamespace(work_dir=str(tmp_path)), {})
    assert not list(tmp_path.iterdir())
