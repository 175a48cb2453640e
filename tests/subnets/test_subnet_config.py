from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import PretrainedInit
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm

from pinas_mm.checkpoint import load_checkpoint, load_strict, save_checkpoint
from pinas_mm.engine import ArchSamplingHook, ArchTestLoop
from pinas_mm.engine.data_settings import open_numbers
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import ElasticResNet, SearchableMacroNet
from pinas_mm.spaces.elastic_resnet import ELASTIC_RESNETS
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.subnets.state_dict import subnet_state_dict
from pinas_mm.subnets.subnet_config import subnet_backbone, subnet_classifier

CONFIGS = Path(__file__).parents[2] / 'configs'
ARCH = (1, 0, 2, 1, 0, 2, 2, 0)


def build(config):
    init_default_scope('mmpretrain')
    return MODELS.build(
        dict(config.model.to_dict(), data_preprocessor=config.data_preprocessor.to_dict())
    ).eval()


@pytest.fixture(scope='module')
def supernet():
    """The quick start's classifier over the supernet, with BN that is different everywhere."""
    torch.manual_seed(0)
    model = build(Config.fromfile(CONFIGS / 'quickstart/search.py'))
    for norm in (module for module in model.modules() if isinstance(module, _BatchNorm)):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 1.5)
        if norm.affine:
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
    model.backbone.set_arch(ARCH)
    return model


@pytest.fixture(scope='module')
def folder(supernet, tmp_path_factory):
    folder = tmp_path_factory.mktemp('found')
    SubnetFile(space='nasbench_macro', arch=ARCH, widen_factor=0.25).write(folder / 'subnet.yaml')
    SubnetFile(space='nasbench_macro', arch=ARCH).write(folder / 'wide.yaml')
    SubnetFile(space='nasbench_macro', arch=(0, *ARCH[1:]), widen_factor=0.25).write(
        folder / 'other.yaml'
    )
    SubnetFile(space='resnest50', arch=(0,) * 16, widen_factor=0.25).write(folder / 'resnest.yaml')
    save_checkpoint(folder / 'subnet.pth', subnet_state_dict(supernet, ARCH), {})
    save_checkpoint(folder / 'supernet.pth', supernet.state_dict(), {})
    return folder


IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 0.5


@pytest.mark.parametrize('name', ['search', 'finetune'])
@torch.no_grad()
def test_the_written_config_builds_the_same_classifier_elsewhere(
    supernet, folder, tmp_path, monkeypatch, name
):
    given = Config.fromfile(CONFIGS / f'quickstart/{name}.py')
    config, classifier = subnet_classifier(given, folder / 'subnet.yaml', folder / 'subnet.pth')
    text = config.pretty_text
    (tmp_path / 'classifier.py').write_text(text)
    save_checkpoint(tmp_path / 'classifier.pth', classifier.state_dict(), {})
    for left in (
        '_base_',
        'yaml',
        'Pretrained',
        'work_dir',
        'SearchLoop',
        'ArchValLoop',
        'ArchSamplingHook',
        'arch_evaluation',
        'search_loop',
    ):
        assert left not in text
    assert "'pinas_mm'" in text and 'Digits' in text

    monkeypatch.chdir(tmp_path)
    written = Config.fromfile('classifier.py')
    assert written.model.backbone.arch == list(ARCH) and written.model.backbone.widen_factor == 0.25
    assert written.model.backbone.get('frozen_stages', -1) == -1
    again = build(written)
    load_strict(again, 'classifier.pth')
    expected = supernet(IMAGES)
    assert expected.std() > 1e-3
    assert torch.equal(again(IMAGES), classifier(IMAGES)) and torch.equal(
        classifier(IMAGES), expected
    )


@torch.no_grad()
def test_a_runner_of_mmengine_runs_it(supernet, folder, tmp_path):
    config, classifier = subnet_classifier(
        Config.fromfile(CONFIGS / 'quickstart/search.py'),
        folder / 'subnet.yaml',
        folder / 'subnet.pth',
    )
    (tmp_path / 'classifier.py').write_text(config.pretty_text)
    save_checkpoint(tmp_path / 'classifier.pth', classifier.state_dict(), {})
    written = Config.fromfile(tmp_path / 'classifier.py')
    written.merge_from_dict(
        dict(
            work_dir=str(tmp_path / 'work'),
            load_from=str(tmp_path / 'classifier.pth'),
            test_dataloader=dict(dataset=dict(indices=20)),
        )
    )
    runner = Runner.from_cfg(written)
    assert 0 <= runner.test()['accuracy/top1'] <= 100
    assert torch.equal(runner.model.eval()(IMAGES), supernet(IMAGES))


