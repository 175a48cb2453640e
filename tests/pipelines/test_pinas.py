"""What the stages of tools/pinas.py are given; tests/tools/test_tools.py runs them all."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from pinas_mm.costs import measure_costs
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.pipelines.pinas import (
    EQUAL,
    STAGES,
    Pipeline,
    random_summary,
    set_searched_size,
    with_subnet,
)
from pinas_mm.searching.history import Record
from pinas_mm.searching.score import Score

FINETUNE = Path(__file__).parents[2] / 'configs/quickstart/finetune.py'


@pytest.fixture
def loop():
    """A search that scores an arch by its number of identities."""
    backbone = SearchableMacroNet(widen_factor=0.125)
    evaluator = SimpleNamespace(
        evaluate=lambda archs: [dict(score=float(arch.count(0))) for arch in archs]
    )
    costs = measure_costs(backbone, 32)
    return SimpleNamespace(
        backbone=backbone, costs=costs, whole_evaluator=evaluator, score=Score('score')
    )


def winner(loop, arch):
    return Record(0, arch, 1.0, {}, loop.costs.arch_costs(arch))


def test_archs_of_equal_cost_come_best_first_and_without_the_winner(loop, tmp_path):
    found = winner(loop, (1, 2, 0, 1, 2, 1, 0, 2))
    archs = Pipeline({}, tmp_path, 0, {}).equal_cost(loop, found)
    assert len(archs) == 9 and found.arch not in [record.arch for record in archs]
    scores = [record.score for record in archs]
    assert scores == sorted(scores, reverse=True)
    for record in archs:
        assert abs(record.costs['macs'] / found.costs['macs'] - 1) <= EQUAL


def test_an_arch_that_is_alone_at_its_cost_is_named(loop, tmp_path):
    with pytest.raises(InputError, match="no other arch within 5% of the found one's"):
        Pipeline({}, tmp_path, 0, {}).equal_cost(loop, winner(loop, (0,) * 8))


def test_overrides_are_for_the_stages_and_not_for_transfers(tmp_path):
    (tmp_path / 'stage.py').write_text('model = dict(a=1)\na = 1')
    configs = {'learn': tmp_path / 'stage.py', 'detect': tmp_path / 'stage.py'}
    pipeline = Pipeline(configs, tmp_path, 3, dict(a=2))
    learn, detect = (pipeline.config(name, dict(b=4)) for name in configs)
    assert (learn.a, detect.a, learn.b, detect.randomness.seed) == (2, 1, 4, 3)


TRAINING = """model = dict(a=1)
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
val_cfg = dict()
val_evaluator = dict(type='mmpretrain.Accuracy')
"""


def test_loaders_of_every_stage_are_checked_before_the_first_runs(tmp_path):
    loader = 'train_dataloader = dict(dataset=dict(type="pinas_mm.Digits"), sampler=None, {})'
    configs = {}
    for name in ('learn', 'linear', 'search', 'finetune'):
        configs[name] = tmp_path / f'{name}.py'
        val = "val_dataloader = dict(dataset=dict(type='pinas_mm.Digits', split='test'))\n"
        last = 'persistent_workers=True' if name == 'finetune' else ''
        configs[name].write_text(TRAINING + val + loader.format(last))
    with pytest.raises(InputError, match='^train_dataloader.persistent_workers=True'):
        Pipeline(configs, tmp_path / 'work', 0, {}).run(0)
    assert not (tmp_path / 'work').exists()


def test_overrides_of_one_stage_beat_those_of_all(tmp_path):
    (tmp_path / 'stage.py').write_text('model = dict(a=1)\na = dict(b=1, c=1)')
    configs = dict.fromkeys(('learn', 'search'), tmp_path / 'stage.py')
    pipeline = Pipeline(configs, tmp_path, 0, {'a.b': 2, 'a.c': 2}, dict(search={'a.c': 3}))
    assert pipeline.config('learn', {}).a == dict(b=2, c=2)
    assert pipeline.config('search', {}).a == dict(b=2, c=3)


@pytest.mark.parametrize('key, stated', [('widen_factor', 0.5), ('in_channels', 1)])
def test_a_transfer_of_another_size_is_named_before_the_search(key, stated):
    searched = dict(widen_factor=0.25)
    config = Config(dict(model=dict(backbone=dict(in_channels=None))))
    set_searched_size(config, searched)
    assert config.model.backbone == dict(widen_factor=0.25, in_channels=3)
    config.model.backbone[key] = stated
    with pytest.raises(InputError, match=rf'model.backbone.{key}={stated}, but the search has'):
        set_searched_size(config, searched)


def test_stages_that_hold_out_other_images_are_refused_before_the_first_runs(tmp_path):
    """The search would be scored on images that were learned from."""
    split = "dict(type='pinas_mm.SeededSplit', part={!r}, dataset=dict(type='pinas_mm.Digits'))"
    learning, held_out = (
        f'{name}_dataloader = dict(batch_size=16, sampler=None, dataset={split.format(part)})\n'
        for name, part in (('train', 'learning'), ('val', 'held_out'))
    )
    configs = {}
    for stage in STAGES:
        configs[stage] = tmp_path / f'{stage}.py'
        configs[stage].write_text(TRAINING + 'held_out = 0.1\n' + learning + held_out)
    Pipeline(configs, tmp_path / 'work', 0, {}).check_splits()
    Pipeline(configs, tmp_path / 'work', 0, dict(held_out=0.3)).check_splits()
    pipeline = Pipeline(configs, tmp_path / 'work', 0, {}, dict(search=dict(held_out=0.3)))
    message = (
        r'^search: train_dataloader.dataset.held_out=0.3, but learn: train_dataloader.dataset.'
        r'held_out=0.1 of the same images: .* Expected the same, stated once'
    )
    with pytest.raises(InputError, match=message):
        pipeline.run(0)
    assert not (tmp_path / 'work').exists()


def test_the_random_archs_are_summed_up_and_nothing_else_is():
    def rows(**tests):
        return [dict(name=name.replace('_', ' '), test=test) for name, test in tests.items()]

    drawn = dict(random_1=90.0, random_2=92.0, random_3=97.0, random_4=93.0)
    # (90 + 92 + 97 + 93) / 4 = 93; deviations -3, -1, 4, 0: 26 / 3 = 8.667, its root 2.944
    found = random_summary(rows(searched=99.0, median_scored=10.0, **drawn))
    assert (found.number, found.mean) == (4, 93)
    assert found.deviation == pytest.approx(2.944, abs=5e-4)
    assert random_summary(rows(searched=99.0, random=90.0)) is None


@pytest.mark.parametrize('backbone', [dict(), dict(init_cfg=None)])
def test_a_config_without_initial_weights_gets_the_arch_alone(tmp_path, backbone):
    arch = {'model.backbone.arch': f'{tmp_path}/subnet.yaml'}
    assert with_subnet(Config(dict(model=dict(backbone=backbone))), tmp_path) == arch
    pretrained = dict(init_cfg=dict(type='Pretrained', checkpoint='set it'))
    assert with_subnet(Config(dict(model=dict(backbone=pretrained))), tmp_path) == arch | {
        'model.backbone.init_cfg.checkpoint': f'{tmp_path}/subnet.pth'
    }


def test_the_quick_start_trains_its_archs_from_random_weights(tmp_path):
    config = Config.fromfile(FINETUNE)
    assert with_subnet(config, tmp_path).keys() == {'model.backbone.arch'}
