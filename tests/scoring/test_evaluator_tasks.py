"""The evaluator on detectors and segmentors: many archs together equal each alone."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from pinas_mm.costs import measure_costs
from pinas_mm.scoring.evaluator import ArchEvaluator

SIZE = 64
BACKBONE = dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.125)
NORM = dict(type='BN', requires_grad=True)


def retinanet():
    return dict(
        type='RetinaNet',
        data_preprocessor=dict(
            type='DetDataPreprocessor', mean=[100.0] * 3, std=[50.0] * 3, pad_size_divisor=32
        ),
        backbone=dict(BACKBONE, out_indices=(0, 1, 2)),
        neck=dict(type='FPN', in_channels=[8, 16, 32], out_channels=16, num_outs=3, norm_cfg=NORM),
        bbox_head=dict(
            type='RetinaHead',
            num_classes=2,
            in_channels=16,
            feat_channels=16,
            stacked_convs=1,
            norm_cfg=NORM,
            anchor_generator=dict(
                type='AnchorGenerator',
                octave_base_scale=4,
                scales_per_octave=1,
                ratios=[1.0],
                strides=[2, 4, 8],
            ),
            bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        ),
        test_cfg=dict(
            nms_pre=50, score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=10
        ),
    )


def faster_rcnn():
    base = retinanet()
    return dict(
        type='FasterRCNN',
        data_preprocessor=base['data_preprocessor'],
        backbone=base['backbone'],
        neck=base['neck'],
        rpn_head=dict(
            type='RPNHead',
            in_channels=16,
            feat_channels=16,
            anchor_generator=dict(
                type='AnchorGenerator', scales=[4], ratios=[1.0], strides=[2, 4, 8]
            ),
            bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        ),
        roi_head=dict(
            type='StandardRoIHead',
            bbox_roi_extractor=dict(
                type='SingleRoIExtractor',
                roi_layer=dict(type='RoIAlign', output_size=3),
                out_channels=16,
                featmap_strides=[2, 4, 8],
            ),
            bbox_head=dict(
                type='Shared2FCBBoxHead',
                in_channels=16,
                fc_out_channels=16,
                roi_feat_size=3,
                num_classes=2,
                bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
            ),
        ),
        train_cfg=None,
        test_cfg=dict(
            rpn=dict(
                nms_pre=50, max_per_img=20, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0
            ),
            rcnn=dict(score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=10),
        ),
    )


def segmentor():
    """With an auxiliary head and sliding windows: several calls of the backbone in a step."""
    head = dict(type='FCNHead', channels=8, num_convs=1, num_classes=3, norm_cfg=NORM)
    return dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=[100.0] * 3,
            std=[50.0] * 3,
            size=(SIZE, SIZE),
            test_cfg=dict(size=(SIZE, SIZE)),
        ),
        backbone=dict(BACKBONE, out_indices=(1, 2)),
        decode_head=dict(head, in_channels=32, in_index=1),
        auxiliary_head=dict(head, in_channels=16, in_index=0),
        train_cfg=dict(),
        test_cfg=dict(mode='slide', crop_size=(48, 48), stride=(16, 16)),
    )


class Predictions(BaseMetric):
    """A number that depends on every prediction, bit by bit."""

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            if 'pred_instances' in sample:
                tensors = [sample['pred_instances'][key] for key in ('bboxes', 'scores', 'labels')]
            else:
                tensors = [sample['seg_logits']['data']]
            self.results.append([tensor.double().sum().item() for tensor in tensors])

    def compute_metrics(self, results):
        return dict(sums=float(np.sum(np.array(results) * np.arange(1, len(results) + 1)[:, None])))


def dataset(scope):
    rng, items = np.random.default_rng(0), []
    for _ in range(16):
        image = torch.from_numpy(rng.integers(0, 256, (3, SIZE, SIZE), dtype=np.uint8))
        sample = DetDataSample() if scope == 'mmdet' else SegDataSample()
        sample.set_metainfo(
            dict(
                img_shape=(SIZE, SIZE),
                ori_shape=(SIZE, SIZE),
                scale_factor=(1.0, 1.0),
                pad_shape=(SIZE, SIZE),
            )
        )
        if scope == 'mmdet':
            sample.gt_instances = InstanceData(
                bboxes=torch.tensor([[4.0, 4, 20, 20]]), labels=torch.tensor([0])
            )
        else:
            sample.gt_sem_seg = PixelData(data=torch.zeros(1, SIZE, SIZE, dtype=torch.long))
        items.append(dict(inputs=image, data_samples=sample))
    return items


def collate(items):
    return dict(
        inputs=[item['inputs'] for item in items],
        data_samples=[item['data_samples'] for item in items],
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    'scope, config',
    [('mmdet', retinanet), ('mmdet', faster_rcnn), ('mmseg', segmentor)],
    ids=['retinanet', 'faster_rcnn', 'segmentor'],
)
def test_many_archs_together_equal_each_alone(scope, config):
    init_default_scope(scope)
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(config()))
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.weight.data.uniform_(0.5, 1.5)
    items = dataset(scope)
    evaluator = ArchEvaluator(
        model,
        DataLoader(items, 16, collate_fn=collate),
        DataLoader(items[:4], 2, collate_fn=collate),
        lambda: Evaluator([Predictions()]),
    )
    archs = [
        (0, 1, 2, 0, 1, 2, 0, 0),
        (0, 1, 2, 0, 1, 1, 0, 0),
        (0, 1, 0, 1, 0, 1, 2, 0),
        (1, 0, 0, 0, 0, 0, 2, 1),
    ]
    together = evaluator.evaluate(archs)
    assert all(isinstance(result, dict) for result in together), together
    evaluator.share_prefixes = False
    assert together == [evaluator.evaluate([arch])[0] for arch in archs]
    assert len({result['sums'] for result in together}) == len(archs)
    costs = measure_costs(model, SIZE).arch_costs(archs[0])
    assert costs['macs'] > 0 and costs['params'] < sum(
        parameter.numel() for parameter in model.parameters()
    )
