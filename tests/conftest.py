import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import digit_supernets
import pytest
import torch
from mmengine.registry import init_default_scope
from tiny_runner import Tiny
from yapf.yapflib import yapf_api

from pinas_mm.engine.loaders import calibration_loader, whole_set_loader

# mmengine lays out a config's text at every run and checkpoint, which takes longer than the rest of
# a small run; it says the same without.
yapf_api.FormatCode = lambda text, **style: (text, True)

# Small tensors: one thread each, and pytest-xdist uses the cores.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with the most slow tests come first: at the end no worker runs one of them alone."""
    slow = Counter(module_of(item) for item in items if item.get_closest_marker('slow'))
    items.sort(key=lambda item: -slow[module_of(item)])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """A tool decides for its whole process how torch loads, and a test may run one in its own."""
    names = ('TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD')
    before = {name: os.environ.get(name) for name in names}
    try:
        return (yield)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def module_of(item: pytest.Item) -> str:
    return item.nodeid.partition('::')[0]


@pytest.fixture
def nasbench_macro_sample() -> Path:
    """300 archs of NAS-Bench-Macro with their figures, in the benchmark's own form."""
    return Path(__file__).with_name('data') / 'nas-bench-macro_sample.json'


@pytest.fixture
def published_names():
    """Gives the tensors of a ResNeSt subnet under the names of the published retrained backbones,
    written out by hand."""
    blocks = [(stage, index) for stage, depth in enumerate((3, 4, 6, 3)) for index in range(depth)]

    def rename(net, prefix='', stem='', stage_name='layer', first=1):
        state = {}
        for key, value in net.state_dict().items():
            part, *rest = key.split('.')
            if part == 'stem':
                number, name = rest
                key = f'{stem}bn1.{name}' if number == '7' else f'{stem}conv1.{number}.{name}'
            else:
                position, choice, *rest = rest
                stage, index = blocks[int(position)]
                rest = ['downsample', *rest] if choice == 'shortcut' else rest
                key = '.'.join([f'{stage_name}{stage + first}', str(index), *rest])
            state[f'{prefix}{key}'] = value
        return state

    return rename


@pytest.fixture
def tiny(tmp_path):
    """Small configs in a folder of their own."""
    init_default_scope('mmpretrain')
    return Tiny(tmp_path)


@pytest.fixture(scope='module')
def loaders():
    """Batches of digits to recalibrate with, and to score on."""
    init_default_scope('mmpretrain')
    dataloader = digit_supernets.dataloader
    return calibration_loader(dataloader('learning', 32), 2), whole_set_loader(
        dataloader('held_out', 25), 60
    )


@pytest.fixture
def model():
    """A small supernet with its classifier."""
    return digit_supernets.build()


@pytest.fixture
def nets():
    """The functions of digit_supernets.py."""
    return SimpleNamespace(
        **{
            name: getattr(digit_supernets, name)
            for name in (
                'build',
                'dataloader',
                'images_and_labels',
                'statistics',
                'statistics_by_hand',
            )
        }
    )


@pytest.fixture
def bn_warnings(monkeypatch):
    """What supernets said about BN statistics that are of no single arch."""
    said = []
    monkeypatch.setattr(
        'pinas_mm.models.backbones.arch_backbone.print_log',
        lambda message, **kwargs: said.append(message),
        raising=False,
    )
    return said