@pytest.mark.parametrize(
    'name, amp', [('dsnas/dsnas', ''), ('ranking/uniform-subnet-aware', ''), ('dsnas/dsnas', 'Amp')]
)
def test_what_trains_a_supernet_alone_is_gone(folder, name, amp):
    given = Config.fromfile(CONFIGS / f'{name}_nasbench-macro_1xb128-200k_cifar10.py')
    for _, settings in open_numbers(given):  # load_config reads them from the images
        settings['num_classes'] = 10
    given.second_stage = dict(model=dict(head=dict(topk=(1, 5))))
    given.optim_wrapper.type = given.optim_wrapper.type.replace(
        'OptimWrapper', f'{amp}OptimWrapper'
    )
    given.optim_wrapper.accumulative_counts = 2
    config, _ = subnet_classifier(given, folder / 'subnet.yaml', folder / 'subnet.pth')
    assert config.custom_hooks == [] and 'second_stage' not in config
    assert config.optim_wrapper.to_dict() == dict(
        type='pinas_mm.AmpOptimWrapper' if amp else 'OptimWrapper',
        accumulative_counts=2,
        optimizer=given.optim_wrapper.optimizer.to_dict(),
    )


@torch.no_grad()
def test_the_backbone_alone_returns_every_stage(supernet, folder, tmp_path, monkeypatch):
    config, backbone = subnet_backbone(folder / 'subnet.yaml', folder / 'subnet.pth')
    (tmp_path / 'backbone.py').write_text(config.pretty_text)
    save_checkpoint(tmp_path / 'backbone.pth', backbone.state_dict(), {})
    again = MODELS.build(Config.fromfile(tmp_path / 'backbone.py').model).eval()
    load_strict(again, tmp_path / 'backbone.pth')
    supernet.backbone.out_indices = (0, 1, 2, 3)
    expected = supernet.backbone(IMAGES)
    supernet.backbone.out_indices = (3,)
    for found in (backbone(IMAGES), again(IMAGES)):
        assert len(found) == 4 and all(torch.equal(a, b) for a, b in zip(found, expected))
    # The checkpoint of a bare backbone serves as well, and a subnet file by any name.
    (tmp_path / 'found').write_bytes((folder / 'subnet.yaml').read_bytes())
    monkeypatch.chdir(tmp_path)
    assert subnet_backbone('found', 'backbone.pth')[1].arch == ARCH
    _, bare = subnet_backbone(folder / 'subnet.yaml', tmp_path / 'backbone.pth', out_indices=[1])
    (found,) = bare(IMAGES)
    assert torch.equal(found, expected[1])


@torch.no_grad()
def test_a_dilated_backbone_is_exported_as_it_was_found_without_its_config(tmp_path):
    dilated = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    source = ElasticResNet(
        18, arch='0' * 12, widen_factor=0.125, out_indices=(0, 1, 2, 3), **dilated
    ).eval()
    save_checkpoint(tmp_path / 'subnet.pth', source.state_dict(), {})
    SubnetFile('elastic_resnet18', source.arch, 0.125, arguments=source.file_arguments).write(
        tmp_path / 'subnet.yaml'
    )
    config, backbone = subnet_backbone(tmp_path / 'subnet.yaml', tmp_path / 'subnet.pth')
    (tmp_path / 'backbone.py').write_text(config.pretty_text)
    again = MODELS.build(Config.fromfile(tmp_path / 'backbone.py').model).eval()
    load_strict(again, tmp_path / 'subnet.pth')
    images = torch.randn(1, 3, 64, 64)
    for found in (backbone(images), again(images)):
        assert all(torch.equal(a, b) for a, b in zip(found, source(images), strict=True))


@pytest.mark.parametrize('kind', ['Pretrained', PretrainedInit])
def test_the_backbone_keeps_the_arguments_of_the_config(tmp_path, kind):
    torch.manual_seed(0)
    source = SearchableMacroNet(arch=ARCH, widen_factor=0.125)
    save_checkpoint(
        tmp_path / 'subnet.pth',
        {f'backbone.{key}': value for key, value in source.state_dict().items()},
        {},
    )
    SubnetFile(space='nasbench_macro', arch=ARCH, widen_factor=0.125).write(
        tmp_path / 'subnet.yaml'
    )
    # Any model, here one that is never built.
    config = Config(
        dict(
            model=dict(
                type='Detector',
                backbone=dict(
                    type='pinas_mm.SearchableMacroNet',
                    arch='elsewhere.yaml',
                    norm_cfg=dict(type='SyncBN'),
                    frozen_stages=1,
                    init_cfg=dict(type=kind, checkpoint='elsewhere.pth', prefix='backbone.'),
                ),
            )
        )
    )
    exported, backbone = subnet_backbone(
        tmp_path / 'subnet.yaml', tmp_path / 'subnet.pth', config, [1, 2, 3]
    )
    assert exported.model == dict(
        type='pinas_mm.SearchableMacroNet',
        arch=list(ARCH),
        widen_factor=0.125,
        norm_cfg=dict(type='SyncBN'),
        frozen_stages=1,
        out_indices=[1, 2, 3],
    )
    assert (
        all(
            torch.equal(value, source.state_dict()[key])
            for key, value in backbone.state_dict().items()
        )
        and not backbone.training
    )
    assert config.model.backbone.arch == 'elsewhere.yaml', "the caller's config is as it was"


