"""The examples of the tutorials about own parts run where the pages say that they go."""

import copy
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample

from pinas_mm.engine.data_settings import open_numbers
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.ranking.training_free import TRAINING_FREE, training_free_scores
from pinas_mm.registry import MODELS
from pinas_mm.searching.searchers import SEARCHERS, build_searcher
from pinas_mm.spaces import SPACES, get_space

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / f'docs/tutorials/{name}.md' for name in ('own_space', 'own_strategy')]
EXAMPLES = dict(
    example
    for page in PAGES
    for example in re.findall(r'```python\n# (\S+)\n(.*?)```', page.read_text(), re.DOTALL)
)


@pytest.fixture(autouse=True)
def registered():
    """What an example registers is known for its test alone."""
    tables = (SEARCHERS, SPACES, TRAINING_FREE, MODELS.module_dict)
    before = [dict(table) for table in tables]
    modules = set(sys.modules)
    yield
    for table, content in zip(tables, before):
        table.clear()
        table.update(content)
    for name in set(sys.modules) - modules:
        if name in map(module_name, EXAMPLES):
            del sys.modules[name]


def module_name(path):
    return path.removesuffix('.py').replace('/', '.')


def load(path):
    assert not (ROOT / path).exists(), f'{path} exists: name another one in the example'
    name = module_name(path)
    module = ModuleType(name)
    module.__package__ = name.rpartition('.')[0]
    sys.modules[name] = module
    exec(compile(EXAMPLES[path], path, 'exec'), vars(module))
    return module


def test_the_example_searcher_finds_a_better_arch_than_its_first():
    load('pinas_mm/searching/searchers/hill_climbing.py')
    searcher = build_searcher(dict(type='hill_climbing'), get_space('nasbench_macro'), None, 0)
    for _ in range(10):
        archs = searcher.ask(8)
        searcher.tell(archs, [float(np.sum(arch)) for arch in archs])
    assert len(set(searcher.archs)) == 80
    assert max(searcher.scores) > max(searcher.scores[:8])


def test_the_example_score_is_the_norm_of_the_gradients_that_backward_gives():
    network = load('pinas_mm/ranking/training_free/gradient_norm.py').GradientNorm
    backbone, images = SearchableMacroNet(widen_factor=0.125), torch.randn(4, 3, 8, 8)
    archs = [(1, 0, 2, 0, 0, 1, 0, 0), (2,) * 8]
    found = training_free_scores(backbone, archs, images, ['gradient_norm'], seed=3)
    for arch, value in zip(archs, found['gradient_norm']):
        fresh = network(backbone, images, 3).network
        fresh.set_arch(arch)
        fresh(images)[-1].sum().backward()
        squares = [p.grad.square().sum() for p in fresh.parameters() if p.grad is not None]
        assert value == pytest.approx(float(sum(squares)) ** 0.5, rel=1e-5)


def test_the_example_space_and_backbone_run_every_arch():
    space = load('pinas_mm/spaces/two_sizes.py').TWO_SIZES
    load('pinas_mm/models/backbones/two_sizes_net.py')
    config = dict(type='pinas_mm.SearchableTwoSizes', widen_factor=0.25)
    net = MODELS.build(config).eval()
    assert get_space('two_sizes') is space is net.space
    for arch in np.ndindex(2, 2, 2):
        net.set_arch(arch)
        subnet = MODELS.build(
            dict(type='pinas_mm.SearchableTwoSizes', widen_factor=0.25, arch=arch)
        ).eval()
        subnet.load_state_dict(net.state_dict(), strict=False)
        images = torch.rand(2, 3, 32, 32)
        assert net(images)[-1].shape == (2, 16, 8, 8)
        torch.testing.assert_close(net(images), subnet(images))


def test_the_example_strategy_sums_two_paths_and_its_config_builds(tmp_path):
    load('pinas_mm/strategies/two_paths.py')
    (name,) = [path for path in EXAMPLES if path.startswith('configs/')]
    text = EXAMPLES[name].replace("'./", f"'{ROOT}/configs/ranking/")
    (tmp_path / 'config.py').write_text(text)
    config = Config.fromfile(tmp_path / 'config.py')
    for _, settings in open_numbers(config):  # otherwise read from the training set
        settings['num_classes'] = 10
    init_default_scope('mmpretrain')
    strategy = MODELS.build(config.model).train()
    batch = dict(
        inputs=list(torch.randint(256, (4, 3, 32, 32))),
        data_samples=[DataSample().set_gt_label(label) for label in range(4)],
    )
    by_hand = copy.deepcopy(strategy)
    optim_wrapper = OptimWrapper(torch.optim.SGD(strategy.parameters(), lr=0.0))
    strategy.accumulate_gradients(copy.deepcopy(batch), optim_wrapper)
    rng = by_hand.arch_rng()
    for arch in [by_hand.space.sample(rng) for _ in range(2)]:
        by_hand.backbone.set_arch(arch)
        data = by_hand.model.data_preprocessor(copy.deepcopy(batch), True)
        by_hand.model.loss(**data)['loss'].backward()
    for (name, found), expected in zip(strategy.named_parameters(), by_hand.parameters()):
        torch.testing.assert_close(found.grad, expected.grad, msg=name)
