"""The configs of docs/tutorials/from_mmrazor.md train a supernet and search it."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

import pinas_mm  # noqa: F401
from pinas_mm.spaces import get_space
from pinas_mm.spaces.subnet_file import SubnetFile

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'docs/tutorials/from_mmrazor.md').read_text()
TRAIN, SEARCH = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)
# The user's data, schedule and optimizer, which stay as they are; here small ones.
OWN = """
_base_ = [
    './supernet.py',
    __import__('pinas_mm').config_path('pinas_mm::_base_/datasets/digits.py'),
]
model = dict(backbone=dict(widen_factor=0.125), head=dict(num_classes=10, in_channels=128))
train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = dict(type='pinas_mm.ArchValLoop')
test_cfg = dict()
"""


def run(monkeypatch, tool, *arguments):
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    try:
        runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
    except SystemExit as error:
        assert not error.code


@pytest.mark.slow
def test_the_configs_train_and_search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('supernet.py').write_text(TRAIN)
    Path('own.py').write_text(OWN)
    Path('search.py').write_text("_base_ = './own.py'\n" + SEARCH)
    run(monkeypatch, 'train.py', 'own.py', '--work-dir', 'learned')
    small = ['search_loop.num_archs=6', 'search_loop.searcher.population=2']
    small += ['search_loop.input_size=16', 'search_loop.constraints.macs=8e6']
    run(
        monkeypatch,
        'search.py',
        'search.py',
        'learned/epoch_1.pth',
        *('--work-dir', 'found', '--cfg-options'),
        *small,
    )
    found = SubnetFile.read('found/subnet.yaml')
    assert get_space(found.space).name == 'shufflenetv2' and found.costs['macs'] <= 8e6


def test_the_keys_of_the_table_exist():
    """What the right column names can be written in a config."""
    loop = Config.fromstring('_base_ = []\n' + SEARCH, '.py').search_loop
    assert set(loop) == {'type', 'searcher', 'input_size', 'num_archs', 'constraints'}
    from pinas_mm.engine.search_loop import SearchLoop
    from pinas_mm.registry import LOOPS, MODELS
    from pinas_mm.searching.searchers import SEARCHERS

    assert LOOPS.get(loop.type) is SearchLoop
    for name in ('random', 'evolution', 'partition_tree', 'nsga2'):
        assert f'`{name}`' in PAGE or f"'{name}'" in PAGE
        assert name in SEARCHERS
    for name in re.findall(r'`(\w+Strategy)`', PAGE):
        assert MODELS.get(f'pinas_mm.{name}'), name
