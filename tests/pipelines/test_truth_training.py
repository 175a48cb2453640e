import json
import multiprocessing
import os
import re
import time
from pathlib import Path

import pytest
from mmengine.config import Config

import pinas_mm  # noqa: F401
from pinas_mm.engine import ArchSamplingHook
from pinas_mm.engine.runner import build_runner
from pinas_mm.errors import InputError
from pinas_mm.pipelines.truth_training import (
    TruthFile,
    TruthTrainer,
    constraints_of,
    from_scratch,
    train_all,
    training_seed,
)

FINETUNE = Path(__file__).parents[2] / 'configs/quickstart/finetune.py'
FIRST, SECOND = (0, 1, 0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0, 2, 0)
SMALL = {
    'model.backbone.widen_factor': 0.125,
    'model.neck.1.input_features': 160,
    'model.head.in_channels': 160,
    'train_dataloader.batch_size': 16,
    'train_dataloader.dataset.indices': 32,
    'test_dataloader.dataset.indices': 100,
    'train_cfg.max_epochs': 2,
    'optim_wrapper.optimizer.lr': 0.02,
}


@pytest.fixture
def config(tmp_path):
    config = Config.fromfile(FINETUNE)
    config.merge_from_dict(SMALL)
    config.work_dir = str(tmp_path / 'work')
    return config


def by_hand(config, arch, seed):
    """An ordinary training of the subnet, as tools/train.py and tools/test.py run it."""
    config.model.backbone.arch = ''.join(map(str, arch))
    del config.model.backbone['init_cfg']
    config.randomness.seed = seed
    config.experiment_name = f'by_hand{seed}'
    runner = build_runner(config)
    runner.train()
    return runner.test()['accuracy/top1']


@pytest.mark.slow
def test_an_accuracy_is_that_of_an_ordinary_training(config, tmp_path):
    trainer = TruthTrainer(from_scratch(config), seed=5)
    found = [trainer(SECOND, 0), trainer(FIRST, 1)]  # whatever was trained before
    assert found[1] == by_hand(config, FIRST, training_seed(5, FIRST, 1)) and 5 < found[1] < 60
    assert len(list(tmp_path.glob('work/01000000-1/*/vis_data/scalars.json'))) == 1
    assert list(tmp_path.rglob('*.pth')) == [tmp_path / 'work/epoch_2.pth'], (
        'only the training by hand leaves a checkpoint'
    )


def test_seeds_are_told_apart():
    seeds = {
        training_seed(seed, arch, repeat)
        for seed in range(3)
        for arch in (FIRST, SECOND)
        for repeat in range(3)
    }
    assert len(seeds) == 18 and all(0 <= seed < 2**31 for seed in seeds)


