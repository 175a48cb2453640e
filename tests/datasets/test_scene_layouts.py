import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset
from mmdet.evaluation import CocoMetric
from mmengine.registry import DefaultScope, init_default_scope
from mmseg.evaluation import IoUMetric
from pycocotools.coco import COCO

from pinas_mm.datasets import scene_layouts
from pinas_mm.datasets.digit_scene_datasets import DigitScenesADE20K, DigitScenesCityscapes
from pinas_mm.datasets.digit_scenes import CLASSES, DigitScenes
from pinas_mm.datasets.scene_layouts import write_digit_scenes
from pinas_mm.errors import InputError

NUMBERS = dict(train=4, val=12, test=3)
LOAD = dict(type='LoadImageFromFile')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scenes') / 'digit_scenes'
    assert write_digit_scenes(folder, NUMBERS)
    return folder


@pytest.fixture
def scope(request):
    """mmdet's or mmseg's default scope, as a runner sets it."""
    with DefaultScope.overwrite_default_scope(request.param):
        init_default_scope(request.param)
        yield


@pytest.mark.slow
def test_pycocotools_reads_the_annotations(root):
    for split, number in NUMBERS.items():
        coco = COCO(root / f'coco/annotations/instances_{split}2017.json')
        assert len(coco.getImgIds()) == number and [
            category['name'] for category in coco.loadCats(coco.getCatIds())
        ] == list('0123456789')
        for scene, image in zip(DigitScenes(split, number), coco.loadImgs(coco.getImgIds())):
            annotations = coco.loadAnns(coco.getAnnIds(image['id']))
            assert [
                annotation['category_id'] - 1 for annotation in annotations
            ] == scene.labels.tolist()
            for annotation, mask in zip(annotations, scene.masks):
                np.testing.assert_array_equal(coco.annToMask(annotation), mask)
                rows, columns = np.nonzero(mask)
                x, y, width, height = annotation['bbox']
                assert (x, y, x + width, y + height) == (
                    columns.min(),
                    rows.min(),
                    columns.max() + 1,
                    rows.max() + 1,
                )
                assert annotation['area'] == mask.sum()
            # JPEG keeps nearly all of it.
            found = cv2.imread(str(root / f'coco/{split}2017' / image['file_name']))[..., ::-1]
            assert found.shape == (image['height'], image['width'], 3) == scene.image.shape
            assert np.abs(found.astype(int) - scene.image).mean() < 8


@pytest.mark.parametrize('scope', ['mmdet'], indirect=True)
def test_perfect_detections_have_map_1(root, scope):
    dataset = CocoDataset(
        data_root=str(root / 'coco'),
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        metainfo=dict(classes=tuple('0123456789')),
        pipeline=[
            LOAD,
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='PackDetInputs'),
        ],
    )
    assert len(dataset) == NUMBERS['val']

    def score(change):
        metric = CocoMetric(
            ann_file=str(root / 'coco/annotations/instances_val2017.json'), metric=['bbox', 'segm']
        )
        metric.dataset_meta = dataset.metainfo
        for sample in (dataset[index]['data_samples'] for index in range(len(dataset))):
            truth = sample.gt_instances
            labels, boxes, masks = change(
                truth.labels, truth.bboxes.tensor, truth.masks.to_tensor(torch.bool, 'cpu')
            )
            sample.pred_instances = type(truth)(
                labels=labels, bboxes=boxes, masks=masks, scores=torch.ones(len(labels))
            )
            metric.process({}, [sample.to_dict()])
        return metric.evaluate(size=len(dataset))

    perfect = score(lambda labels, boxes, masks: (labels, boxes, masks))
    assert perfect['coco/bbox_mAP'] == perfect['coco/segm_mAP'] == 1
    # And the measure is not blind: wrong digits, boxes a quarter of a digit away.
    wrong = score(lambda labels, boxes, masks: ((labels + 1) % 10, boxes, masks))
    assert wrong['coco/bbox_mAP'] < 0.1 and wrong['coco/segm_mAP'] < 0.1
    shifted = score(lambda labels, boxes, masks: (labels, boxes + 5, masks))
    assert shifted['coco/bbox_mAP'] < 0.3 and shifted['coco/segm_mAP'] == 1


@pytest.mark.slow
@pytest.mark.parametrize('scope', ['mmseg'], indirect=True)
@pytest.mark.parametrize(
    'layout, dataset_class, images, label_maps, zero',
    [
        ('ade20k', DigitScenesADE20K, 'images/validation', 'annotations/validation', True),
        ('cityscapes', DigitScenesCityscapes, 'leftImg8bit/val', 'gtFine/val', False),
    ],
)
def test_perfect_segmentations_have_miou_100(
    root, scope, layout, dataset_class, images, label_maps, zero
):
    annotations = (
        dict(type='LoadAnnotations', reduce_zero_label=True)
        if zero
        else dict(type='LoadAnnotations')
    )
    dataset = dataset_class(
        data_root=str(root / layout),
        data_prefix=dict(img_path=images, seg_map_path=label_maps),
        test_mode=True,
        pipeline=[LOAD, annotations, dict(type='PackSegInputs')],
    )
    assert (
        len(dataset) == NUMBERS['val']
        and dataset.metainfo['classes'] == CLASSES
        and dataset.reduce_zero_label == zero
    )

    def score(change):
        metric = IoUMetric(iou_metrics=['mIoU'])
        metric.dataset_meta = dataset.metainfo
        for index, scene in enumerate(DigitScenes('val', NUMBERS['val'])):
            sample = dataset[index]['data_samples']
            truth = sample.gt_sem_seg.data
            np.testing.assert_array_equal(truth[0], scene.label_map())
            metric.process(
                {},
                [
                    dict(
                        gt_sem_seg=dict(data=truth),
                        pred_sem_seg=dict(data=change(truth)),
                        **sample.metainfo,
                    )
                ],
            )
        return metric.evaluate(size=len(dataset))['mIoU']

    assert score(lambda truth: truth) == 100
    assert score(lambda truth: torch.where(truth == 3, 4, truth)) < 95
    assert score(torch.zeros_like) < 10


@pytest.mark.slow
def test_what_is_there_is_kept_and_nothing_is_left_half_written(root, monkeypatch, tmp_path):
    def files(folder):
        return {
            path.relative_to(folder): path.read_bytes()
            for path in Path(folder).rglob('*')
            if path.is_file()
        }

    before = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    assert not write_digit_scenes(root, NUMBERS)
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*')} == before
    with pytest.raises(
        InputError,
        match="digit_scenes: holds .*'seed': 0.*asked for .*'seed': 1.*name another folder",
    ):
        write_digit_scenes(root, NUMBERS, seed=1)
    assert write_digit_scenes(tmp_path / 'again', NUMBERS) and files(tmp_path / 'again') == files(
        root
    )
    assert len(files(root)) == 1 + 3 + 5 * sum(NUMBERS.values())

    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/holiday.jpg').touch()
    with pytest.raises(InputError, match='mine: holds something else'):
        write_digit_scenes(tmp_path / 'mine', NUMBERS)

    def fails(*_):
        raise OSError('disk full')

    monkeypatch.setattr(scene_layouts, 'write_cityscapes', fails)
    fails.__name__ = 'write_cityscapes'
    with pytest.raises(OSError, match='disk full'):
        write_digit_scenes(tmp_path / 'torn', NUMBERS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['again', 'mine']


def test_the_finished_marker_names_the_arguments(root):
    assert json.loads((root / 'scenes.json').read_text()) == dict(
        num_scenes=NUMBERS, size=96, seed=0
    )
