"""Each function against the installed mmengine and torch. Run this file first when one of them is
upgraded."""

import platform
import re
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError

import mmengine.hooks.checkpoint_hook
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpretrain.structures import DataSample
from torch import nn
from torch.export import Dim

from pinas_mm import private_api


def test_a_forward_pass_takes_the_parts_of_a_batch(tiny):
    model = MODELS.build(tiny.classifier(arch='01201201')).eval()
    images = torch.rand(2, 3, 32, 32)
    samples = [DataSample().set_gt_label(label) for label in (1, 2)]
    expected = model(images, samples, mode='loss')
    for data in (dict(inputs=images, data_samples=samples), (images, samples)):
        assert private_api.run_forward(model, data, 'loss') == expected


def test_the_count_of_iterations_decides_when_to_update():
    weight = nn.Parameter(torch.ones(1))
    wrapper = OptimWrapper(torch.optim.SGD([weight], lr=0.1), accumulative_counts=2)
    wrapper.initialize_count_status(nn.ParameterList([weight]), 0, 4)
    for _ in range(3):
        private_api.set_inner_count(wrapper, 0)
        wrapper.backward(weight.sum())
        assert wrapper.inner_count == 1 and not wrapper.should_update()
    wrapper.backward(weight.sum())
    assert wrapper.should_update()


def training(tiny):
    return tiny.training(
        loader=tiny.digits(indices=32), custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')]
    )


def test_a_training_starts_where_it_is_told(tiny):
    runner, seen = training(tiny), []
    loop = runner.build_train_loop(dict(by_epoch=True, max_epochs=3))
    runner._train_loop = loop
    private_api.set_progress(loop, 2, 4)
    assert (runner.epoch, runner.iter) == (2, 4)
    runner.register_hook(
        tiny.Record(before_train_iter=lambda runner, *args, **kwargs: seen.append(runner.iter))
    )
    runner.train()
    assert seen == [4, 5] and runner.epoch == 3


def test_a_training_writes_with_other_functions(tiny):
    """Also what it publishes; and not any more afterwards."""
    hook = dict(type='CheckpointHook', published_keys=['meta'], save_best='auto', rule='less')
    runner = tiny.training(
        loader=tiny.digits(indices=16),
        val_dataloader=tiny.digits(indices=16),
        val_evaluator=dict(type='Accuracy'),
        val_cfg={},
        custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')],
        default_hooks=dict(checkpoint=hook),
    )
    saved, opened = [], []

    def save(checkpoint, path, *args, **kwargs):
        saved.append(Path(path).name)
        torch.save(checkpoint, path)

    def open_text(path, mode):
        opened.append((Path(path).name, mode))
        return open(path, mode)

    with private_api.trainings_write_with(save, open_text):
        runner.train()
    best = 'best_accuracy_top1_epoch_1'
    published = [re.sub('-.{8}', '', name) for name in saved[3:]]
    assert saved[:3] == ['epoch_1.pth', f'{best}.pth', 'epoch_1.pth']
    assert published == ['epoch_1.pth', f'{best}.pth'] and len(set(saved)) == 4
    assert opened == [('last_checkpoint', 'w')] * 2
    assert not hasattr(mmengine.hooks.checkpoint_hook, 'open')


def test_a_runner_resumes_the_latest_unless_a_checkpoint_is_named(tiny):
    def resumes(**kwargs):
        return private_api.resumes_latest(tiny.runner(**kwargs))

    assert resumes(resume=True) and not resumes(resume=False)
    assert not resumes(resume=True, load_from='a.pth') and not resumes(load_from='a.pth')


@pytest.mark.parametrize('done, due', [(0, False), (1, False), (2, True), (3, False), (5, True)])
def test_a_validation_is_due_at_its_interval_and_at_the_end(tiny, done, due):
    for by_epoch in (True, False):
        settings = dict(max_epochs=5) if by_epoch else dict(max_iters=5)
        runner = tiny.training(
            train_cfg=dict(by_epoch=by_epoch, val_interval=2, val_begin=2, **settings)
        )
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        loop = runner.train_loop
        private_api.set_progress(loop, done if by_epoch else 0, done)
        assert private_api.validation_is_due(runner) == due


def test_the_bases_of_a_config_are_files(tmp_path):
    (tmp_path / 'a.py').write_text('x = 1')
    (tmp_path / 'b.py').write_text("_base_ = 'a.py'")
    (tmp_path / 'c.py').write_text("_base_ = ['b.py', 'mmpretrain::_base_/default_runtime.py']")
    (tmp_path / 'lazy.py').write_text('from mmengine.config import read_base\nx = 1')
    found = {name: private_api.base_files(str(tmp_path / f'{name}.py')) for name in 'abc'}
    assert found['a'] == private_api.base_files(str(tmp_path / 'lazy.py')) == []
    assert found['b'] == [str(tmp_path / 'a.py')]
    assert found['c'][0] == str(tmp_path / 'b.py')
    assert found['c'][1].endswith('configs/_base_/default_runtime.py')


def test_loaders_are_built_from_the_configs(tiny):
    runner = training(tiny)
    (train, _), whole = private_api.loader_configs(runner), list(range(7))
    assert train['dataset']['type'] == 'pinas_mm.Digits'
    train['dataset'] = whole
    assert runner.train_dataloader.dataset == whole


