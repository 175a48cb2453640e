"""The SE-loss against a loop over images and classes, alone and in mmseg's own segmentor."""

import math

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from pinas_mm.models.heads import SemanticEncodingHead


def samples(labels):
    return [SegDataSample(gt_sem_seg=PixelData(data=torch.tensor(label)[None])) for label in labels]


LABELS = [[[0, 0, 2], [255, 0, 0]], [[255, 255, 255], [255, 255, 3]]]
PRESENT = [[1, 0, 1, 0], [0, 0, 0, 1]]


def test_presence_counts_no_ignored_pixel():
    head = SemanticEncodingHead(5, num_classes=4)
    assert head.presence(torch.tensor(LABELS)[:, None]).int().tolist() == PRESENT
    assert head.presence(torch.full((1, 1, 2, 2), 255)).int().tolist() == [[0, 0, 0, 0]]
    other = SemanticEncodingHead(5, num_classes=4, ignore_index=0)
    assert other.presence(torch.tensor([[[[0, 1], [1, 0]]]])).int().tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize('weight', [0.2, 0.7])
def test_the_loss_is_that_of_a_loop(weight):
    torch.manual_seed(0)
    head = SemanticEncodingHead(5, num_classes=4, loss_weight=weight, in_index=1)
    maps = [torch.randn(2, 3, 8, 8), torch.randn(2, 5, 2, 3)]
    loss = head.loss(maps, samples(LABELS), None)
    total = 0.0
    for image in range(2):
        context = [sum(maps[1][image, channel].flatten().tolist()) / 6 for channel in range(5)]
        for label in range(4):
            logit = head.fc.bias[label].item() + sum(
                w * c for w, c in zip(head.fc.weight[label].tolist(), context)
            )
            probability = 1 / (1 + math.exp(-logit))
            total -= math.log(probability if PRESENT[image][label] else 1 - probability)
    assert list(loss) == ['loss_se'] and loss['loss_se'].item() == pytest.approx(
        weight * total / 8, rel=1e-5
    )


def test_beside_another_auxiliary_head_in_a_segmentor():
    init_default_scope('mmseg')
    torch.manual_seed(0)
    fcn = dict(
        type='FCNHead',
        in_channels=32,
        in_index=1,
        channels=8,
        num_convs=1,
        num_classes=4,
        norm_cfg=dict(type='BN'),
    )
    model = MODELS.build(
        ConfigDict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', size=(32, 32)),
            pretrained=None,
            backbone=dict(
                type='pinas_mm.SearchableMacroNet',
                widen_factor=0.125,
                arch='00000000',
                out_indices=(1, 2),
            ),
            decode_head=dict(fcn),
            auxiliary_head=[
                dict(fcn),
                dict(type='pinas_mm.SemanticEncodingHead', in_channels=32, num_classes=4),
            ],
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        )
    )
    model.init_weights()
    data = samples(torch.randint(0, 4, (2, 32, 32)).tolist())
    images = torch.randn(2, 3, 32, 32)
    losses = model.loss(images, data)
    maps = model.extract_feat(images)
    assert torch.equal(losses['aux_1.loss_se'], model.auxiliary_head[1].loss(maps, data)['loss_se'])
    losses['aux_1.loss_se'].backward()
    assert (
        model.auxiliary_head[1].fc.weight.grad.any()
        and model.decode_head.conv_seg.weight.grad is None
    )
    # Logits of zero for every class: -log(1/2) each.
    for parameter in model.auxiliary_head[1].parameters():
        torch.nn.init.zeros_(parameter)
    assert model.loss(images, data)['aux_1.loss_se'].item() == pytest.approx(0.2 * math.log(2))
    assert model.eval()(images, None, mode='predict')[0].pred_sem_seg.data.shape == (1, 32, 32)
