import copy

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample

from pinas_mm.costs import measure_costs
from pinas_mm.errors import InputError
from pinas_mm.subnets.state_dict import subnet_state_dict
from pinas_mm.tasks.domains.alignment import Alignment

ARCH = (1, 2, 0, 1, 2, 0, 1, 2)


def config(alignment='DANN', **kwargs):
    alignment = dict(type=f'pinas_mm.{alignment}') if isinstance(alignment, str) else alignment
    small = (
        {}
        if alignment['type'] == 'pinas_mm.MMD'
        else dict(hidden_channels=8, dropout=0, ramp_steps=10)
    )
    return (
        dict(
            type='pinas_mm.DomainAdaptiveClassifier',
            backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.125),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=3, in_channels=160),
            data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
            alignment=small | alignment,
        )
        | kwargs
    )


def build(*args, **kwargs):
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    return MODELS.build(config(*args, **kwargs))


def sample(domain, label=None, **metainfo):
    result = DataSample(metainfo=dict(domain=domain) | metainfo)
    return result if label is None else result.set_gt_label(label)


def batch():
    generator = torch.Generator().manual_seed(1)
    images = list(torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=generator))
    samples = [
        sample('source', index % 3) if index % 2 == 0 else sample('target') for index in range(8)
    ]
    return dict(inputs=images, data_samples=samples)


def losses(model, data):
    model.backbone.set_arch(ARCH)
    return model(**model.data_preprocessor(data, True), mode='loss')


@pytest.mark.parametrize('alignment', ['DANN', 'CDAN', 'MMD'])
def test_the_losses_are_the_head_s_of_the_source_and_the_alignment_s_of_both(alignment):
    model = build(alignment).train()
    data = batch()
    images = model.data_preprocessor(copy.deepcopy(data), True)['inputs']
    found = losses(model, data)

    features = model.extract_feat(images)[-1]  # BN: of the whole batch
    scores = features @ model.head.fc.weight.T + model.head.fc.bias
    labels = [0, 2, 1, 0]  # of images 0, 2, 4, 6
    expected = -torch.stack(
        [scores[2 * place].log_softmax(0)[label] for place, label in enumerate(labels)]
    ).mean()
    torch.testing.assert_close(found['loss'], expected)
    if alignment != 'MMD':
        model.alignment.step -= 1
    aligned = model.alignment.loss(features[0::2], features[1::2], scores[0::2], scores[1::2])
    torch.testing.assert_close(found['loss_alignment'], aligned['loss_alignment'])
    total, logged = model.parse_losses(found)
    torch.testing.assert_close(total, expected + aligned['loss_alignment'])
    assert {name for name in logged if 'loss' in name} == {'loss', 'loss_alignment'}


def test_target_images_reach_the_backbone_through_the_alignment_alone():
    """With the reversal at 0, the gradients are those of the source's classification."""
    model = build().train()
    total, _ = model.parse_losses(losses(model, batch()))
    total.backward()
    reversed_off = {
        name: parameter.grad
        for name, parameter in model.backbone.named_parameters()
        if parameter.grad is not None
    }
    model.zero_grad()
    model.alignment.step.zero_()
    losses(model, batch())['loss'].backward()
    assert reversed_off.keys() == {
        name for name, parameter in model.backbone.named_parameters() if parameter.grad is not None
    }
    for name, parameter in model.backbone.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, reversed_off[name])
    model.zero_grad()
    model.alignment.step.fill_(10)
    model.parse_losses(losses(model, batch()))[0].backward()
    assert not torch.allclose(model.backbone.stem[0].weight.grad, reversed_off['stem.0.weight'])