def test_a_fresh_element_shares_its_values_and_takes_others():
    boxes = torch.rand(3, 4)
    sample = DataSample(metainfo=dict(img_shape=(32, 32)), gt=InstanceData(boxes=boxes))
    sample.set_gt_label(3)
    copy = private_api.fresh_element(sample)
    assert type(copy) is DataSample and copy.img_shape == (32, 32)
    assert copy.gt.boxes is boxes and copy.gt_label is sample.gt_label
    copy.set_pred_label(2)
    copy.gt.scores = torch.ones(3)
    copy.set_metainfo(dict(seen=True))
    assert {'pred_label', 'seen'}.isdisjoint(sample.all_keys())
    assert sample.gt.keys() == ['boxes'] and 'pred_label' in copy


def test_a_runner_gets_a_checkpoint_that_is_already_read(tiny):
    runner = training(tiny)
    state = {key: torch.full_like(value, 3) for key, value in runner.model.state_dict().items()}
    with private_api.already_read(dict(state_dict=state, meta={})):
        runner.load_checkpoint('no such file')
    assert all((value == 3).all() for value in runner.model.state_dict().values())
    with pytest.raises(FileNotFoundError):
        runner.load_checkpoint('no such file')


def test_what_a_file_may_name_is_what_is_chosen(tmp_path, monkeypatch):
    unpickler, chosen = torch._weights_only_unpickler, [None]
    monkeypatch.setattr(unpickler, '_get_user_allowed_globals', unpickler._get_user_allowed_globals)
    private_api.allow_globals(lambda: chosen[0])
    torch.save(PurePosixPath('a'), tmp_path / 'a.pth')
    with torch.serialization.safe_globals([PurePosixPath]):
        assert torch.load(tmp_path / 'a.pth') == PurePosixPath('a')
        chosen[0] = {}
        with pytest.raises(UnpicklingError, match='GLOBAL pathlib.PurePosixPath was not an allo'):
            torch.load(tmp_path / 'a.pth')
        chosen[0] = {'pathlib.PurePosixPath': list}
        assert torch.load(tmp_path / 'a.pth') == ['a']


def test_a_processor_says_whether_it_has_bfloat16():
    flags = Path('/proc/cpuinfo')
    if platform.machine() != 'x86_64' or not flags.exists():
        pytest.skip('Linux on x86 tells its features')
    known = {'avx512_bf16', 'amx_tile'} & set(flags.read_text().split())
    assert private_api.computes_in_bfloat16() == bool(known)


def test_many_tensors_move_towards_others():
    tensors, ends = ([torch.rand(2, 3), torch.rand(4)] for _ in range(2))
    expected = [0.9 * tensor + 0.1 * end for tensor, end in zip(tensors, ends)]
    private_api.lerp_each(tensors, ends, 0.1)
    torch.testing.assert_close(tensors, expected)


def test_a_state_dict_knows_the_versions_of_its_modules():
    state = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).state_dict()
    versions = private_api.module_versions(state)
    assert versions['1']['version'] >= 2
    versions['other'] = versions['1']
    assert 'other' in private_api.module_versions(state)


def test_a_change_in_place_is_seen():
    tensor = torch.ones(3)
    before = private_api.version_of(tensor)
    tensor.sum()
    assert private_api.version_of(tensor) == before
    tensor[0].mul_(2)
    assert private_api.version_of(tensor) > before


def test_tensors_take_the_places_of_a_layers_own_and_are_put_back():
    conv, bn = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)
    weight, bias, mean = conv.weight, conv.bias, torch.full((1,), 3.0)
    private_api.set_tensors(conv, torch.full((1, 1, 1, 1), 2.0), None)
    private_api.set_buffers(bn, dict(running_mean=mean))
    assert conv(torch.ones(1, 1, 1, 1)).item() == 2 and bn.running_mean is mean
    private_api.set_tensors(conv, weight, bias)
    assert conv.weight is weight and list(conv.parameters())[1] is bias


def test_one_module_computes_something_else_for_a_while():
    replaced, other = nn.ReLU(), nn.ReLU()
    private_api.replace_forward(replaced, lambda x: x + 1)
    assert replaced(torch.zeros(1)) == 1 and other(torch.zeros(1)) == 0
    private_api.restore_forward(replaced)
    assert replaced(torch.zeros(1)) == 0


@pytest.mark.parametrize('pool', [nn.AvgPool2d(2, 2), nn.MaxPool2d(3, 2, 1)])
def test_pooling_is_traced_for_even_and_odd_sizes(pool):
    with private_api.pooling_for_any_size():
        program = torch.export.export(
            nn.Sequential(pool, nn.Conv2d(3, 2, 1)),
            (torch.rand(2, 3, 65, 97),),
            dynamic_shapes=({2: Dim.DYNAMIC, 3: Dim.DYNAMIC},),
            strict=False,
        )
    for size in ((64, 96), (65, 96), (33, 40)):
        images = torch.rand(2, 3, *size)
        assert program.module()(images).shape[2:] == pool(images).shape[2:]


def test_the_private_methods_that_are_overridden_exist():
    assert callable(Runner._init_model_weights) and callable(nn.Conv2d._conv_forward)