def test_processes_give_the_accuracies_in_order(config, monkeypatch):
    """Forked, which is quicker than the usual start of a process; the first training ends last."""
    context = multiprocessing.get_context('fork')
    monkeypatch.setattr(multiprocessing, 'get_context', lambda method: context)

    def training(self, arch, repeat):
        time.sleep(0 if sum(arch) > 1 or repeat else 0.5)
        return arch[0] * 10 + repeat + self.seed / 10 + os.getpid() * 1000

    monkeypatch.setattr(TruthTrainer, '__call__', training)
    trainings = [(FIRST, 0), (SECOND, 0), (FIRST, 1), (SECOND, 1)]
    found = list(train_all(from_scratch(config), trainings, 7, 'accuracy/top1', jobs=2))
    assert [round(value % 1000, 1) for value in found] == [0.7, 10.7, 1.7, 11.7]
    assert len({value // 1000 for value in found}) == 2 and os.getpid() not in {
        value // 1000 for value in found
    }


@pytest.mark.parametrize(
    'change, message',
    [
        (
            dict(model=dict(type='ImageClassifier', backbone=dict(type='mmpretrain.ResNet'))),
            "finetune.py: model.backbone of type 'mmpretrain.ResNet': expected a searchable "
            'backbone',
        ),
        (dict(model=dict(type='ImageClassifier')), 'model.backbone of type None'),
        (dict(model=None), 'model.backbone of type None'),
        (
            dict(test_dataloader=None),
            'finetune.py: no test_dataloader: expected a config that trains and tests a subnet',
        ),
        (dict(test_cfg=None), 'no test_cfg'),
        (dict(train_cfg=None, optim_wrapper=None), 'no train_cfg, optim_wrapper'),
    ],
)
def test_configs_that_train_no_subnet(config, change, message):
    for key, value in change.items():
        config[key] = value
    with pytest.raises(InputError, match=message):
        from_scratch(config)


@pytest.mark.slow
def test_frozen_stages_and_unknown_metrics_are_refused(config):
    with pytest.raises(
        InputError,
        match=r"the test gives no 'mIoU', but accuracy/top1, score/neg_loss, score/margin: choose "
        'one with --score',
    ):
        TruthTrainer(from_scratch(config), score='mIoU')(FIRST, 0)
    config.model.backbone.frozen_stages = 4
    with pytest.raises(
        InputError,
        match='frozen_stages=4 of its backbone: expected a config that trains all of a subnet',
    ):
        from_scratch(config)


class OwnSamplingHook(ArchSamplingHook):
    """As a user derives it."""


@pytest.mark.parametrize(
    'hook',
    ['pinas_mm.ArchSamplingHook', 'pinas_mm.engine.ArchSamplingHook', ArchSamplingHook]
    + [OwnSamplingHook],
)
def test_the_training_of_a_supernet_is_refused(config, hook):
    config.custom_hooks = [dict(type=hook)]
    with pytest.raises(
        InputError,
        match=r'trains a supernet \(ArchSamplingHook\): expected a config that trains a subnet',
    ):
        from_scratch(config)


def test_limits_are_those_of_the_configs_width(config):
    limits = constraints_of(from_scratch(config), dict(params=(None, 20000)), 32)
    for arch in (FIRST, (2,) * 8):
        config.model.backbone.update(arch=list(arch), init_cfg=None)
        config.experiment_name = f'params{sum(arch)}'
        params = sum(parameter.numel() for parameter in build_runner(config).model.parameters())
        assert limits.cost('params', [arch])[0] == params
        assert limits.mask([arch])[0] == (params <= 20000)


@pytest.mark.slow
def test_a_table_goes_on_only_with_its_own_settings(config, tmp_path):
    path = tmp_path / 'truth.json'
    TruthFile(path, from_scratch(config), dict(seed=3))
    assert not list(tmp_path.iterdir()), 'without a training, the settings may still be mended'
    table = TruthFile(path, from_scratch(config), dict(seed=0))
    assert (
        table.left([FIRST, SECOND], 2) == [(FIRST, 0), (SECOND, 0), (FIRST, 1), (SECOND, 1)]
        and not path.exists()
    )
    table.add(FIRST, 51.5)
    table.add(SECOND, 40.25)
    table.add(FIRST, 50.0)
    assert json.loads(path.read_text()) == {'01000000': [51.5, 50.0], '10000020': [40.25]}
    config.work_dir, config.log_level = 'elsewhere', 'ERROR'
    config.model.backbone.arch = 'another/subnet.yaml'
    again = TruthFile(path, from_scratch(config), dict(seed=0))
    assert again.left([FIRST, SECOND], 3) == [(SECOND, 1), (FIRST, 2), (SECOND, 2)]
    with pytest.raises(
        InputError,
        match='truth.json: made with other settings: seed was 0 and is 1; choose another --out',
    ):
        TruthFile(path, from_scratch(config), dict(seed=1))
    config.test_dataloader.dataset.indices = 99
    with pytest.raises(
        InputError, match='data.test_dataloader.samples was 100 and is 99; data.test_dataloader'
    ):
        TruthFile(path, from_scratch(config), dict(seed=0))
    config.test_dataloader.dataset.indices = 100
    config.train_cfg.max_epochs = 3
    with pytest.raises(InputError, match='other settings: train_cfg.max_epochs was 2 and is 3;'):
        TruthFile(path, from_scratch(config), dict(seed=0))
    (tmp_path / 'truth.meta.json').write_text('{"se')
    with pytest.raises(InputError, match='truth.meta.json: cannot be read as JSON'):
        TruthFile(path, from_scratch(config), dict(seed=0))
    (tmp_path / 'truth.meta.json').unlink()
    with pytest.raises(
        InputError, match=re.escape(f'{path} exists, but not {tmp_path}/truth.meta.json')
    ):
        TruthFile(path, from_scratch(config), dict(seed=0))
