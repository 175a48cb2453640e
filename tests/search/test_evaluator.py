import copy

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.evaluation import Accuracy
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from pinas_mm.engine.loaders import calibration_loader, whole_set_loader
from pinas_mm.errors import InputError
from pinas_mm.search.evaluator import ArchEvaluator, active_bn_layers, recalibrated_bn
from pinas_mm.search.subnet import subnet_state_dict

ARCHS = [(0, 1, 2, 0, 1, 2, 0, 0), (0, 1, 0, 1, 0, 1, 2, 0), (1, 0, 0, 0, 0, 0, 2, 1)]


def dataloader(split, batch_size, **kwargs):
    dataset = dict(type='pinas_mm.Digits', split=split, pipeline=[dict(type='PackInputs')])
    return dict(batch_size=batch_size, num_workers=0, dataset=dataset, sampler=None) | kwargs


def build(arch=None):
    """BN in the neck too; affine parameters and statistics are random, so that none is trivial. Channels last is faster on CPUs."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type='ImageClassifier',
        backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.125, arch=arch),
        neck=dict(type='LinearNeck', in_channels=160, out_channels=24, gap_dim=2, norm_cfg=dict(type='BN1d')),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=24),
        data_preprocessor=dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=False)))
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
                tensor.uniform_(0.5, 1.5)
            layer.num_batches_tracked.fill_(7)
    return model.to(memory_format=torch.channels_last)


@pytest.fixture(scope='module')
def loaders():
    init_default_scope('mmpretrain')
    return calibration_loader(dataloader('learning', 32), 2), whole_set_loader(dataloader('held_out', 25), 60)


@pytest.fixture
def model():
    return build()


def top1():
    return Evaluator([Accuracy(topk=(1, ))])


def images_and_labels(batch):
    """The pre-processing written out."""
    images = torch.stack(list(batch['inputs'])).float()
    return (images - 127.5) / 127.5, torch.tensor([int(sample.gt_label) for sample in batch['data_samples']])


def statistics_by_hand(model, arch, loader):
    """Per BN layer of the plain subnet, whose layers all use their batch's own statistics: the batches' means, averaged."""
    subnet = build(arch)
    subnet.load_state_dict(subnet_state_dict(model, arch))
    subnet.train()
    seen = {}

    def before(name):
        def hook(layer, inputs):
            x = inputs[0].transpose(0, 1).flatten(1)
            seen.setdefault(name, []).append((x.mean(dim=1), x.var(dim=1, unbiased=True)))
        return hook

    for name, layer in subnet.named_modules():
        if isinstance(layer, _BatchNorm):
            layer.register_forward_pre_hook(before(name))
    with torch.no_grad():
        for batch in loader:
            subnet(images_and_labels(batch)[0], mode='tensor')
    return {name: [torch.stack(values).mean(dim=0) for values in zip(*batches)] for name, batches in seen.items()}


def statistics(model):
    return {name: (layer.running_mean.clone(), layer.running_var.clone(), int(layer.num_batches_tracked))
            for name, layer in model.named_modules() if isinstance(layer, _BatchNorm)}


@pytest.mark.parametrize('arch', ARCHS[::2])
def test_recalibrated_statistics_are_the_mean_over_batches(model, loaders, arch):
    expected, before = statistics_by_hand(model, arch, loaders[0]), statistics(model)
    assert any(name.startswith('neck.') for name in expected)
    with recalibrated_bn(model, arch, loaders[0]):
        assert not any(module.training for module in model.modules()) and model.backbone.arch == arch
        for name, (mean, variance, batches) in statistics(model).items():
            if name in expected:
                torch.testing.assert_close([mean, variance], expected[name], rtol=1e-4, atol=1e-5)
                assert batches == 2
            else:
                assert all(map(torch.equal, (mean, variance), before[name][:2])) and batches == 7


def test_active_layers_are_those_that_run(model):
    layers, ran = active_bn_layers(model, ARCHS[0]), []
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_hook(lambda layer, inputs, output: ran.append(layer))
    model.backbone.set_arch(ARCHS[0])
    model.eval()(torch.zeros(2, 3, 32, 32), mode='tensor')
    assert ran == sorted(layers, key=ran.index) and len(set(layers)) == len(layers) < len(statistics(model))


class Watching(Accuracy):
    """Keeps the BN statistics and the predictions that each arch was scored with."""

    def __init__(self, model, log):
        super().__init__(topk=(1, ))
        self.model, self.log, self.own = model, log, {}

    def process(self, data_batch, data_samples):
        if not self.own:
            self.log.append(self.own)
        arch = self.model.backbone.arch
        active = {id(layer) for layer in active_bn_layers(self.model, arch)}
        self.own['arch'] = arch
        self.own['bn'] = [value for name, value in statistics(self.model).items() if id(self.model.get_submodule(name)) in active]
        self.own.setdefault('scores', []).extend(sample['pred_score'].clone() for sample in data_samples)
        super().process(data_batch, data_samples)


def evaluate(model, loaders, archs):
    log = []
    metrics = list(ArchEvaluator(model, *loaders, lambda: Evaluator([Watching(model, log)])).evaluate(archs))
    return metrics, log


def test_many_archs_together_equal_each_alone(model, loaders):
    together, log = evaluate(model, loaders, iter(ARCHS))
    for index, arch in enumerate(ARCHS):
        (alone, ), (alone_log, ) = evaluate(model, loaders, [arch])
        assert alone == together[index] and alone_log['arch'] == log[index]['arch'] == arch
        for ours, theirs in zip(log[index]['bn'], alone_log['bn'], strict=True):
            assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1]) and ours[2] == theirs[2]
        assert torch.equal(torch.stack(log[index]['scores']), torch.stack(alone_log['scores']))
    assert not torch.allclose(torch.stack(log[0]['scores']), torch.stack(log[2]['scores']))


def trained(model, loader):
    """A few steps over the archs, so that an accuracy is not that of guessing."""
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(7):
        for batch, arch in zip(loader, (ARCHS[step % 3], ARCHS[(step + 1) % 3]), strict=True):
            model.backbone.set_arch(arch)
            images, labels = images_and_labels(batch)
            loss = nn.functional.cross_entropy(model(images, mode='tensor'), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model


def test_accuracy_is_that_of_the_plain_subnet(model, loaders):
    trained(model, loaders[0])
    metrics, _ = evaluate(model, loaders, ARCHS)
    for arch, scores in zip(ARCHS, metrics):
        subnet = build(arch)
        state = subnet_state_dict(model, arch)
        for name, (mean, variance) in statistics_by_hand(model, arch, loaders[0]).items():
            state |= {f'{name}.running_mean': mean, f'{name}.running_var': variance}
        subnet.load_state_dict(state)
        right = []
        with torch.no_grad():
            for batch in loaders[1]:
                images, labels = images_and_labels(batch)
                right.append(subnet.eval()(images, mode='tensor').argmax(dim=1) == labels)
        assert len(torch.cat(right)) == 60
        assert scores == {'accuracy/top1': pytest.approx(100 * torch.cat(right).float().mean().item())}
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
    assert metrics == plain[0] and torch.equal(torch.stack(log[0]['scores']), torch.stack(plain[1][0]['scores']))
    assert all(torch.equal(a, b) for ours, theirs in zip(log[0]['bn'], plain[1][0]['bn']) for a, b in zip(ours[:2], theirs[:2]))


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
@pytest.mark.parametrize('event', ['success', 'metric', 'calibration', 'scoring', 'abandoned'])
def test_the_supernet_is_left_as_it_was(model, loaders, event, active):
    model.train()
    model.neck.eval()
    model.backbone.layers[0]['1'].eval()
    for momentum, layer in enumerate(layer for layer in model.modules() if isinstance(layer, _BatchNorm)):
        layer.momentum = None if momentum == 3 else 0.01 * momentum
    if active:
        model.backbone.set_arch(active)
    before = copy.deepcopy(model.state_dict())
    flags = [(module.training, getattr(module, 'momentum', None)) for module in model.modules()]

    calibration, scoring = loaders
    calibration = Unreadable(calibration) if event == 'calibration' else calibration
    scoring = Unreadable(scoring) if event == 'scoring' else scoring
    metrics = (lambda: Evaluator([Failing(topk=(1, ))])) if event == 'metric' else top1
    results = ArchEvaluator(model, calibration, scoring, metrics).evaluate(ARCHS)
    if event == 'success':
        assert len(list(results)) == 3
    elif event == 'abandoned':
        next(results)
    else:
        with pytest.raises(KeyboardInterrupt if event == 'metric' else OSError):
            list(results)

    assert model.backbone._arch == active
    assert [(module.training, getattr(module, 'momentum', None)) for module in model.modules()] == flags
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_data_is_read_with_its_own_batches_only(model, loaders):
    """60 of the held-out samples, each once, and the calibration samples are none of them."""
    log = []
    list(ArchEvaluator(model, *loaders, lambda: Evaluator([Watching(model, log)])).evaluate(ARCHS[:1]))
    assert len(log[0]['scores']) == 60
    read = [{image.numpy().tobytes() for batch in loader for image in batch['inputs']} for loader in loaders]
    assert [len(images) for images in read] == [64, 60] and not read[0] & read[1]


def test_too_small_calibration_batches_are_an_error(model, loaders):
    small = calibration_loader(dataloader('learning', 8), 4)
    before = statistics(model)
    with pytest.raises(InputError, match='a batch of 8 images for BN recalibration: expected at least 16'):
        next(ArchEvaluator(model, small, loaders[1], top1).evaluate(ARCHS))
    assert all(torch.equal(a, b) for name in before for a, b in zip(before[name][:2], statistics(model)[name][:2]))


def test_no_data_is_an_error(model, loaders):
    empty = whole_set_loader(dataloader('held_out', 100, drop_last=True), 60)
    with pytest.raises(InputError, match='the scoring loader has no batch: 300 samples at batch size 100'):
        ArchEvaluator(model, loaders[0], empty, top1)
    with pytest.raises(InputError, match='the calibration loader has no batch'):
        ArchEvaluator(model, empty, loaders[1], top1)
    with pytest.raises(InputError, match='no data for BN recalibration'), recalibrated_bn(model, ARCHS[0], []):
        pass
    with pytest.raises(InputError, match='no whole batch of 64 in 40 samples'):
        calibration_loader(dataloader('held_out', 64) | dict(dataset=dict(
            type='pinas_mm.Digits', split='held_out', indices=40, pipeline=[])), 2)


def test_a_model_without_a_supernet_is_named(loaders):
    other = nn.Module()
    other.backbone = nn.Conv2d(3, 3, 1)
    with pytest.raises(InputError, match='Module has no searchable backbone'):
        ArchEvaluator(other, *loaders, top1)
    assert isinstance(loaders[1], DataLoader)
