import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, init_default_scope
from tiny_detectors import DETECTIONS, PROPOSALS, cascade_mask_rcnn, faster_rcnn, mask_rcnn, yolact
from torch.utils.flop_counter import FlopCounterMode

import pinas_mm  # noqa: F401
from pinas_mm.costs import Constraints, measure_costs
from pinas_mm.searching.searchers.nsga2 import NSGA2Searcher

SIZE = (64, 64)
# By hand. A box: two linear layers on 3 x 3 pixels of 16 channels, 3 classes, 4 sides for each of
# 2. A mask: a 3x3 convolution to 8 channels at 4 x 4, a 2x2 one to the double size, 2 classes.
BOX = 9 * 16 * 12 + 12 * 12 + 12 * 3 + 12 * 8
MASK = 16 * 9 * 16 * 8 + 16 * 4 * 8 * 8 + 64 * 8 * 2


def detector(config, seed=0):
    """With weights of which some give few proposals, some many."""
    init_default_scope('mmdet')
    torch.manual_seed(seed)
    model = MODELS.build(ConfigDict(config))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    return model


def counted(run):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    'config, roi_head',
    [
        (faster_rcnn, PROPOSALS * BOX),
        (mask_rcnn, PROPOSALS * BOX + DETECTIONS * MASK),
        (cascade_mask_rcnn, 3 * (PROPOSALS * BOX + DETECTIONS * MASK)),
    ],
)
def test_two_stage_detectors_cost_what_their_config_says_whatever_their_weights(config, roi_head):
    found = []
    for seed in range(3):
        model = detector(config(), seed)
        table = measure_costs(model, SIZE)
        found.append((table.fixed, [part.tolist() for part in table.tables['macs']]))
    assert found[0] == found[1] == found[2]

    arch = (1, 0, 2, 0, 1, 2, 0, 0)
    costs = table.arch_costs(arch)
    model.eval().backbone.set_arch(arch)
    images = torch.zeros(1, 3, *SIZE)
    features = model.backbone(images)
    before_rois = counted(lambda: model.rpn_head(model.neck(features)))
    assert costs['macs'] - costs['backbone_macs'] == before_rois + roi_head
    assert costs['backbone_macs'] == counted(lambda: model.backbone(images))
    assert costs['params'] == sum(
        parameter.numel()
        for part in (*model.backbone.path(arch), model.neck, model.rpn_head, model.roi_head)
        for parameter in part.parameters()
    )


def test_the_table_says_how_many_boxes_were_counted_and_the_detector_is_left_as_it_was():
    model = detector(mask_rcnn())
    head = model.roi_head
    names = {part: set(vars(part)) for part in (model, model.rpn_head, head, head.bbox_head)}
    (note,) = measure_costs(model, SIZE).notes
    assert f'{PROPOSALS} proposals' in note and f'{DETECTIONS} detections' in note
    assert {part: set(vars(part)) for part in names} == names

    del head.mask_head.upsample
    with pytest.raises(AttributeError):
        measure_costs(model, SIZE)
    assert {part: set(vars(part)) for part in names} == names
    assert measure_costs(model.backbone, SIZE).notes == ()


def test_mask_heads_of_one_stage_detectors_are_counted_as_they_run_and_the_table_says_so():
    """YOLACT needs annotations in mode='tensor'. Here it finds nothing: no score is above 1."""
    model = detector(yolact())
    table = measure_costs(model, SIZE)
    (note,) = table.notes
    assert 'instances found in an image of zeros' in note
    arch = (1, 0, 2, 0, 1, 2, 0, 0)
    model.eval().backbone.set_arch(arch)
    features = model.extract_feat(torch.zeros(1, 3, *SIZE))
    # By hand: the prototypes' 3x3 and 1x1 convolutions on the first map, enlarged twofold.
    prototypes = 32 * 32 * 16 * 9 * 8 + 64 * 64 * (8 * 9 * 8 + 8 * 4)
    dense = counted(lambda: model.neck(model.backbone(torch.zeros(1, 3, *SIZE))))
    dense += counted(lambda: model.bbox_head(features))
    assert table.arch_costs(arch)['macs'] == dense + prototypes


def test_the_backbone_can_be_limited_alone():
    model = detector(faster_rcnn())
    table = measure_costs(model, SIZE)
    archs = model.backbone.space.sample_array(np.random.default_rng(0), 20)
    alone = measure_costs(model.backbone, SIZE).array('macs', archs)
    assert table.array('backbone_macs', archs).tolist() == alone.tolist()
    limit = int(np.median(alone))
    kept = Constraints(table, backbone_macs=limit).mask(archs)
    assert kept.tolist() == (alone <= limit).tolist() and 0 < kept.sum() < 20

    searcher = NSGA2Searcher(
        model.backbone.space, Constraints(table), seed=0, objectives=['backbone_macs']
    )
    searcher.tell([tuple(arch) for arch in archs.tolist()], [0.0] * len(archs))
    assert searcher.pareto() == [tuple(archs[alone.argmin()].tolist())]