@pytest.mark.parametrize(
    'config, subnet, checkpoint, message',
    [
        (
            'search',
            'resnest',
            'subnet',
            "is a subnet of space 'resnest50', expected one of 'nasbench_macro'",
        ),
        (
            'search',
            'wide',
            'subnet',
            'found at widen_factor=1.0, but SearchableMacroNet was given 0.25',
        ),
        (
            'search',
            'other',
            'subnet',
            r'does not fit this ImageClassifier; missing: backbone.layers.0.0.0.weight',
        ),
        (
            'search',
            'subnet',
            'supernet',
            r'a supernet \(\d+ tensors of other candidates, .* expected the subnet 10210220',
        ),
        (
            'learn',
            'subnet',
            'supernet',
            'its model is a pinas_mm.PiNAS, expected an ImageClassifier',
        ),
        (
            dict(model=dict(backbone=dict(type='mmpretrain.ResNet', depth=18))),
            'subnet',
            'subnet',
            "'mmpretrain.ResNet', expected a searchable",
        ),
        (dict(optimizer={}), 'subnet', 'subnet', 'its model.backbone is None, expected'),
        (None, 'subnet', 'supernet', r'a supernet \(\d+ tensors'),
        (
            None,
            'other',
            'subnet',
            'does not fit this SearchableMacroNet; missing: backbone.layers.0.0.0.weight',
        ),
        (None, 'wide', 'subnet', 'wrong shape: backbone.stem.0.weight'),
    ],
)
def test_what_does_not_fit_is_refused(folder, config, subnet, checkpoint, message):
    init_default_scope('mmpretrain')
    files = folder / f'{subnet}.yaml', folder / f'{checkpoint}.pth'
    config = (
        Config(config)
        if isinstance(config, dict)
        else config and Config.fromfile(CONFIGS / f'quickstart/{config}.py')
    )
    with pytest.raises(InputError, match=message):
        subnet_backbone(*files) if config is None else subnet_classifier(config, *files)


def test_stages_out_of_range_are_refused(folder):
    with pytest.raises(
        InputError, match=r'out_indices=\(0, 4\) of SearchableMacroNet: expected stages 0 to 3'
    ):
        subnet_backbone(folder / 'subnet.yaml', folder / 'subnet.pth', out_indices=[0, 4])


def test_the_files_are_left_as_they_were(folder):
    before = load_checkpoint(folder / 'subnet.pth')['state_dict']
    _, classifier = subnet_classifier(
        Config.fromfile(CONFIGS / 'quickstart/search.py'),
        folder / 'subnet.yaml',
        folder / 'subnet.pth',
    )
    assert before.keys() == classifier.state_dict().keys() and not classifier.training


class OwnLoop(ArchTestLoop):
    """As a user derives it."""


class OwnHook(ArchSamplingHook):
    pass


@pytest.mark.parametrize(
    'loop, hook',
    [
        ('pinas_mm.ArchTestLoop', 'pinas_mm.ArchSamplingHook'),
        ('pinas_mm.engine.ArchTestLoop', 'pinas_mm.engine.ArchSamplingHook'),
        (ArchTestLoop, ArchSamplingHook),
        (OwnLoop, OwnHook),
    ],
)
def test_what_is_for_a_supernet_is_known_in_any_way_to_name_it(folder, loop, hook):
    given = Config.fromfile(CONFIGS / 'quickstart/search.py')
    given.test_cfg.type, given.custom_hooks = loop, [dict(type=hook), dict(type='EMAHook')]
    config, _ = subnet_classifier(given, folder / 'subnet.yaml', folder / 'subnet.pth')
    assert config.test_cfg == {} and 'search_loop' not in config
    assert [hook.type for hook in config.custom_hooks] == ['EMAHook']


def test_the_largest_arch_from_a_supernets_checkpoint_is_told(tmp_path, monkeypatch):
    """All shapes are its own; that other archs were trained is in the counts of BN."""
    said = []
    monkeypatch.setattr(
        'pinas_mm.subnets.subnet_config.print_log', lambda message, **kwargs: said.append(message)
    )
    SubnetFile('elastic_resnet18', ELASTIC_RESNETS[18].largest, 0.125).write(tmp_path / 'net.yaml')
    net = ElasticResNet(18, widen_factor=0.125)
    for count, arch in enumerate((net.space.largest, net.space.smallest)):
        net.set_arch(arch)
        net(torch.zeros(2, 3, 64, 64))
        save_checkpoint(tmp_path / 'net.pth', net.state_dict(), {})
        subnet_backbone(tmp_path / 'net.yaml', tmp_path / 'net.pth')
        assert len(said) == count
    assert said[0].startswith(f'{tmp_path / "net.pth"}: its blocks have counted different numbers')
