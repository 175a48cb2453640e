import copy
import math
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, init_default_scope

import pinas_mm  # noqa: F401
from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.errors import InputError

QUEUE, DIM, TEMPERATURE, MOMENTUM = 24, 16, 0.2, 0.9
ARCHS = [(0, 1, 2, 0, 1, 2, 0, 1), (1, 2, 0, 1, 2, 0, 1, 2)]
NONZERO = dict(backbone=dict(zero_init_residual=False))  # every gradient on a path is nonzero


def build(queue_len=QUEUE, channels=320, **kwargs):
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    backbone = dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.25) | kwargs.pop(
        'backbone', {}
    )
    config = dict(
        type='pinas_mm.PiNAS',
        queue_len=queue_len,
        feat_dim=DIM,
        momentum=MOMENTUM,
        backbone=backbone,
        neck=dict(
            type='NonLinearNeck',
            in_channels=channels,
            hid_channels=32,
            out_channels=DIM,
            with_last_bn=False,
            norm_cfg=dict(type='BN1d'),
        ),
        head=dict(
            type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=TEMPERATURE
        ),
    )
    model = MODELS.build(config | kwargs)
    model.init_weights()
    return model


def views(n=8, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, 3, 32, 32, generator=generator) for _ in range(4)]


def by_hand(model, inputs, archs):
    """The step of DESIGN.md written out with plain state dicts and no class of ours but the
    network."""
    student, teacher = (
        copy.deepcopy((model.backbone, model.neck)),
        copy.deepcopy((model.teacher.backbone, model.teacher.neck)),
    )
    queries, keys = [], []
    for arch, query_view, key_view in zip(archs, inputs[::2], inputs[1::2]):
        student[0].set_arch(arch), teacher[0].set_arch(arch)
        queries.append(F.normalize(student[1](student[0](query_view))[0], dim=1))
        chosen = tuple(f'layers.{i}.{choice}.' for i, choice in enumerate(arch))
        with torch.no_grad():
            for part, prefixes in ((0, ('stem.', 'tail.', *chosen)), (1, ('',))):
                source = dict(student[part].named_parameters())
                for name, parameter in teacher[part].named_parameters():
                    if name.startswith(prefixes):
                        parameter.copy_(MOMENTUM * parameter + (1 - MOMENTUM) * source[name])
            keys.append(F.normalize(teacher[1](teacher[0](key_view))[0], dim=1))
    losses = []
    for query, key in ((queries[0], keys[1]), (queries[1], keys[0])):
        logits = (
            torch.cat([(query * key).sum(1, keepdim=True), query @ model.queue.T], dim=1)
            / TEMPERATURE
        )
        losses.append((torch.logsumexp(logits, dim=1) - logits[:, 0]).mean())
    sum(losses).backward()
    return losses, keys, student, teacher


@pytest.mark.parametrize(
    'kwargs, archs',
    [
        ({}, ARCHS),
        (
            dict(
                backbone=dict(type='pinas_mm.SearchableShuffleNetV2', stem_stride=1), channels=256
            ),
            [(0, 1, 2, 3) * 5, (3, 0, 1, 2) * 5],
        ),
    ],
)
def test_the_step_equals_the_one_written_out(kwargs, archs):
    # In double precision: rounding grows through many layers of BN.
    model, inputs = build(**kwargs).double(), [view.double() for view in views()]
    with torch.no_grad():  # a student that is ahead of its teacher
        for parameter in [*model.backbone.parameters(), *model.neck.parameters()]:
            parameter.add_(0.02 * torch.randn_like(parameter))
    losses, keys, student, teacher = by_hand(model, inputs, archs)
    queue = model.queue.clone()
    result = model.loss(inputs, archs=archs)
    (result['loss_path0'] + result['loss_path1']).backward()

    torch.testing.assert_close([result['loss_path0'], result['loss_path1']], losses)
    for part, expected in ((model.backbone, student[0]), (model.neck, student[1])):
        for (name, ours), (_, theirs) in zip(part.named_parameters(), expected.named_parameters()):
            assert (ours.grad is None) == (theirs.grad is None), name
            if ours.grad is not None:
                torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)
    for part, expected in ((model.teacher.backbone, teacher[0]), (model.teacher.neck, teacher[1])):
        torch.testing.assert_close(
            OrderedDict(part.state_dict()), OrderedDict(expected.state_dict())
        )
    torch.testing.assert_close(model.queue[:8], (keys[0] + keys[1]) / 2)
    assert torch.equal(model.queue[8:], queue[8:]) and int(model.queue_pointer) == 8


def test_monitors():
    model, inputs = build(), views()
    result = model.loss(inputs, archs=ARCHS)
    mean = (result['loss_path0'] + result['loss_path1']).item() / 2
    assert result['nce_ratio'].item() == pytest.approx(mean / math.log(QUEUE + 1))
    assert (
        0 < result['feature_spread'].item() <= 1 and -1 <= result['positive_similarity'].item() <= 1
    )
    loss, log = model.parse_losses(result)
    assert loss.item() == pytest.approx(2 * mean), 'only the two losses are summed'
    assert {'nce_ratio', 'positive_similarity', 'feature_spread'} <= log.keys()


