import copy

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.evaluation import Accuracy, ConfusionMatrix, SingleLabelMetric
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from pinas_mm.engine.loaders import calibration_loader, seeded_loader, whole_set_loader
from pinas_mm.errors import InputError, TooFewSamplesError, warn_once
from pinas_mm.models.backbones.elastic import KernelMatrices
from pinas_mm.scoring.bn_recalibration import active_bn_layers, recalibrated_bn
from pinas_mm.scoring.evaluator import ArchEvaluator
from pinas_mm.scoring.race import Race
from pinas_mm.searching.score import Score
from pinas_mm.searching.search import Failure, to_record
from pinas_mm.subnets.state_dict import subnet_state_dict

ARCHS = [(0, 1, 2, 0, 1, 2, 0, 0), (0, 1, 0, 1, 0, 1, 2, 0), (1, 0, 0, 0, 0, 0, 2, 1)]


def top1():
    return Evaluator([Accuracy(topk=(1,))])


class Watching(Accuracy):
    """Keeps the BN statistics and the predictions that each arch was scored with."""

    def __init__(self, model, log):
        super().__init__(topk=(1,))
        self.model, self.sink, self.own = model, log.append, {}

    def process(self, data_batch, data_samples):
        if not self.own:
            self.sink(self.own)
        arch = self.model.backbone.arch
        active = {id(layer) for layer in active_bn_layers(self.model, arch)}
        self.own['arch'] = arch
        self.own['bn'] = [
            (layer.running_mean.clone(), layer.running_var.clone(), int(layer.num_batches_tracked))
            for layer in self.model.modules()
            if id(layer) in active
        ]
        self.own.setdefault('scores', []).extend(
            sample['pred_score'].clone() for sample in data_samples
        )
        super().process(data_batch, data_samples)


def evaluate(model, loaders, archs, **kwargs):
    log = []
    metrics = ArchEvaluator(
        model, *loaders, lambda: Evaluator([Watching(model, log)]), **kwargs
    ).evaluate(archs)
    return metrics, {own['arch']: own for own in log}


def assert_equal(ours, theirs):
    """Bit by bit: the BN statistics that two archs were scored with, and their predictions."""
    for first, second in zip(ours['bn'], theirs['bn'], strict=True):
        assert (
            torch.equal(first[0], second[0])
            and torch.equal(first[1], second[1])
            and first[2] == second[2]
        )
    assert torch.equal(torch.stack(ours['scores']), torch.stack(theirs['scores']))


