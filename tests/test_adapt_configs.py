"""The configs of configs/adapt: what each step makes of them; and the dense tasks for real, on a
few scenes."""

from pathlib import Path

import mmpretrain
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS
from mmpretrain.models import ResNet
from our_configs import TOP, check_each, differences, names, read, under
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from pinas_mm import config_path
from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.datasets.scene_layouts import write_digit_scenes
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.models.channels import check_channels
from pinas_mm.pipelines.adaptation import JOINT, Adaptation, check_adaptation_config
from pinas_mm.searching.searchers import build_searcher

CONFIGS = names('adapt')


@pytest.mark.slow
def test_the_steps_of_a_config(tmp_path):
    def check(name):
        config = read(name)
        config.work_dir = str(tmp_path)
        check_adaptation_config(config)
        adaptation = Adaptation(config, 'supernet.pth', seed=7)
        supernet = adaptation.training_config('supernet_stage')
        strategy = adaptation.strategy
        drawn = strategy.arch_seed if strategy else supernet.custom_hooks[0].seed
        assert supernet.randomness.seed == drawn == adaptation.stages['search_loop'].seed == 7
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


# Those that make a detector or segmentor of mm cheaper, and the mm config of each.
CHEAPER = {
    'adapt/faster-rcnn_elastic-resnet50_fpn_1x_coco.py': (
        'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
    ),
    'adapt/retinanet_elastic-resnet50_fpn_1x_coco.py': (
        'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
    ),
    'adapt/deeplabv3plus_elastic-resnet50-d8_4xb4-160k_ade20k-512x512.py': (
        'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb4-160k_ade20k-512x512.py'
    ),
    'adapt/deeplabv3plus_elastic-resnet50-d8_4xb2-80k_cityscapes-512x1024.py': (
        'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb2-80k_cityscapes-512x1024.py'
    ),
}
# What their steps need beside the backbone: the held-out part, and variables.
STEPS = {
    'custom_imports',
    'decay',
    'elastic_backbone',
    'held_out',
    'search_loop',
    'subnet_stage',
    'supernet_stage',
    'train_dataloader.dataset',
    'val_dataloader.dataset',
}
OF_DETECTORS = {'val_evaluator.ann_file', 'warm_up'}
OF_SEGMENTORS = {'model.pretrained'}


def test_a_cheaper_network_differs_from_mms_in_its_backbone_and_what_its_steps_need():
    assert CHEAPER.keys() == {name for name in CONFIGS if 'elastic-resnet50' in name}

    def check(name):
        ours, theirs = read(name), Config.fromfile(config_path(CHEAPER[name]))
        changed = differences(ours.to_dict(), theirs.to_dict())
        inside = [
            under(changed, top)
            for top in ('model.backbone', 'train_dataloader.dataset', 'val_dataloader.dataset')
        ]
        kept = changed - set().union(*inside)
        others = OF_DETECTORS if 'coco' in name else OF_SEGMENTORS
        assert all(inside) and kept == {key for key in STEPS | others if 'dataset' not in key}
        assert ours.train_dataloader.dataset.dataset == theirs.train_dataloader.dataset
        assert ours.test_dataloader == theirs.test_dataloader
        # The subnet is trained as mm trains its network; the supernet for half as long, and its
        # rate is a quarter: a step sums four gradients.
        subnet = ours.model.backbone
        for key in ('norm_cfg', 'norm_eval', 'frozen_stages'):
            default = dict(norm_eval=False, frozen_stages=-1).get(key)
            assert subnet.get(key, default) == theirs.model.backbone.get(key, default)
        stage, length = ours.supernet_stage, 'max_epochs' if 'coco' in name else 'max_iters'
        assert 2 * stage.train_cfg[length] == theirs.train_cfg[length]
        assert stage.optim_wrapper.optimizer.lr == theirs.optim_wrapper.optimizer.lr / 4
        *warm_up, decay = stage.param_scheduler
        *theirs_first, before = theirs.param_scheduler
        assert warm_up == theirs_first and 2 * decay.end == before.end == theirs.train_cfg[length]
        assert differences(decay, before) <= {'end', 'milestones'}

    check_each(check, CHEAPER)


def test_a_cheaper_network_starts_from_the_weights_that_mmpretrain_publishes():
    index = Path(mmpretrain.__file__).parent / '.mim/configs/resnet/metafile.yml'
    models = yaml.safe_load(index.read_text())['Models']
    (weights,) = [model['Weights'] for model in models if model['Name'] == 'resnet50_8xb32_in1k']

    def check(name):
        init = read(name).model.backbone.init_cfg
        # Builds of mmpretrain differ in the host.
        assert init.checkpoint.split('/', 3)[3] == weights.split('/', 3)[3]
        assert init.checkpoint.startswith('https://download.openmmlab.com/')

    check_each(check, CHEAPER)


def test_a_cheaper_network_has_at_most_60_percent_of_the_macs():
    """Of mmpretrain's network as mm's config has it, counted as a whole."""

    def check(name):
        config = read(name)
        backbone, loop = config.model.backbone, config.search_loop
        size = (loop.input_size,) * 2 if isinstance(loop.input_size, int) else loop.input_size
        arguments = {key: backbone[key] for key in ('strides', 'dilations') if key in backbone}
        network = ResNet(50, **arguments).to('meta')
        network.eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, *size, device='meta'))
        share = loop.constraints.backbone_macs / (counter.get_total_flops() / 2)
        assert share == pytest.approx(0.6, abs=0.005)

    check_each(check, CHEAPER)


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
