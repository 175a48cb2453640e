import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from pinas_mm.errors import InputError
from pinas_mm.scoring.bn_recalibration import active_bn_layers, recalibrated_bn, supernet_borrowed

ARCHS = [(0, 1, 2, 0, 1, 2, 0, 0), (0, 1, 0, 1, 0, 1, 2, 0), (1, 0, 0, 0, 0, 0, 2, 1)]


@pytest.mark.parametrize('arch', ARCHS[::2])
def test_recalibrated_statistics_are_the_mean_over_batches(nets, model, loaders, arch):
    expected, before = nets.statistics_by_hand(model, arch, loaders[0]), nets.statistics(model)
    assert any(name.startswith('neck.') for name in expected)
    with recalibrated_bn(model, arch, loaders[0]):
        assert (
            not any(module.training for module in model.modules()) and model.backbone.arch == arch
        )
        for name, (mean, variance, batches) in nets.statistics(model).items():
            if name in expected:
                torch.testing.assert_close([mean, variance], expected[name], rtol=1e-4, atol=1e-5)
                assert batches == 2
            else:
                assert all(map(torch.equal, (mean, variance), before[name][:2])) and batches == 7


def test_active_layers_are_those_that_run(nets, model):
    layers, ran = active_bn_layers(model, ARCHS[0]), []
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_hook(lambda layer, inputs, output: ran.append(layer))
    model.backbone.set_arch(ARCHS[0])
    model.eval()(torch.zeros(2, 3, 32, 32), mode='tensor')
    assert ran == sorted(layers, key=ran.index) and len(set(layers)) == len(layers) < len(
        nets.statistics(model)
    )


def test_a_model_that_cannot_share_prefixes_starts_again_without(model, loaders):
    """Images depend on the arch here: BN of the stem would count a batch for each of them."""
    model.data_preprocessor.register_forward_hook(
        lambda module, inputs, output: (
            output | dict(inputs=output['inputs'] * (1 + model.backbone.arch[-1]))
        )
    )
    archs = [(0, 1, 2, 0, 1, 2, 0, 0), (0, 1, 2, 0, 1, 2, 0, 1)]

    def statistics(arch):
        return [
            (layer.running_mean.clone(), layer.running_var.clone(), int(layer.num_batches_tracked))
            for layer in active_bn_layers(model, arch)
        ]

    together = []
    with supernet_borrowed(model) as supernet:
        done = list(supernet.recalibrate(archs, loaders[0]))
        for arch in archs:
            supernet.load_all(arch)
            together.append(statistics(arch))
    assert done == [1, 1, 2, 3, 4], 'the second arch was refused, and all started again'
    for arch, found in zip(archs, together):
        with recalibrated_bn(model, arch, loaders[0]):
            for ours, alone in zip(found, statistics(arch), strict=True):
                assert all(map(torch.equal, ours[:2], alone[:2])) and ours[2] == alone[2] == 2
    assert not torch.equal(together[0][0][0], together[1][0][0])


def test_an_arch_that_was_not_recalibrated_cannot_run(model, loaders):
    with supernet_borrowed(model) as supernet:
        list(supernet.recalibrate(ARCHS[:1], loaders[0]))
        with pytest.raises(RuntimeError, match='no BN statistics of .*: recalibrate the arch'):
            supernet.set_arch(ARCHS[2])


def test_a_layer_with_one_value_per_channel_is_a_user_error(nets, model, loaders):
    """A head that norms each image by itself, behind a global pooling."""
    norm = torch.nn.BatchNorm1d(24)
    model.head.norm = norm
    forward = model.head.forward
    model.head.forward = lambda feats: forward(
        (torch.cat([norm(image[None]) for image in feats[-1]]),)
    )
    with (
        pytest.raises(
            InputError,
            match='a batch of 32 images leaves a BN layer with 1 value per channel, .* '
            'arch_evaluation.calibration_dataloader.batch_size=64',
        ),
        recalibrated_bn(model, ARCHS[0], loaders[0]),
    ):
        pass