def many(space, n=12):
    """Random archs and their mutants: long and short common prefixes."""
    rng = np.random.default_rng(0)
    parents = [space.sample(rng) for _ in range(n // 3)]
    return [
        arch
        for parent in parents
        for arch in (parent, space.mutate(parent, 0.2, rng), space.mutate(parent, 0.2, rng))
    ]


@pytest.mark.slow
def test_many_archs_together_equal_each_alone(model, loaders):
    archs = many(model.backbone.space)
    together, log = evaluate(model, loaders, archs)
    plain, plain_log = evaluate(model, loaders, archs, share_prefixes=False)
    for index, arch in enumerate(archs):
        (alone,), alone_log = evaluate(model, loaders, [arch])
        assert alone == together[index] == plain[index]
        assert_equal(log[arch], alone_log[arch])
        assert_equal(plain_log[arch], alone_log[arch])
    assert not torch.allclose(
        torch.stack(log[archs[0]]['scores']), torch.stack(log[archs[3]]['scores'])
    )


@pytest.mark.slow
def test_archs_of_cells_together_equal_each_alone(nets, loaders):
    """All cells read the same slots, so that archs share the stem only. The third arch gives a
    constant."""
    model = nets.build(backbone='SearchableNASBench201', channels=8)
    archs = [(3, 1, 2, 4, 3, 2), (0, 2, 3, 1, 1, 4), (0,) * 6, (3, 1, 2, 4, 3, 3)]
    stems = []
    model.backbone.stem.register_forward_hook(lambda *_: stems.append(1))
    together, log = evaluate(model, loaders, archs)
    batches = sum(map(len, loaders))
    assert len(stems) == batches
    for index, arch in enumerate(archs):
        (alone,), alone_log = evaluate(model, loaders, [arch])
        assert alone == together[index] and np.isfinite(alone['accuracy/top1'])
        assert_equal(log[arch], alone_log[arch])
    assert len(stems) == 5 * batches
    assert (
        torch.stack(log[archs[2]]['scores']).std(dim=0).max()
        < 1e-6
        < torch.stack(log[archs[0]]['scores']).std(dim=0).max()
    )


def test_archs_of_shuffle_blocks_together_equal_each_alone(nets, loaders):
    """Channels that pass by are a view of what the block before has put out."""
    model = nets.build(backbone='SearchableShuffleNetV2', channels=128)
    archs = [(0,) * 20, (0,) * 19 + (3,), (0, 1, 2, 3) * 5]
    together, log = evaluate(model, loaders, archs)
    for index, arch in enumerate(archs):
        (alone,), alone_log = evaluate(model, loaders, [arch])
        assert alone == together[index]
        assert_equal(log[arch], alone_log[arch])


# ResNet-18: a depth, then the widths of two blocks, for every stage. Sorted as tuples, archs that
# share their first blocks would not stand together.
ELASTIC = [
    tuple(map(int, text))
    for text in (
        '122' '122' '122' '122',
        '022' '122' '122' '122',
        '121' '000' '122' '000',
        '102' '122' '122' '122',
        '022' '100' '022' '122',
        '021' '100' '122' '122',
        '120' '110' '011' '121',
        '122' '022' '122' '120',
    )
]  # fmt: skip


def test_archs_whose_candidates_share_weights_together_equal_each_alone(nets, loaders):
    model = nets.build(backbone='ElasticResNet', channels=64, depth=18)
    backbone, runs = model.backbone, []
    for stage in (1, 2, 3, 4):
        for block in getattr(backbone, f'layer{stage}'):
            block.register_forward_hook(lambda *_: runs.append(1))
    together, log = evaluate(model, loaders, ELASTIC)
    shared, runs[:] = len(runs), []
    # By hand: what an output depends on are the widths of the blocks before it that run.
    paths = set()
    for arch in ELASTIC:
        ran = []
        for stage in range(4):
            depth, *widths = arch[3 * stage : 3 * stage + 3]
            for number in range(depth + 1):
                ran.append((stage, number, widths[number]))
                paths.add(tuple(ran))
    assert shared == len(paths) * sum(map(len, loaders))
    for index, arch in enumerate(ELASTIC):
        (alone,), alone_log = evaluate(model, loaders, [arch], share_prefixes=False)
        assert alone == together[index]
        assert_equal(log[arch], alone_log[arch])
    # The first two are one network but for the last block of the first stage.
    assert not torch.equal(
        torch.stack(log[ELASTIC[0]]['scores']), torch.stack(log[ELASTIC[1]]['scores'])
    )


@pytest.mark.parametrize('backbone', ['ElasticMobileNetV2', 'ElasticEfficientNetLite0'])
def test_archs_of_inverted_residuals_together_equal_each_alone(nets, loaders, backbone):
    model = nets.build(backbone=backbone, channels=1280)
    space = model.backbone.space
    archs = [space.largest, *many(space, 3), space.smallest]
    together, log = evaluate(model, loaders, archs)
    for index, arch in enumerate(archs):
        (alone,), alone_log = evaluate(model, loaders, [arch], share_prefixes=False)
        assert alone == together[index]
        assert_equal(log[arch], alone_log[arch])


@pytest.mark.parametrize('norm', ['BN', 'SyncBN'])
def test_a_part_of_the_weights_is_scored_as_the_subnet_that_has_them(nets, loaders, norm):
    """With statistics of its own part of every BN layer."""
    arch, kwargs = ELASTIC[6], dict(backbone='ElasticResNet', channels=64, depth=18)
    model = nets.build(**kwargs, norm_cfg=dict(type=norm))
    subnet = nets.build(arch, **kwargs)
    subnet.load_state_dict(subnet_state_dict(model, arch))
    ours, theirs = (evaluate(net, loaders, [arch])[1][arch] for net in (model, subnet))
    torch.testing.assert_close(torch.stack(ours['scores']), torch.stack(theirs['scores']))
    narrower = 0
    for whole, own in zip(ours['bn'], theirs['bn'], strict=True):
        assert whole[2] == own[2] == len(loaders[0])
        narrower += len(own[0]) < len(whole[0])
        for a, b in zip(whole[:2], own[:2]):
            torch.testing.assert_close(a[: len(b)], b)
    assert narrower == 5
    folded = evaluate(model, loaders, [arch], fold_bn=True)[1][arch]
    torch.testing.assert_close(
        torch.stack(folded['scores']), torch.stack(ours['scores']), rtol=1e-4, atol=1e-5
    )


def test_archs_with_learned_kernels_and_squeezes_together_equal_each_alone(nets, loaders):
    model = nets.build(backbone='ElasticMobileNetV3', channels=160, strides=(1, 2, 2, 1, 2))
    backbone = model.backbone
    for module in backbone.modules():
        if isinstance(module, KernelMatrices):
            for matrix in module.values():
                matrix.data += 0.2 * torch.randn_like(matrix)
    # Another kernel of the last block of the second stage, and of the first block of all.
    first = backbone.space.sample(np.random.default_rng(0))
    archs = [
        tuple((choice + 1) % 3 if slot == changed else choice for slot, choice in enumerate(first))
        for changed in (None, 13, 2)
    ]
    together, log = evaluate(model, loaders, archs)
    assert len({torch.stack(own['scores']).std().item() for own in log.values()}) == 3
    for index, arch in enumerate(archs):
        (alone,), alone_log = evaluate(model, loaders, [arch], share_prefixes=False)
        assert alone == together[index]
        assert_equal(log[arch], alone_log[arch])
    subnet = nets.build(first, backbone='ElasticMobileNetV3', channels=160, strides=(1, 2, 2, 1, 2))
    subnet.load_state_dict(subnet_state_dict(model, first))
    ours, theirs = log[first], evaluate(subnet, loaders, [first])[1][first]
    torch.testing.assert_close(torch.stack(ours['scores']), torch.stack(theirs['scores']))
    # A folded kernel is made of folded ones: what is folded in are factors of channels.
    folded = evaluate(model, loaders, [first], fold_bn=True)[1][first]
    torch.testing.assert_close(
        torch.stack(folded['scores']), torch.stack(ours['scores']), rtol=1e-4, atol=1e-5
    )


class InPlace(nn.Module):
    """A neck that changes the backbone's output; mmseg and mmdet have such."""

    def forward(self, x):
        x[0].mul_(1.1)
        return (x[-1].mean(dim=(2, 3)),)


class TwoScales(nn.Module):
    """A backbone that is called twice per step; the second input depends on the arch if
    ``mixed``."""

    def __init__(self, backbone, mixed):
        super().__init__()
        self.backbone, self.mixed = backbone, mixed

    def forward(self, x):
        first = self.backbone(x)[0]
        again = x[:, :, ::2, ::2] + (first.mean() if self.mixed else 0)
        return (first.mean(dim=(2, 3)) + self.backbone(again)[0].mean(dim=(2, 3)),)


@pytest.mark.slow
@pytest.mark.parametrize('case', ['in_place', 'in_place_stage', 'windows', 'mixed'])
def test_any_use_of_the_backbone_is_exact(model, loaders, case, monkeypatch):
    model.neck = InPlace() if case.startswith('in_place') else nn.Identity()
    if case == 'in_place_stage':
        model.backbone.out_indices = (1, 3)
    model.head.fc = nn.Linear(160, 10)
    if case in ('windows', 'mixed'):
        twice = TwoScales(model.backbone, case == 'mixed')
        monkeypatch.setattr(model, 'extract_feat', lambda inputs, *args, **kwargs: twice(inputs))
    archs = many(model.backbone.space, 6)
    together, log = evaluate(model, loaders, archs)
    for index, arch in enumerate(archs):
        (alone,), alone_log = evaluate(model, loaders, [arch], share_prefixes=False)
        assert alone == together[index]
        assert_equal(log[arch], alone_log[arch])


def test_what_is_shared_runs_once_per_batch(model, loaders):
    """Counted at the modules, against the number of different prefixes."""
    runs, archs = [], many(model.backbone.space)
    for module in (
        model.backbone.stem,
        *(block for layer in model.backbone.layers for block in layer.values()),
    ):
        module.register_forward_hook(lambda *_: runs.append(1))
    evaluate(model, loaders, archs[::-1])
    batches = len(loaders[0]) + len(loaders[1])
    assert (
        len(runs)
        == batches * (1 + len({arch[:end] for arch in archs for end in range(1, 9)}))
        < 9 * batches * len(archs)
    )


@pytest.mark.slow
def test_an_arch_that_raises_fails_alone(model, loaders):
    archs = many(model.backbone.space)
    expected, _ = evaluate(model, loaders, archs)
    block, calls = model.backbone.layers[5][str(archs[0][5])], []

    def out_of_memory(module, inputs):
        calls.append(1)
        if len(calls) > 1:  # not in the first batch: half of the statistics are there by then
            raise torch.OutOfMemoryError('no memory')

    block.register_forward_pre_hook(out_of_memory)
    results, _ = evaluate(model, loaders, archs)
    failed = [arch[5] == archs[0][5] for arch in archs]
    assert any(failed) and not all(failed)
    for arch, result, before, fails in zip(archs, results, expected, failed):
        assert result == (Failure('OutOfMemoryError: no memory') if fails else before), arch


def test_an_arch_whose_scoring_raises_fails_alone(model, loaders):
    expected, _ = evaluate(model, loaders, ARCHS)
    step = model.val_step

    def failing(data):
        if model.backbone.arch == ARCHS[1]:
            raise ValueError('boxes\nout of bounds')
        return step(data)

    model.val_step = failing
    assert evaluate(model, loaders, ARCHS)[0] == [
        expected[0],
        Failure('ValueError: boxes'),
        expected[2],
    ]


def test_half_precision_is_near(model, loaders):
    exact = evaluate(model, loaders, ARCHS)[1]
    half = evaluate(model, loaders, ARCHS, autocast=torch.bfloat16)[1]
    for arch in ARCHS:
        difference = torch.stack(exact[arch]['scores']) - torch.stack(half[arch]['scores']).float()
        assert 0 < difference.abs().max() < 0.1


@pytest.mark.slow
def test_folded_bn_is_equal_up_to_rounding_and_gone_afterwards(model, loaders):
    archs = many(model.backbone.space, 6)
    before, forwards = (
        copy.deepcopy(model.state_dict()),
        [module.forward for module in model.modules()],
    )
    runs = []
    handles = [
        module.register_forward_hook(lambda m, inputs, output: runs.append(output is inputs[0]))
        for module in model.modules()
        if isinstance(module, _BatchNorm)
    ]
    exact, folded = (
        evaluate(model, loaders, archs)[1],
        evaluate(model, loaders, archs, fold_bn=True)[1],
    )
    assert any(runs), 'some BN layers passed their input on'
    for arch in archs:
        torch.testing.assert_close(
            torch.stack(exact[arch]['scores']),
            torch.stack(folded[arch]['scores']),
            rtol=1e-4,
            atol=1e-5,
        )
    for handle in handles:
        handle.remove()
    after = model.state_dict()
    assert before.keys() == after.keys() and all(
        torch.equal(before[key], after[key]) for key in before
    )
    assert [module.forward for module in model.modules()] == forwards
    assert all(
        isinstance(parameter, nn.Parameter)
        for module in model.modules()
        for parameter in module._parameters.values()
        if parameter is not None
    )


def test_layers_that_share_a_convolution_are_not_folded(model, loaders):
    """As in heads with BN per level around one convolution; and SyncBN is put back."""

    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bns = (
                nn.Conv2d(160, 24, 1),
                nn.ModuleList([nn.BatchNorm2d(24), nn.SyncBatchNorm(24)]),
            )
            nn.init.constant_(self.bns[1].weight, 3)

        def forward(self, x):
            return (
                sum(bn(self.conv(x[-1] * (1 + i))) for i, bn in enumerate(self.bns)).mean(
                    dim=(2, 3)
                ),
            )

    model.neck = Shared()
    model.train()
    before = [(module.training, getattr(module, 'momentum', None)) for module in model.modules()]
    exact, folded = (
        evaluate(model, loaders, ARCHS)[1],
        evaluate(model, loaders, ARCHS, fold_bn=True)[1],
    )
    for arch in ARCHS:
        torch.testing.assert_close(
            torch.stack(exact[arch]['scores']),
            torch.stack(folded[arch]['scores']),
            rtol=1e-4,
            atol=1e-5,
        )
    assert [
        (module.training, getattr(module, 'momentum', None)) for module in model.modules()
    ] == before
    assert not any('forward' in module.__dict__ for module in model.modules())


@pytest.mark.slow
def test_inputs_changed_in_place_are_those_of_no_other_arch(model, loaders):
    forward = model.backbone.stem[0].forward
    model.backbone.stem[0].forward = lambda x: forward(x.mul_(0.9))
    together, log = evaluate(model, loaders, many(model.backbone.space, 6))
    for arch in log:
        assert_equal(log[arch], evaluate(model, loaders, [arch], share_prefixes=False)[1][arch])


def test_bn_layers_that_calibration_does_not_run_keep_their_statistics(model, loaders):
    """Such as an auxiliary head's, which only the training loss runs."""
    model.auxiliary = nn.BatchNorm2d(4)
    model.auxiliary.running_mean.fill_(5)
    with recalibrated_bn(model, ARCHS[0], loaders[0]):
        assert (
            model.auxiliary.running_mean.tolist() == [5] * 4
            and int(model.auxiliary.num_batches_tracked) == 0
        )


class Scripted(Accuracy):
    """An arch has a sample right with a probability that its first choice decides; some archs raise
    or are not finite."""

    def __init__(self, model):
        super().__init__(topk=(1,))
        self.model = model

    def process(self, data_batch, data_samples):
        first, *_, last = self.model.backbone.arch
        if last == 2:
            raise ValueError('broken')
        for number in range(len(self.results), len(self.results) + len(data_samples)):
            right = np.random.default_rng(number).random() < (0.2, 0.6, 0.9)[first]
            score = torch.tensor([0.0, float('nan') if last == 1 else 1.0])
            self.results.append(dict(pred_score=score, gt_label=torch.tensor([int(right)])))


@pytest.mark.slow
def test_a_race_drops_losers_and_spares_the_rest(nets, model, loaders):
    """300 samples in batches of 50; those with first choice 2 are far ahead of those with 0."""
    scoring = whole_set_loader(nets.dataloader('held_out', 50), None, 0, shuffle=True)
    archs = [
        (first, *rest, 0)
        for first in (0, 1, 2)
        for rest in ((0, 1, 2, 0, 1, 2), (1, 1, 1, 0, 0, 0))
    ]
    seen = []

    def run(race):
        evaluator = ArchEvaluator(
            model, loaders[0], scoring, lambda: Evaluator([Scripted(model)]), race=race
        )
        evaluator.on_progress = lambda done, total: seen.append(done)
        return evaluator.evaluate(archs)

    plain, raced = run(None), run(Race('accuracy/top1', top_k=2))
    samples = [result['samples'] for result in raced]
    assert samples[4:] == [300, 300] and max(samples[:2]) < 300, (
        'the first choice 0 is dropped early, 2 never'
    )
    for result, before, number in zip(raced, plain, samples):
        if number == 300:
            assert result == before | dict(samples=300.0)
    assert 0 < raced[0]['accuracy/top1'] < 40


@pytest.mark.slow
def test_a_race_survives_an_arch_that_fails(nets, model, loaders):
    scoring = whole_set_loader(nets.dataloader('held_out', 50), None, 0, shuffle=True)
    archs = [(first, 0, 1, 2, 0, 1, 2, last) for first in (0, 1, 2) for last in (0, 2)]
    race = Race('accuracy/top1', top_k=1)
    results = ArchEvaluator(
        model, loaders[0], scoring, lambda: Evaluator([Scripted(model)]), race=race
    ).evaluate(archs)
    assert [result == Failure('ValueError: broken') for result in results] == [False, True] * 3


def test_what_is_no_number_is_left_out_of_the_metrics(model, loaders):
    (metrics,) = ArchEvaluator(
        model, *loaders, lambda: Evaluator([Accuracy(), ConfusionMatrix(num_classes=10)])
    ).evaluate(ARCHS[:1])
    assert list(metrics) == ['accuracy/top1']


def test_metrics_are_built_once_and_keep_their_results_apart(model, loaders):
    built = []

    def build():
        built.append(Accuracy(topk=(1,)))
        return Evaluator([built[-1]])

    evaluator = ArchEvaluator(model, *loaders, build)
    assert (
        evaluator.evaluate(ARCHS) == evaluator.evaluate(ARCHS) == evaluate(model, loaders, ARCHS)[0]
    )
    assert len(built) == 1 and built[0].results == []


def test_the_same_evaluator_on_other_loaders(model, loaders):
    """All its options but the race, and metrics of their own."""
    built, seen = [], []

    def build():
        built.append(1)
        return top1()

    evaluator = ArchEvaluator(
        model,
        *loaders,
        build,
        autocast=torch.bfloat16,
        share_prefixes=False,
        fold_bn=True,
        race=Race('accuracy/top1'),
        on_progress=lambda done, total: seen.append(done),
    )
    swapped = evaluator.on_loaders(loaders[0], loaders[0])
    expected, _ = evaluate(
        model, [loaders[0]] * 2, ARCHS, autocast=torch.bfloat16, share_prefixes=False, fold_bn=True
    )
    assert swapped.evaluate(ARCHS) == expected and len(built) == 1 and not seen
    assert evaluator.loader is loaders[1] and evaluator.race is not None


def test_progress_counts_every_arch_and_batch(model, loaders):
    seen = []
    evaluate(model, loaders, ARCHS, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 15) for done in range(1, 16)]


def trained(nets, model, loader):
    """A few steps over the archs, so that an accuracy is not that of guessing."""
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(7):
        for batch, arch in zip(loader, (ARCHS[step % 3], ARCHS[(step + 1) % 3]), strict=True):
            model.backbone.set_arch(arch)
            images, labels = nets.images_and_labels(batch)
            loss = nn.functional.cross_entropy(model(images, mode='tensor'), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model


@pytest.mark.slow
def test_accuracy_is_that_of_the_plain_subnet(nets, model, loaders):
    trained(nets, model, loaders[0])
    metrics, _ = evaluate(model, loaders, ARCHS)
    for arch, scores in zip(ARCHS, metrics):
        subnet = nets.build(arch)
        state = subnet_state_dict(model, arch)
        for name, (mean, variance) in nets.statistics_by_hand(model, arch, loaders[0]).items():
            state |= {f'{name}.running_mean': mean, f'{name}.running_var': variance}
        subnet.load_state_dict(state)
        right = []
        with torch.no_grad():
            for batch in loaders[1]:
                images, labels = nets.images_and_labels(batch)
                right.append(subnet.eval()(images, mode='tensor').argmax(dim=1) == labels)
        assert len(torch.cat(right)) == 60
        assert scores == {
            'accuracy/top1': pytest.approx(100 * torch.cat(right).float().mean().item())
        }
        assert scores['accuracy/top1'] > 20

        # Without recalibration the statistics are those of all archs mixed: other scores.
        model.backbone.set_arch(arch)
        with torch.no_grad():
            mixed = model.eval()(images, mode='tensor')
            assert (mixed - subnet(images, mode='tensor')).abs().max() > 0.1


def test_dropout_is_off(model, loaders):
    plain = evaluate(model, loaders, ARCHS[:1])
    model.backbone.stem.append(nn.Dropout(0.5))
    model.backbone.tail.append(nn.Dropout2d(0.5))
    model.train()
    metrics, log = evaluate(model, loaders, ARCHS[:1])
    assert metrics == plain[0]
    assert_equal(log[ARCHS[0]], plain[1][ARCHS[0]])


class Failing(Accuracy):
    def process(self, data_batch, data_samples):
        super().process(data_batch, data_samples)
        if len(self.results) == 50:
            raise KeyboardInterrupt


class Unreadable:
    """A loader that fails at its second batch."""

    def __init__(self, loader):
        self.loader = loader

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        yield next(iter(self.loader))
        raise OSError('unreadable')

    def __getattr__(self, name):
        return getattr(self.loader, name)


@pytest.mark.parametrize('active', [None, ARCHS[2]])
@pytest.mark.parametrize('event', ['success', 'metric', 'calibration', 'scoring', 'failure'])
def test_the_supernet_is_left_as_it_was(model, loaders, event, active, monkeypatch):
    model.train()
    model.neck.eval()
    model.backbone.layers[0]['1'].eval()
    for momentum, layer in enumerate(
        layer for layer in model.modules() if isinstance(layer, _BatchNorm)
    ):
        layer.momentum = None if momentum == 3 else 0.01 * momentum
    if active:
        model.backbone.set_arch(active)
    before = copy.deepcopy(model.state_dict())
    flags = [(module.training, getattr(module, 'momentum', None)) for module in model.modules()]

    calibration, scoring = loaders
    calibration = Unreadable(calibration) if event == 'calibration' else calibration
    scoring = Unreadable(scoring) if event == 'scoring' else scoring
    metrics = (lambda: Evaluator([Failing(topk=(1,))])) if event == 'metric' else top1
    evaluator = ArchEvaluator(model, calibration, scoring, metrics)
    if event == 'success':
        assert len(evaluator.evaluate(ARCHS)) == 3
    elif event == 'failure':
        with monkeypatch.context() as patch:
            patch.setattr(type(model.head), 'predict', lambda *args, **kwargs: 1 / 0)
            assert evaluator.evaluate(ARCHS) == [Failure('ZeroDivisionError: division by zero')] * 3
    else:
        with pytest.raises(KeyboardInterrupt if event == 'metric' else OSError):
            evaluator.evaluate(ARCHS)

    assert model.backbone._arch == active and model.backbone.part_runner is None
    assert [
        (module.training, getattr(module, 'momentum', None)) for module in model.modules()
    ] == flags
    after = model.state_dict()
    assert before.keys() == after.keys() and all(
        torch.equal(before[key], after[key]) for key in before
    )
    assert all(
        parameter.requires_grad and parameter.grad is None for parameter in model.parameters()
    )


def test_data_is_read_with_its_own_batches_only(model, loaders):
    """60 of the held-out samples, each once, and the calibration samples are none of them."""
    log = []
    ArchEvaluator(model, *loaders, lambda: Evaluator([Watching(model, log)])).evaluate(ARCHS[:1])
    assert len(log[0]['scores']) == 60
    read = [
        {image.numpy().tobytes() for batch in loader for image in batch['inputs']}
        for loader in loaders
    ]
    assert [len(images) for images in read] == [64, 60] and not read[0] & read[1]


@pytest.mark.slow
def test_too_small_calibration_batches_are_an_error(nets, model, loaders):
    small = seeded_loader(nets.dataloader('learning', 8), 4)
    before = nets.statistics(model)
    with pytest.raises(
        InputError, match='a batch of 8 images for BN recalibration: expected at least 16'
    ):
        ArchEvaluator(model, small, loaders[1], top1).evaluate(ARCHS)
    assert all(
        torch.equal(a, b)
        for name in before
        for a, b in zip(before[name][:2], nets.statistics(model)[name][:2])
    )


@pytest.mark.slow
def test_no_data_is_an_error(nets, model, loaders):
    empty = DataLoader(loaders[1].dataset, 400, drop_last=True)
    with pytest.raises(
        InputError, match='the scoring loader has no batch: 300 samples at batch size 400'
    ):
        ArchEvaluator(model, loaders[0], empty, top1)
    with pytest.raises(InputError, match='the calibration loader has no batch'):
        ArchEvaluator(model, empty, loaders[1], top1)
    with (
        pytest.raises(InputError, match='no data for BN recalibration'),
        recalibrated_bn(model, ARCHS[0], []),
    ):
        pass
    with pytest.raises(InputError, match='no whole batch of 64 in 12 samples'):
        calibration_loader(
            nets.dataloader('held_out', 64)
            | dict(dataset=dict(type='pinas_mm.Digits', split='held_out', indices=12, pipeline=[])),
            2,
        )


def test_a_model_without_a_supernet_is_named(loaders):
    other = nn.Module()
    other.backbone = nn.Conv2d(3, 3, 1)
    with pytest.raises(InputError, match='Module has no searchable backbone'):
        ArchEvaluator(other, *loaders, top1)
    assert isinstance(loaders[1], DataLoader)


def test_several_metrics_of_archs_against_their_logits(model, loaders, nets):
    """The evaluator's scores, and the same worked out from the logits of one arch at a time."""

    def both():
        return Evaluator([dict(type='Accuracy', topk=(1,)), dict(type='pinas_mm.LabelLikelihood')])

    found = ArchEvaluator(model, *loaders, both).evaluate(ARCHS)
    reference = ArchEvaluator(model, *loaders, both)
    for arch, metrics in zip(ARCHS, found):
        assert metrics.keys() == {'accuracy/top1', 'score/neg_loss', 'score/margin'}
        losses, margins = [], []
        with reference.recalibrated(arch), torch.no_grad():
            for batch in loaders[1]:
                images, labels = nets.images_and_labels(batch)
                logits = model(images, mode='tensor')
                losses += torch.nn.functional.cross_entropy(
                    logits, labels, reduction='none'
                ).tolist()
                true = logits.gather(1, labels[:, None])[:, 0]
                margins += (
                    true - logits.scatter(1, labels[:, None], -torch.inf).max(dim=1).values
                ).tolist()
        assert metrics['score/neg_loss'] == pytest.approx(-np.mean(losses), rel=1e-4)
        assert metrics['score/margin'] == pytest.approx(np.mean(margins), rel=1e-4)


class Unready(Accuracy):
    """A metric that fails at some point, or needs some samples."""

    default_prefix = 'unready'

    def __init__(self, place, at_least=0, error=AssertionError):
        super().__init__(topk=(1,))
        self.place, self.at_least, self.error = place, at_least, error

    def process(self, data_batch, data_samples):
        if self.place == 'process':
            raise self.error('no annotations')
        super().process(data_batch, data_samples)

    def compute_metrics(self, results):
        if self.place == 'compute' and len(results) < self.at_least:
            raise self.error('too few')
        return {} if self.place == 'nothing' else super().compute_metrics(results)


@pytest.mark.parametrize(
    'metric, score, message',
    [
        (Unready('process'), None, r'it cannot take a sample: AssertionError: no annotations'),
        (
            Unready('compute', at_least=61),
            None,
            'it cannot be computed on 60 samples: AssertionError: too few',
        ),
        (
            Unready(None),
            'unready/top5',
            r"score='unready/top5' is not among the metrics evaluated: \['unready/top1'\]",
        ),
    ],
)
def test_a_metric_that_cannot_be_computed_is_named_before_anything_is_scored(
    model, loaders, metric, score, message
):
    build = lambda: Evaluator([copy.deepcopy(metric)])  # noqa: E731
    evaluator = ArchEvaluator(model, *loaders, build, scores=[score] if score else [])
    with pytest.raises(InputError, match=r'^val_evaluator \(Unready\): ' + message):
        evaluator.check()
    with pytest.raises(InputError, match='^test_evaluator'):
        evaluator.check('test_evaluator')


def test_the_check_reads_two_samples_and_leaves_the_supernet_as_it_was(nets, model, loaders):
    before, arch, read = nets.statistics(model), model.backbone._arch, []
    step = model.val_step
    model.val_step = lambda batch: read.append(len(batch['inputs'])) or step(batch)
    ArchEvaluator(model, *loaders, top1, scores=['accuracy/top1']).check()
    assert (
        read == [2]
        and model.backbone._arch == arch
        and nets.statistics(model).keys() == (before.keys())
    )
    for name, (mean, variance, batches) in nets.statistics(model).items():
        assert torch.equal(mean, before[name][0]) and torch.equal(variance, before[name][1])
        assert batches == before[name][2]


@pytest.mark.parametrize(
    'metric',
    [
        Unready('compute', at_least=40),  # which 64 samples have, and two have not
        Unready('compute', at_least=10**6, error=TooFewSamplesError),
        Unready('nothing'),
    ],
)
def test_a_metric_that_two_samples_say_nothing_about_is_not_refused(model, loaders, metric):
    build = lambda: Evaluator([copy.deepcopy(metric)])  # noqa: E731
    ArchEvaluator(model, *loaders, build, scores=['unready/top1']).check()


class Shy(Accuracy):
    """Computes nothing where few samples are right, as mmdet's metrics without a detection."""

    default_prefix = 'shy'

    def __init__(self, least):
        super().__init__(topk=(1,))
        self.least = least

    def compute_metrics(self, results):
        found = super().compute_metrics(results)
        return found if found['top1'] >= self.least else {}


def test_an_arch_without_its_score_beside_another_metric_has_failed(model, loaders):
    """It ended the whole search as a score that is not among the metrics."""
    right = [
        found['accuracy/top1'] for found in ArchEvaluator(model, *loaders, top1).evaluate(ARCHS)
    ]
    least = sorted(right)[1]
    build = lambda: Evaluator([Shy(least), dict(type='pinas_mm.LabelLikelihood')])  # noqa: E731
    found = ArchEvaluator(model, *loaders, build, scores=['shy/top1']).evaluate(ARCHS)
    worst = right.index(min(right))
    assert found[worst] == Failure('no shy/top1: Shy computed nothing')
    others = [result for index, result in enumerate(found) if index != worst]
    assert others and all(result['shy/top1'] >= least for result in others)
    record = to_record(0, ARCHS[worst], found[worst], Score('shy/top1'), {})
    assert record.score is None and record.error == 'no shy/top1: Shy computed nothing'


class Flow:
    """Measures without weights; nothing flows through one of the archs."""

    names = ('flow',)

    def __call__(self, archs):
        return dict(flow=np.array([-np.inf if arch == ARCHS[1] else sum(arch) for arch in archs]))


def test_what_needs_no_weights_is_measured_beside_the_metrics(model, loaders):
    alone = ArchEvaluator(model, *loaders, top1).evaluate(ARCHS)
    evaluator = ArchEvaluator(
        model, *loaders, top1, scores=['accuracy/top1', 'flow'], training_free=Flow()
    )
    evaluator.check()
    expected = [found | dict(flow=float(sum(arch))) for arch, found in zip(ARCHS, alone)]
    expected[1] = Failure('flow is -inf: nothing flows through this arch, or it changes nothing')
    assert evaluator.evaluate(ARCHS) == expected


def test_where_no_score_needs_weights_none_are_used(model, loaders, monkeypatch):
    def never(*args):
        raise AssertionError('the supernet runs')

    monkeypatch.setattr(ArchEvaluator, '_recalibrate', never)
    evaluator = ArchEvaluator(model, *loaders, top1, scores=['flow'], training_free=Flow())
    evaluator.check()
    assert evaluator.evaluate(ARCHS[::2]) == [dict(flow=6.0), dict(flow=4.0)]


def test_a_measure_that_raises_for_an_arch_fails_that_arch(model, loaders):
    class Breaks(Flow):
        def __call__(self, archs):
            if ARCHS[2] in archs:
                raise RuntimeError('no convergence')
            return super().__call__(archs)

    evaluator = ArchEvaluator(model, *loaders, top1, scores=['flow'], training_free=Breaks())
    found = evaluator.evaluate([ARCHS[2], ARCHS[0]])
    assert found == [Failure('RuntimeError: no convergence'), dict(flow=6.0)]


class Counting(SingleLabelMetric):
    """Keeps every prediction, and how many samples all its copies keep at a time; fails for an
    arch."""

    def __init__(self, model, held, fails=()):
        super().__init__()
        self.model, self.sink, self.fails = model, held, fails

    def __deepcopy__(self, memo):
        return Counting(self.model, self.sink, self.fails)

    def process(self, data_batch, data_samples):
        if self.model.backbone.arch in self.fails:
            raise ValueError('broken')
        super().process(data_batch, data_samples)
        self.sink.now[id(self)] = len(self.results)
        self.sink.most = max(self.sink.most, sum(self.sink.now.values()))


class Held:
    def __init__(self):
        self.now, self.most = {}, 0

    def follow(self, evaluator, monkeypatch):
        """Forgets the copies that the evaluator has dropped."""
        compute = evaluator._computed

        def computed(metrics, report):
            found = compute(metrics, report)
            self.now.pop(id(metrics.evaluator.metrics[0]))
            return found

        monkeypatch.setattr(evaluator, '_computed', computed)


def test_archs_whose_results_are_too_large_are_scored_in_several_passes(
    nets, model, loaders, monkeypatch
):
    """Of 11 archs two fit beside each other. The fifth fails."""
    archs = sorted(set(many(model.backbone.space)))
    held, steps, read = Held(), [], []

    def run(results_mb):
        evaluator = ArchEvaluator(
            model,
            *loaders,
            lambda: Evaluator([Counting(model, held, archs[4:5]), top1().metrics[0]]),
            on_progress=lambda done, total: steps.append(done / total),
            results_mb=results_mb,
        )
        held.follow(evaluator, monkeypatch)
        found = evaluator.evaluate(archs)
        return found, evaluator.bytes_per_batch

    whole, bytes_per_batch = run(1024)
    assert whole[4] == Failure('ValueError: broken') and held.most == (len(archs) - 1) * 60
    assert 25 * 1000 < bytes_per_batch < 25 * 3000
    shown, steps[:] = steps[-1], []
    held.now.clear()
    held.most = 0
    monkeypatch.setattr(
        type(loaders[1]),
        '__iter__',
        lambda self, i=DataLoader.__iter__: read.append(self) or i(self),
    )
    parts, _ = run(2.5 * 3 * bytes_per_batch / 2**20)
    assert parts == whole, 'bit by bit'
    assert held.most == 2 * 60
    # One for the calibration; the arch that fails leaves its place in a pass to another.
    assert read.count(loaders[0]) == 1 and read.count(loaders[1]) == len(archs) // 2 == 5
    assert steps[-1] == max(steps) == shown


@pytest.fixture
def warned(monkeypatch):
    messages = []
    monkeypatch.setattr(
        'mmengine.logging.print_log', lambda message, **kwargs: messages.append(message)
    )
    warn_once.cache_clear()
    yield messages
    warn_once.cache_clear()


def test_results_that_never_fit_are_said_once(model, loaders, warned):
    def run(race):
        build = lambda: Evaluator([SingleLabelMetric(), *top1().metrics])  # noqa: E731
        evaluator = ArchEvaluator(model, *loaders, build, race=race, results_mb=0.01)
        return evaluator.evaluate(ARCHS)

    alone = run(None)
    assert warned == ['the metrics of 1 arch(s) keep more than 0.01 MB of results']
    raced = run(Race('accuracy/top1', top_k=2))
    assert warned[1:] == [
        'the metrics of 3 arch(s) keep more than 0.01 MB of results, which a race needs at once: '
        'lower ask_size'
    ]
    assert raced == [result | dict(samples=60.0) for result in alone]
