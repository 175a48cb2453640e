"""The configs of configs/adapt: what each step makes of them; and the dense tasks for real, on a
few scenes."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS
from our_configs import TOP, check_each, names, read
from torch.nn.modules.batchnorm import _BatchNorm

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.datasets.scene_layouts import write_digit_scenes
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.models.channels import check_channels
from pinas_mm.pipelines.adaptation import JOINT, Adaptation, check_adaptation_config
from pinas_mm.search.searchers import build_searcher

CONFIGS = names('adapt')


@pytest.mark.slow
def test_the_steps_of_a_config(tmp_path):
    def check(name):
        config = read(name)
        config.work_dir = str(tmp_path)
        check_adaptation_config(config)
        adaptation = Adaptation(config, 'supernet.pth', seed=7)
        supernet = adaptation.training_config('supernet_stage')
        assert (
            supernet.randomness.seed
            == supernet.custom_hooks[0].seed
            == adaptation.stages['search_loop'].seed
            == 7
        )
        assert supernet.val_dataloader is supernet.test_dataloader is None
        assert 'ArchSamplingHook' not in str(
            adaptation.training_config('subnet_stage').get('custom_hooks')
        )
        space = None
        for stage in ('supernet_stage', 'subnet_stage'):
            model = adaptation.training_config(stage).model
            model.setdefault('data_preprocessor', config.get('data_preprocessor'))
            if space is not None:
                model.backbone.arch = [0] * space.num_slots
            with torch.device('meta'):
                model = revert_sync_batchnorm(MODELS.build(model))
            check_channels(model)
            if space is None:
                assert model.backbone.is_supernet
                model.train()
                norms = [
                    module for module in model.backbone.modules() if isinstance(module, _BatchNorm)
                ]
                assert norms and all(norm.training for norm in norms), (
                    'no running statistics fit all archs'
                )
                space = model.backbone.space
        loop = adaptation.stages['search_loop']
        assert (
            build_searcher(loop.searcher, space, lambda archs: archs, 0).space is space
            and loop.num_archs >= 50
        )

    check_each(check, CONFIGS)


# The quick start's models on a few scenes, searched by the metrics of mmdet and mmseg. Their hook
# draws pictures of each test, which takes half of the time; it has tests of its own.
SMALL = """
model = dict(backbone=dict(widen_factor=0.25), data_preprocessor=dict({preprocessor}))
custom_hooks = []
train_cfg = dict({length})
search_loop = dict(
    searcher=dict(type='random'), num_archs=3, ask_size=3, calibration_batches=1, input_size={size},
    score={score!r})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    'name, metric, length, size, preprocessor, until',
    [
        ('detect', 'coco/bbox_mAP', 'max_epochs=1', 96, '', 'subnet'),
        ('segment', 'mIoU', 'max_iters=2', 64, 'size=(64, 64)', 'compare'),
    ],
)
def test_dense_tasks_with_nothing_but_the_hook_and_the_search_loop(
    tmp_path, monkeypatch, name, metric, length, size, preprocessor, until
):
    monkeypatch.chdir(tmp_path)
    write_digit_scenes(Path('data/digit_scenes'), dict(train=16, val=4, test=4), size)
    torch.manual_seed(0)
    supernet = SearchableMacroNet(widen_factor=0.25)
    supernet.init_weights()
    save_checkpoint(
        Path('source.pth'),
        {f'backbone.{key}': value for key, value in supernet.state_dict().items()},
        {},
    )
    bases = [str(TOP / f'quickstart/{name}.py'), str(TOP / '_base_/adapt.py')]
    changes = SMALL.format(length=length, score=metric, size=size, preprocessor=preprocessor)
    Path('target.py').write_text(f'_base_ = {bases!r}\n{changes}')
    config = Config.fromfile('target.py')
    config.work_dir = 'adapt'
    report = Adaptation(config, 'source.pth', '11111111').run(until)
    assert len(report['rows']) == dict(subnet=1, compare=4)[until] and all(
        0 <= row['metrics'][metric] <= 100 for row in report['rows'].values()
    )
    budget = report['rows'][JOINT]['operations']
    assert all(step['operations'] > 0 for step in report['steps'].values())
    # One epoch or two iterations of a training more at most.
    assert all(1 <= row['operations'] / budget < 2 for row in report['rows'].values())