def test_drawn_archs_differ_in_every_slot_and_depend_on_the_step():
    model = build()
    draws = [model.draw_archs() for _ in range(5)]
    assert all(a != b for pair in draws for a, b in zip(*pair)) and len(set(map(tuple, draws))) == 5
    again = build()
    again.step = 3
    assert again.draw_archs() == draws[3]
    assert build(arch_seed=1).draw_archs() != draws[0]


def test_archs_can_be_drawn_by_probabilities():
    model = build(probabilities=[0, 1, 1])
    assert all({a, b} == {1, 2} for _ in range(5) for a, b in zip(*model.draw_archs()))
    with pytest.raises(InputError, match='probabilities of PiNAS: .* numbers for the slots'):
        build(probabilities=[1, 1])
    with pytest.raises(InputError, match='fewer candidates with a probability above 0'):
        build(probabilities=[0, 1, 0])


@pytest.mark.parametrize('amp', [False, True])
def test_what_did_not_run_is_not_moved(amp):
    model = build(**NONZERO)
    optimiser = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    )
    for archs in (ARCHS, [ARCHS[1], tuple(2 - a for a in ARCHS[1])]):
        before = {name: value.clone() for name, value in model.backbone.named_parameters()}
        with optimiser.optim_context(model), torch.autocast('cpu', torch.bfloat16, enabled=amp):
            losses = model.loss(views(), archs=archs)
        optimiser.update_params(model.parse_losses(losses)[0])
        ran = (
            'stem.',
            'tail.',
            *(f'layers.{i}.{choice}.' for arch in archs for i, choice in enumerate(arch)),
        )
        for name, value in model.backbone.named_parameters():
            assert torch.equal(value, before[name]) != name.startswith(ran), name


def test_by_default_decay_spares_what_it_spares_in_the_published_code():
    """There every parameter has a gradient, and the optimiser hook takes away those that are all
    zero."""
    ours, theirs = build(**NONZERO), build(decay_inactive=True, **NONZERO)
    optimisers = [
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
        for model in (ours, theirs)
    ]
    for seed in range(3):
        for model, optimiser in zip((ours, theirs), optimisers):
            optimiser.zero_grad()
            model.parse_losses(model.loss(views(seed=seed)))[0].backward()
            for parameter in model.parameters() if model is theirs else ():
                if parameter.grad is not None and parameter.grad.abs().sum() == 0:
                    parameter.grad = None
            optimiser.step()
    torch.testing.assert_close(
        OrderedDict(ours.state_dict()), OrderedDict(theirs.state_dict()), rtol=0, atol=0
    )


def test_decay_inactive_moves_it():
    model = build(decay_inactive=True)
    optimiser = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1))
    left = model.backbone.layers[0]['2']
    before = [value.clone() for value in left.parameters()]
    optimiser.update_params(model.parse_losses(model.loss(views(), archs=ARCHS))[0])
    for old, new in zip(before, left.parameters()):
        torch.testing.assert_close(new.data, old * (1 - 0.1 * 0.1))


@pytest.mark.parametrize('batches', [(7, 7), (7, 7, 7, 7), (24, 5), (60,), (5, 60)])
def test_the_queue_holds_the_last_keys_whatever_the_batch(batches):
    model = build()
    before, sent = model.queue.clone(), torch.randn(sum(batches), DIM)
    for batch in sent.split(batches):
        model.enqueue(batch)
    oldest_first = torch.roll(model.queue, -int(model.queue_pointer), dims=0)
    assert torch.equal(oldest_first, torch.cat([before, sent])[-QUEUE:])


def test_the_teacher_starts_as_the_student_also_from_pretrained_weights(tmp_path):
    first = build()
    save_checkpoint(
        tmp_path / 'net.pth',
        {f'backbone.{k}': v + 1 for k, v in first.backbone.state_dict().items()},
        {},
    )
    model = build(
        backbone=dict(
            init_cfg=dict(
                type='Pretrained', checkpoint=str(tmp_path / 'net.pth'), prefix='backbone.'
            )
        )
    )
    for ours, theirs, loaded in zip(
        model.teacher.backbone.state_dict().values(),
        model.backbone.state_dict().values(),
        first.backbone.state_dict().values(),
    ):
        assert torch.equal(ours, theirs) and torch.equal(ours, loaded + 1)


def test_state_dict_carries_queue_teacher_and_step():
    model, other = build(), build()
    for seed in range(2):
        model.loss(views(seed=seed))
    other.load_state_dict(model.state_dict())
    assert int(other.step) == 2 and int(other.queue_pointer) == 16
    first, second = model.loss(views(seed=9)), other.loss(views(seed=9))
    assert torch.equal(first['loss_path0'], second['loss_path0'])


def test_bad_input_is_named():
    model = build()
    with pytest.raises(InputError, match='2 view'):
        model.loss(views()[:2])
    with pytest.raises(InputError, match='1 view'):
        model.loss(views()[0])
    with pytest.raises(InputError, match='trains a supernet'):
        build(backbone=dict(arch='22222222'))
