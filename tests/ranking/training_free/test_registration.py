"""How scores are named and shared, and how one of another package gets in."""

import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from mmengine.config import Config
from tiny_chain import TinyNet, TinyTanhNet, tiny_net
from torch import nn

from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.ranking.training_free import (
    TRAINING_FREE,
    TrainingFreeScore,
    TrainingFreeScores,
    register_training_free,
    training_free_scores,
)

NAMES = [
    'az_expressivity',
    'az_progressivity',
    'az_trainability',
    'depth',
    'naswot',
    'swap',
    'synflow',
    'wrcor',
]
# One file: all that a new score needs beside its test.
WEIGHT_NORM = """
import numpy as np
import torch

from pinas_mm.ranking.training_free import (
    TrainingFreeScore,
    freshly_initialised,
    register_training_free,
)


@register_training_free('weight_norm', 'noise')
class WeightNorm(TrainingFreeScore):
    def __init__(self, backbone, images, seed=0):
        self.network = freshly_initialised(backbone, seed)

    def __call__(self, arch):
        parameters = [p for m in self.network.path(arch) for p in m.parameters()]
        norm = float(sum(p.detach().square().sum() for p in parameters))
        return dict(weight_norm=norm, noise=float(torch.rand(())))
"""


@pytest.fixture(autouse=True)
def registered():
    before = dict(TRAINING_FREE)
    yield
    TRAINING_FREE.clear()
    TRAINING_FREE.update(before)


@pytest.fixture
def images():
    return torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_ours_are_known():
    assert sorted(TRAINING_FREE) == NAMES


def test_an_arch_has_the_same_scores_whatever_else_is_scored(images):
    backbone = SearchableMacroNet(widen_factor=0.125)
    archs = [backbone.space.sample(np.random.default_rng(i)) for i in range(3)]
    together = training_free_scores(backbone, archs, images, NAMES, seed=1)
    assert list(together) == NAMES
    scores = TrainingFreeScores(backbone, images, NAMES[::-1], seed=1)
    for i in (2, 0, 1, 2):
        alone = scores([archs[i]])
        for name in NAMES:
            assert alone[name].tolist() == [together[name][i]], name
    (naswot,) = training_free_scores(backbone, archs[:1], images, ['naswot'], seed=1).values()
    assert naswot.tolist() == together['naswot'][:1].tolist()
    other = training_free_scores(backbone, archs, images, NAMES, seed=2)
    for name in NAMES:
        assert (other[name] != together[name]).any() == (name != 'depth'), name


def test_the_supernet_and_the_generator_are_left_alone(images):
    backbone = SearchableMacroNet(widen_factor=0.125)
    backbone.init_weights()
    for parameter in backbone.parameters():
        parameter.data.uniform_(-1, 1)
    backbone.set_arch((2,) * 8)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    state = torch.random.get_rng_state()
    found = training_free_scores(backbone, [(1,) * 8], images, NAMES)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert backbone.arch == (2,) * 8 and backbone.training and backbone.part_runner is None
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    fresh = SearchableMacroNet(widen_factor=0.125, frozen_stages=4)
    for name, values in training_free_scores(fresh, [(1,) * 8], images, NAMES).items():
        np.testing.assert_array_equal(values, found[name], err_msg=f'{name} depends on the weights')


def test_names_of_one_class_share_its_pass(images):
    made, passes = [], []

    @register_training_free('one', 'two')
    class Both(TrainingFreeScore):
        def __init__(self, backbone, images, seed=0):
            made.append(seed)

        def __call__(self, arch):
            passes.append(arch)
            return dict(one=1.0, two=float(arch[0]))

    steps = []
    found = training_free_scores(
        tiny_net(),
        [(0, 1), (2, 0)],
        images,
        ['two', 'depth', 'one'],
        4,
        lambda *step: steps.append(step),
    )
    assert {name: values.tolist() for name, values in found.items()} == dict(
        two=[0, 2], depth=[1, 0], one=[1, 1]
    )
    assert made == [4] and passes == [(0, 1), (2, 0)] and steps == [(1, 2), (2, 2)]


def test_a_score_of_another_package(tmp_path, monkeypatch, images):
    package = tmp_path / 'users_scores'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / 'weight_norm.py').write_text(WEIGHT_NORM)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = tmp_path / 'config.py'
    config.write_text("custom_imports = dict(imports=['users_scores.weight_norm'])\n")
    Config.fromfile(config)
    try:
        archs = [(0, 0), (1, 0)]
        found = training_free_scores(tiny_net(), archs, images, ['weight_norm', 'noise'])
        assert found['weight_norm'][1] > found['weight_norm'][0] > 0
        assert found['noise'][0] == found['noise'][1], 'what it draws is the same for every arch'
    finally:
        for name in ('users_scores.weight_norm', 'users_scores'):
            sys.modules.pop(name, None)


def test_an_unknown_name_is_refused_with_the_known_ones(images):
    with pytest.raises(InputError) as caught:
        TrainingFreeScores(tiny_net(), images, ['naswot', 'az_nas'])
    assert str(caught.value) == f"training-free score 'az_nas': expected one of {NAMES}"


def test_a_name_is_given_once():
    with pytest.raises(InputError, match=r"score 'swap': pinas_mm\S+Swap has it, choose another"):
        register_training_free('mine', 'swap')(type('Mine', (TrainingFreeScore,), {}))
    assert 'mine' not in TRAINING_FREE


@pytest.mark.parametrize('name', ['naswot', 'swap', 'wrcor'])
def test_what_counts_activations_needs_some(images, name):
    with pytest.raises(InputError) as caught:
        TrainingFreeScores(TinyTanhNet(), images, ['depth', name])
    assert str(caught.value).startswith(
        f'training-free score {name!r}: TinyTanhNet has no activation that it could count (ReLU, '
    )
    assert '\n' not in str(caught.value)
    others = training_free_scores(TinyTanhNet(), [(1, 1)], images, ['synflow', 'az_trainability'])
    assert all(np.isfinite(values).all() for values in others.values())


def test_dropout_is_the_same_for_every_arch(images):
    class Dropping(TinyNet):
        def activation(self):
            return nn.Sequential(nn.ReLU(), nn.Dropout(0.5))

    scores = TrainingFreeScores(Dropping(), images, ['naswot', 'az_expressivity'])
    once = scores([(1, 1), (1, 0)])
    torch.rand(3)  # what others draw in between
    again = scores([(1, 1), (1, 0)])
    for name, values in once.items():
        assert (
            values.tolist()
            == again[name].tolist()
            == [float(scores([arch])[name][0]) for arch in ((1, 1), (1, 0))]
        )


def test_the_generator_of_the_images_gpu_is_seeded_and_given_back(images, monkeypatch):
    """On no real GPU: what is asked of torch, in order."""
    asked = []

    class OnGPU(torch.Tensor):
        is_cuda = True
        device = torch.device('cuda', 1)

    @contextmanager
    def noted(what, devices):
        asked.append(f'{what} {devices}')
        yield
        asked.append(f'end of {what}')

    monkeypatch.setattr(torch.random, 'fork_rng', lambda devices: noted('fork', devices))
    monkeypatch.setattr(torch.cuda, 'device', lambda device: noted('device', device))
    monkeypatch.setattr(torch.cuda, 'manual_seed', lambda seed: asked.append(f'seed {seed}'))
    TrainingFreeScores(TinyNet(), images.as_subclass(OnGPU), ['depth'], seed=3)([(1, 1)])
    device = OnGPU.device
    assert asked == [
        f'fork {[device]}',
        f'device {device}',
        'seed 3',
        'end of device',
        'end of fork',
    ]
