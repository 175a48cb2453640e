import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

import pinas_mm as nas
from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.errors import InputError
from pinas_mm.scoring.bn_recalibration import recalibrated_bn
from pinas_mm.spaces.subnet_file import SubnetFile

IMAGES = torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)


@pytest.fixture(scope='module')
def result(supernet, tmp_path_factory):
    folder = tmp_path_factory.mktemp('search')
    return nas.search(supernet, archs=3, searcher='random', work_dir=folder)


def test_the_model_is_the_network_that_was_scored(result, supernet):
    """The logits are those of the supernet along the arch, with BN of the calibration data."""
    best = result.best
    with (
        recalibrated_bn(supernet.model, best.arch, supernet.evaluator().calibration_loader),
        torch.no_grad(),
    ):
        expected = supernet.model(IMAGES.to(next(supernet.model.parameters()).device)).cpu()
    net = best.model()
    assert isinstance(net, torch.nn.Module) and not net.training
    with torch.no_grad():
        assert torch.allclose(net(IMAGES), expected, atol=1e-5)
    assert sum(each.numel() for each in net.parameters()) == best.costs['params']
    # As the search wrote it.
    state = load_checkpoint(result.work_dir / 'subnet.pth')['state_dict']
    assert net.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_a_saved_subnet_is_loaded_with_its_config_or_as_its_backbone(result, supernet, config):
    best = result.best
    path = best.save('found/net.yaml')
    assert SubnetFile.read(path) == SubnetFile.read(result.work_dir / 'subnet.yaml')
    whole, backbone = nas.load_subnet(path, config), nas.load_subnet(path)
    with torch.no_grad():
        expected = best.model()(IMAGES)
        assert torch.equal(whole(IMAGES), expected)
        assert torch.equal(nas.load_subnet(path, supernet)(IMAGES), expected)
        features = backbone(IMAGES)
        assert len(features) == backbone.space.num_stages + 1  # and the tail
        assert torch.equal(whole.head((features[-1].mean((-2, -1)),)), expected)
    assert not backbone.training


def test_a_network_is_loaded_without_its_data(result, config, tmp_path):
    """Of its config the model alone; what it leaves to the data is in the weights."""
    path = result.best.save('found/net.yaml')
    other = copy.deepcopy(config)
    for key in ('val_dataloader', 'val_evaluator', 'val_cfg', 'arch_evaluation'):
        other.pop(key)
    lost = dict(type='CustomDataset', data_root='lost', pipeline=[])
    other.train_dataloader = dict(batch_size=2, dataset=lost)
    other.model.head.num_classes = other.model.data_preprocessor.num_classes = None
    other.dump('lost.py')
    net = nas.load_subnet(path, 'lost.py')
    assert net.head.num_classes == 10
    with torch.no_grad():
        assert torch.equal(net(IMAGES), result.best.model()(IMAGES))
    assert nas.load_subnet(path, other).head.num_classes == 10
    assert other.model.head.num_classes is None, 'the config itself is left as it was'
    assert nas.load_subnet(path, Path('lost.py')).head.num_classes == 10


@pytest.mark.slow
@pytest.mark.parametrize('name', ['best.onnx', 'best.pt2'])
def test_an_exported_program_computes_the_same(result, name):
    best = result.best
    assert best.export(f'out/{name}').name == name
    pixels = ((IMAGES + 1) * 127.5).round()
    net = best.model()
    with torch.no_grad():
        expected = net((pixels - 127.5) / 127.5).numpy()
    if name.endswith('onnx'):
        onnxruntime = pytest.importorskip('onnxruntime')
        session = onnxruntime.InferenceSession(f'out/{name}')
        (found,) = session.run(None, {'images': pixels.numpy()})
    else:
        found = torch.export.load(f'out/{name}').module()(pixels).detach().numpy()
    assert np.allclose(found, expected, atol=1e-4)


def test_what_does_not_fit_is_named(result, tmp_path):
    best, own = result.best, result.work_dir / 'subnet.yaml'
    for call, message in (
        (lambda: best.export('best.txt'), 'path=best.txt: expected a name that ends in .onnx or'),
        (lambda: best.export('best.pt2', part='head'), "part='head': expected 'classifier' or"),
        (lambda: nas.load_subnet('none.yaml'), 'none.yaml: no such file'),
        (lambda: nas.load_subnet(own, 'none.py'), 'none.py: no such config file'),
        (lambda: nas.load_subnet(own, 3), 'config=int: expected the path of a config file'),
        (lambda: nas.load_subnet(own, Config()), 'its model.backbone is None, expected a search'),
        (lambda: result.subnet('012'), r'arch: \[0, 1, 2\] has 3 entries'),
    ):
        with pytest.raises(InputError, match=message):
            call()
    assert list(tmp_path.iterdir()) == []


def test_it_says_what_it_is(result):
    best = result.best
    names = [best.supernet.space.candidates[i][choice].name for i, choice in enumerate(best.arch)]
    assert best.candidates == names and ', '.join(names) in repr(best)
    assert best.code == ''.join(map(str, best.arch))
    assert best.metrics == {'accuracy/top1': best.score}
