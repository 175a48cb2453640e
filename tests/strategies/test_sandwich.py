import copy

import numpy as np
import pytest
import torch

from pinas_mm.costs import CostTable
from pinas_mm.errors import InputError
from pinas_mm.spaces import arch_rng
from pinas_mm.spaces.nasbench_macro import NASBENCH_MACRO
from pinas_mm.strategies.sandwich import extreme_archs


def test_the_largest_learns_from_labels_and_the_others_from_it(nets):
    strategy = nets.build('sandwich', num_random=1)
    archs = strategy.draw_archs()
    assert archs == [(2,) * 8, (0,) * 8, strategy.space.sample(arch_rng(0, 0))]
    by_hand = copy.deepcopy(strategy)
    data = by_hand.model.data_preprocessor(nets.batch(), True)
    labels = torch.cat([sample.gt_label for sample in data['data_samples']])

    def logits(arch):
        by_hand.model.backbone.set_arch(arch)
        return by_hand.model(data['inputs'], mode='tensor')

    with torch.no_grad():
        probabilities = logits(archs[0]).softmax(dim=1)

    def from_labels():
        return -logits(archs[0]).log_softmax(dim=1)[range(6), labels].mean()

    def from_largest(arch):
        """The gradient of a divergence is that of the cross-entropy with soft labels."""
        return -(probabilities * logits(arch).log_softmax(dim=1)).sum(dim=1).mean()

    losses = [from_labels, lambda: from_largest(archs[1]), lambda: from_largest(archs[2])]
    expected = nets.sum_of_passes(by_hand, losses)
    optim_wrapper = nets.recording(strategy)
    logged = strategy.train_step(nets.batch(), optim_wrapper)
    nets.assert_same_gradients(optim_wrapper.updates[0], expected, rtol=1e-4, atol=1e-6)

    entropy = -(probabilities * probabilities.log()).sum(dim=1).mean()
    divergences = torch.stack([loss().detach() - entropy for loss in losses[1:]])
    torch.testing.assert_close(logged['loss_label'], from_labels().detach())
    torch.testing.assert_close(logged['loss_distillation'], divergences.mean())
    torch.testing.assert_close(logged['loss'], (from_labels().detach() + divergences.sum()) / 3)


def test_random_archs_are_a_function_of_seed_and_step(nets):
    strategy = nets.build('sandwich')
    first = strategy.draw_archs()
    assert first == strategy.draw_archs() and len(first) == 4 and first[2] != first[3]
    strategy.step += 1
    assert strategy.draw_archs()[:2] == first[:2] and strategy.draw_archs()[2:] != first[2:]


def table(macs, params, space=NASBENCH_MACRO):
    """The same costs in every slot."""
    tables = {
        name: [np.array(costs)] * space.num_slots
        for name, costs in (('macs', macs), ('params', params))
    }
    return CostTable(space, dict(macs=5, params=5), tables)


def test_extreme_archs():
    assert extreme_archs(table([20, 10, 30], [5, 4, 6])) == ((1,) * 8, (2,) * 8)
    assert extreme_archs(table([10, 10, 30], [5, 4, 6])) == ((1,) * 8, (2,) * 8), (
        'parameters decide where MACs are equal'
    )
    assert extreme_archs(table([10, 20, 30], [4, 5, 5])) == ((0,) * 8, (2,) * 8), (
        'and MACs where parameters are'
    )


@pytest.mark.parametrize(
    'macs, params, which',
    [
        ([0, 10, 30], [0, 6, 5], 'largest'),
        ([0, 10, 30], [2, 1, 5], 'smallest'),
        ([0, 0, 30], [0, 0, 5], 'smallest'),
        ([0, 30, 30], [0, 5, 5], 'largest'),
    ],
)
def test_a_space_without_extremes_is_refused(macs, params, which):
    with pytest.raises(
        InputError, match=f"space 'nasbench_macro' has no {which} arch.*slot 0.*identity.*mb6_k5"
    ):
        extreme_archs(table(macs, params))


def test_the_candidates_of_resnest50_have_no_order(nets):
    """Their costs are almost equal by design, and MACs and parameters disagree."""
    message = (
        r"space 'resnest50' has no smallest arch.*slot 1 .*radix1_groups1_width64 \+0 MACs "
        r'\+356 parameters'
    )
    with pytest.raises(InputError, match=message):
        nets.build(
            'sandwich', model=nets.classifier(type='pinas_mm.SearchableResNeSt', widen_factor=0.25)
        )


def elastic(nets, depth):
    """A classifier on an elastic ResNet."""
    model = nets.classifier(type='pinas_mm.ElasticResNet', depth=depth)
    model['neck']['in_channels'] = 64 * (1 if depth < 50 else 4)
    return model


def test_the_largest_arch_of_an_elastic_space_is_the_whole_network(nets):
    strategy = nets.build('sandwich', model=elastic(nets, 18), num_random=1)
    largest, smallest, drawn = strategy.draw_archs()
    assert (largest, smallest) == (strategy.space.largest, strategy.space.smallest)
    optim_wrapper = nets.recording(strategy)
    logged = strategy.train_step(nets.batch(), optim_wrapper)
    assert logged['loss'].isfinite() and logged['loss_distillation'] > 0
    # The whole network learns.
    assert all(gradient is not None for gradient in optim_wrapper.updates[0].values())


def test_strict_fairness_runs_every_depth_and_width_once(nets):
    archs = nets.build('fair', model=elastic(nets, 34)).draw_archs()
    assert [sorted(column) for column in zip(*archs)] == [[0, 1, 2]] * 20


def test_two_paths_of_an_elastic_space_always_share_weights(nets):
    with pytest.raises(
        InputError,
        match='SupervisedPiStrategy learns from two paths that share no weights, .* ElasticResNet '
        r'.*expected SandwichStrategy, FairStrategy or ArchSamplingHook',
    ):
        nets.build('supervised_pi', model=elastic(nets, 18))


@pytest.mark.parametrize('kind', ['sandwich', 'supervised_pi'])
def test_only_classifiers_have_class_scores(nets, kind):
    backbone = dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.125)
    segmentor = dict(
        type='mmseg.EncoderDecoder',
        backbone=backbone,
        decode_head=dict(type='mmseg.FCNHead', in_channels=160, channels=8, num_classes=3),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )
    with pytest.raises(
        InputError, match='its model is a EncoderDecoder: expected mmpretrain.*FairStrategy works'
    ):
        nets.build(kind, model=segmentor)
    with pytest.raises(
        InputError, match='its model is a ImageClassifier with a MultiLabelLinearClsHead: expected'
    ):
        nets.build(
            kind,
            model=nets.classifier()
            | dict(head=dict(type='MultiLabelLinearClsHead', num_classes=10, in_channels=24)),
        )


def test_without_random_archs_the_largest_and_the_smallest_are_left(nets):
    assert nets.build('sandwich', num_random=0).draw_archs() == [(2,) * 8, (0,) * 8]
