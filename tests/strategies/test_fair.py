import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.spaces import SearchSpace, arch_rng
from pinas_mm.strategies.fair import FairStrategy


def by_hand(nets, strategy, archs, data):
    """The sum of the gradients of single-path trainings of a copy, and the copy, which has seen the
    batch once per arch."""
    strategy = copy.deepcopy(strategy)
    model = strategy.model
    data = model.data_preprocessor(data, True)

    def loss(arch):
        model.backbone.set_arch(arch)
        return model.parse_losses(model(**data, mode='loss'))[0]

    return nets.sum_of_passes(strategy, [lambda arch=arch: loss(arch) for arch in archs]), model


def test_every_candidate_runs_once_and_its_gradient_is_that_of_its_pass(nets):
    strategy = nets.build('fair')
    archs = strategy.draw_archs()
    expected, plain = by_hand(nets, strategy, archs, nets.batch())
    optim_wrapper = nets.recording(strategy)
    logged = strategy.train_step(nets.batch(), optim_wrapper)
    (found,) = optim_wrapper.updates
    nets.assert_same_gradients(found, expected, rtol=1e-4, atol=1e-6)
    assert all(gradient is not None for gradient in found.values()), 'every candidate has one'
    assert all(parameter.grad is None for parameter in strategy.parameters()), (
        'the next step starts anew'
    )

    single, losses = nets.build('fair').model, []
    for arch in archs:
        gradient, model = by_hand(nets, strategy, [arch], nets.batch())
        ran = tuple(f'model.backbone.layers.{i}.{choice}.' for i, choice in enumerate(arch))
        nets.assert_same_gradients(
            {name: value for name, value in found.items() if name.startswith(ran)},
            {name: value for name, value in gradient.items() if name.startswith(ran)},
            rtol=1e-4,
            atol=1e-6,
        )
        single.backbone.set_arch(arch)
        data = single.data_preprocessor(nets.batch(), True)
        losses.append(single.loss(**data)['loss'])
    torch.testing.assert_close(logged['loss'], torch.stack(losses).mean().detach())

    # BN: what all paths share has seen the batch three times, a candidate once; as if the single
    # passes had followed one another.
    for (name, ours), theirs in zip(strategy.model.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)
        if name.endswith('num_batches_tracked'):
            assert ours == (1 if name.startswith('backbone.layers.') else 3), name


def test_archs_are_permutations_and_a_function_of_seed_and_step(nets):
    strategy, other = nets.build('fair'), nets.build('fair', arch_seed=1)
    seen = []
    for step in range(4):
        strategy.step = step
        archs = strategy.draw_archs()
        assert (
            archs == strategy.draw_archs() == strategy.space.sample_disjoint(arch_rng(0, step), 3)
        )
        assert all(sorted(choices) == [0, 1, 2] for choices in zip(*archs))
        seen.append(archs)
    assert len({str(archs) for archs in seen}) == 4 and other.draw_archs() != seen[0]


def test_slots_with_different_numbers_of_candidates_are_refused(nets, monkeypatch):
    space = SearchableMacroNet.space
    uneven = SearchSpace(
        'uneven',
        (space.candidates[0][:2], *space.candidates[1:]),
        space.positions,
        space.stem_channels,
        1280,
    )
    monkeypatch.setattr(SearchableMacroNet, 'space', uneven)
    with pytest.raises(
        InputError,
        match=r"'uneven' have different numbers of candidates: \(2, 3, 3, 3, 3, 3, 3, 3\); exp",
    ):
        nets.build('fair')


def test_a_segmentor_trains_as_well(nets):
    init_default_scope('mmseg')
    head = dict(
        type='FCNHead',
        channels=8,
        num_convs=1,
        num_classes=3,
        norm_cfg=dict(type='BN'),
        dropout_ratio=0.0,
    )
    torch.manual_seed(0)
    strategy = FairStrategy(
        dict(
            type='EncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor', mean=[100.0] * 3, std=[50.0] * 3, size=(32, 32)
            ),
            backbone=dict(
                type='pinas_mm.SearchableMacroNet',
                widen_factor=0.125,
                out_indices=(1, 2),
                zero_init_residual=False,
            ),
            decode_head=dict(head, in_channels=32, in_index=1),
            auxiliary_head=dict(head, in_channels=16, in_index=0),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        )
    ).train()

    def data():
        generator = torch.Generator().manual_seed(0)
        labels = torch.randint(3, (4, 1, 32, 32), generator=generator)
        samples = [
            SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=dict(img_shape=(32, 32)))
            for label in labels
        ]
        return dict(
            inputs=list(torch.randint(256, (4, 3, 32, 32), generator=generator)),
            data_samples=samples,
        )

    expected, _ = by_hand(nets, strategy, strategy.draw_archs(), data())
    optim_wrapper = nets.recording(strategy)
    logged = strategy.train_step(data(), optim_wrapper)
    nets.assert_same_gradients(optim_wrapper.updates[0], expected, rtol=1e-3, atol=1e-5)
    assert {'loss', 'decode.loss_ce', 'aux.loss_ce', 'decode.acc_seg'} <= logged.keys()
    torch.testing.assert_close(logged['loss'], logged['decode.loss_ce'] + logged['aux.loss_ce'])