def test_predictions_checkpoint_keys_and_costs_are_an_image_classifier_s():
    model = build('CDAN').eval()
    plain = config() | dict(type='ImageClassifier')
    del plain['alignment']
    plain = MODELS.build(plain).eval()
    keys = {key for key in model.state_dict() if not key.startswith('alignment.')}
    assert keys == plain.state_dict().keys() and {key.split('.')[0] for key in keys} == {
        'backbone',
        'head',
    }
    plain.load_state_dict({key: value for key, value in model.state_dict().items() if key in keys})
    for net in (model, plain):
        net.backbone.set_arch(ARCH)
    data = dict(batch(), data_samples=[DataSample() for _ in range(8)])
    ours, theirs = (
        torch.stack([result.pred_score for result in net.val_step(copy.deepcopy(data))])
        for net in (model, plain)
    )
    assert torch.equal(ours, theirs)
    costs = [measure_costs(net, 32).arch_costs(ARCH) for net in (model, plain)]
    assert costs[0] == costs[1]

    subnet = MODELS.build(
        config(
            'CDAN', backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.125, arch=ARCH)
        )
    )
    subnet.load_state_dict(subnet_state_dict(model, ARCH))


@pytest.mark.parametrize(
    'change, message',
    [
        (
            dict(data_samples=[sample('source', 0)] * 4 + [sample('target', 1)] * 4),
            r"carries \['gt_label'\]: labels of the target must not",
        ),
        (
            dict(
                data_samples=[sample('source', 0)] * 4 + [sample('target', img_path='7/1.png')] * 4
            ),
            r"a target sample carries \['img_path'\]",
        ),
        (
            dict(
                data_samples=[sample('source', 0)] * 4
                + [sample('target').set_gt_score(torch.eye(3)[0])] * 4
            ),
            r"carries \['gt_score'",
        ),
        (
            dict(data_samples=[sample('source')] * 4 + [sample('target')] * 4),
            'a source sample without a label',
        ),
        (dict(data_samples=[DataSample().set_gt_label(1)] * 8), 'a training sample of domain None'),
        (
            dict(data_samples=[sample('source', 1)] * 8),
            'a training batch of 8 source and 0 target images.*DomainSampler',
        ),
        (
            dict(data_samples=[sample('target')] * 8),
            'a training batch of 0 source and 8 target images',
        ),
    ],
)
def test_training_refuses_wrong_samples(change, message):
    model = build().train()
    with pytest.raises(InputError, match=message):
        losses(model, batch() | change)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (
            dict(data_preprocessor=dict(type='ClsDataPreprocessor')),
            'its data preprocessor is a ClsDataPreprocessor',
        ),
        (dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0))), 'batch augmentation'),
        (
            dict(head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'))),
            'its head is a ContrastiveHead, expected a ClsHead',
        ),
    ],
)
def test_parts_that_do_not_fit(kwargs, message):
    with pytest.raises(InputError, match=message):
        build(**kwargs)


def test_features_that_do_not_fit():
    for kwargs, sizes in (
        (dict(neck=None), r'\(160, 4, 4\), its DANN expected \(160,\)'),
        (
            dict(alignment=dict(type='pinas_mm.MMD', in_channels=99)),
            r'\(160,\), its MMD expected \(99,\)',
        ),
    ):
        with pytest.raises(InputError, match=f'the head reads features of shape {sizes}'):
            losses(build(**kwargs).train(), batch())


@pytest.mark.parametrize('alignment', ['DANN', 'CDAN', 'MMD'])
def test_under_amp_the_alignment_is_computed_in_full_precision(alignment, monkeypatch):
    model, seen = build(alignment).train(), []
    loss = type(model.alignment).loss

    def watched(self, *tensors):
        result = loss(self, *tensors)
        seen.extend([*(tensor.dtype for tensor in tensors), result['loss_alignment'].dtype])
        return result

    monkeypatch.setattr(type(model.alignment), 'loss', watched)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        total, _ = model.parse_losses(losses(model, batch()))
    total.backward()
    assert seen == [torch.float32] * 5 and torch.isfinite(total)
    assert all(
        torch.isfinite(parameter.grad).all()
        for parameter in model.parameters()
        if parameter.grad is not None
    )


def test_the_base_class_says_nothing():
    with pytest.raises(NotImplementedError):
        Alignment(4, 3).loss(None, None, None, None)
