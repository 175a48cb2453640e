import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from disks import no_file_above
from mmengine.config import Config
from mmengine.fileio.backends import LocalBackend
from mmengine.fileio.backends.registry_utils import backends
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from pickle_programs import runs, write

from pinas_mm import config_path
from pinas_mm.checkpoint import load_checkpoint, only_plain_tensors
from pinas_mm.engine.runner import SafeRunner, build_runner, save_whole
from pinas_mm.errors import InputError
from pinas_mm.fileio import PART


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def unsafe(tmp_path):
    """A checkpoint that makes the file ``hacked`` when it is unpickled."""
    torch.save(dict(state_dict={}, meta=Touch(tmp_path / 'hacked')), tmp_path / 'unsafe.pth')
    yield tmp_path / 'unsafe.pth'
    assert not (tmp_path / 'hacked').exists()


def runner(tiny, **changes):
    config = tiny.training(
        loader=tiny.digits(indices=16), custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')]
    ).cfg.to_dict()
    return SafeRunner.from_cfg(
        Config(config | dict(experiment_name=f'safe_{tiny.folder.name}_{len(changes)}') | changes)
    )


def test_every_training_compares_labels_with_the_head(tiny):
    config = tiny.config(
        train_dataloader=tiny.digits(indices=16),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')],
    )
    config.model.head.num_classes = 7
    with pytest.raises(InputError, match='num_classes=7 of LinearClsHead: Digits has 10 classes'):
        build_runner(config).train()


@pytest.mark.parametrize('resume', [False, True])
def test_training_only_loads_checkpoints_that_are_safe(tiny, unsafe, resume):
    with pytest.raises(
        InputError, match='unsafe.pth: not loadable as a checkpoint of plain tensors'
    ):
        runner(tiny, load_from=str(unsafe), resume=resume).train()
    with pytest.raises(InputError, match='none.pth: no such checkpoint'):
        runner(tiny, load_from=str(tiny.folder / 'none.pth'), resume=resume, seen=True).train()
    with open(unsafe, 'wb') as file:
        pickle.dump(Touch(tiny.folder / 'hacked'), file)
    (tiny.folder / 'last_checkpoint').write_text(str(unsafe))
    with pytest.raises(InputError, match='not loadable'):
        runner(tiny, load_from=None, resume=True, seen=True, found=True).train()


def test_pretrained_weights_of_any_module_are_only_loaded_where_safe(tiny, unsafe):
    """The head's ``Pretrained`` goes through mmengine, which falls back to unsafe loading."""
    model = tiny.classifier()
    model['head']['init_cfg'] = dict(type='Pretrained', checkpoint=str(unsafe), prefix='head.')
    with pytest.raises(InputError, match='unsafe.pth: not loadable as a checkpoint of plain'):
        runner(tiny, model=model).train()


def test_pretrained_weights_cannot_use_what_mmengine_calls_safe(tiny):
    """It allows ``getattr`` while it loads them."""
    path, hacked = tiny.folder / 'unsafe.pth', tiny.folder / 'hacked'
    write(path, runs(f'import os; os.mkdir({str(hacked)!r})'))
    model = tiny.classifier()
    model['head']['init_cfg'] = dict(type='Pretrained', checkpoint=str(path), prefix='head.')
    with pytest.raises(InputError, match='unsafe.pth: not loadable .*, it has getattr'):
        runner(tiny, model=model).train()
    assert not hacked.exists()
    with pytest.raises(AttributeError, match='as_subclass'):
        CheckpointLoader.load_checkpoint(str(path))
    assert hacked.exists(), 'this program does run code where it is allowed to'


def test_what_mmengine_saved_is_pretrained_weights_too(tiny):
    first = runner(tiny)
    first.train()
    model = tiny.classifier()
    model['head']['init_cfg'] = dict(
        type='Pretrained', checkpoint=str(tiny.folder / 'epoch_1.pth'), prefix='head.'
    )
    second = runner(tiny, model=model)
    second._init_model_weights()
    assert torch.equal(second.model.head.fc.weight, first.model.head.fc.weight)


def test_the_environment_is_left_as_it_was(monkeypatch):
    monkeypatch.delenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', raising=False)
    before = dict(os.environ)
    with only_plain_tensors():
        assert dict(os.environ) != before
    assert dict(os.environ) == before
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0')
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    with pytest.raises(ZeroDivisionError), only_plain_tensors():
        1 / 0  # noqa: B018
    assert os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] == '0'
    assert os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] == '1'


def test_a_config_text_in_a_checkpoint_is_not_executed(tiny):
    """mmengine's ``Runner.resume`` parses ``meta['config']`` as a Python config, which runs it."""
    runner(tiny).train()
    path, hacked = tiny.folder / 'epoch_1.pth', tiny.folder / 'hacked'
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['meta']['config'] = f'import pathlib\npathlib.Path({str(hacked)!r}).touch()\n'
    torch.save(checkpoint, path)
    resumed = runner(tiny, resume=True, train_cfg=dict(by_epoch=True, max_epochs=2))
    resumed.train()
    assert resumed.epoch == 2 and not hacked.exists()


def test_a_full_disk_leaves_the_checkpoint_before(tiny):
    training = runner(tiny)
    training.train()
    before = (tiny.folder / 'epoch_1.pth').read_bytes()
    with no_file_above(len(before) // 2), pytest.raises(OSError, match='File too large'):
        training.save_checkpoint(str(tiny.folder), 'epoch_1.pth')
    assert (tiny.folder / 'epoch_1.pth').read_bytes() == before
    assert not list(tiny.folder.glob(f'*{PART}'))


@pytest.mark.parametrize(
    'arguments, whole',
    [
        ({}, True),
        (dict(backend_args=dict(backend='local')), True),
        (dict(file_client_args=dict(backend='disk')), True),
        (dict(backend_args=dict(backend='FakeStorage')), False),
    ],
)
def test_a_checkpoint_on_a_disk_is_written_whole_and_one_elsewhere_by_its_backend(
    tmp_path, monkeypatch, arguments, whole
):
    """A storage that is told by ``backend_args`` may have paths like a disk's."""

    class FakeStorage(LocalBackend):
        def put(self, data, path):
            put.append(path)

    put, written = [], []
    monkeypatch.setitem(backends, 'FakeStorage', FakeStorage)
    monkeypatch.setattr(
        'pinas_mm.engine.runner.write_checkpoint', lambda path, _: written.append(path)
    )
    save_whole({}, 'a/b.pth', **arguments)
    assert (written, put) == ((['a/b.pth'], []) if whole else ([], ['a/b.pth']))


def test_runners_on_cpus_use_channels_last(tiny, monkeypatch):
    cfg = tiny.runner().cfg
    cfg.experiment_name = 'channels_last'
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    weight = build_runner(cfg).model.backbone.stem[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


def faster_rcnn():
    """A small one of mmdet, on a supernet's subnet."""
    pytest.importorskip('mmdet')
    init_default_scope('mmdet')
    model = Config.fromfile(config_path('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')).model
    model.backbone = dict(
        type='pinas_mm.SearchableMacroNet', arch='1' * 8, widen_factor=0.25, out_indices=(1, 2)
    )
    model.neck = dict(type='FPN', in_channels=[32, 64], out_channels=256, num_outs=5)
    return model


@pytest.mark.parametrize('on_gpu', [False, True])
def test_operators_of_mmcv_keep_the_contiguous_layout(tiny, monkeypatch, on_gpu):
    """Its RoIAlign reads a channels-last map as if it were contiguous, on CPUs and on GPUs."""
    cuda = SimpleNamespace(is_available=lambda: on_gpu)  # mmengine asks the driver for more
    seen = SimpleNamespace(cuda=cuda, channels_last=torch.channels_last)
    monkeypatch.setattr('pinas_mm.engine.runner.torch', seen)
    cfg = tiny.runner().cfg
    cfg.pop('model')
    cfg.update(model=faster_rcnn(), default_scope='mmdet', experiment_name='operators')
    assert build_runner(cfg).model.backbone.stem[0].weight.is_contiguous()
    cfg.update(experiment_name='operators asked for', channels_last=True)
    with pytest.raises(InputError, match="channels_last=True: mmcv's RoIAlign would read"):
        build_runner(cfg)


def test_a_neck_that_does_not_fit_is_told_the_right_channels(tiny):
    cfg = tiny.runner().cfg
    cfg.pop('model')
    cfg.update(model=faster_rcnn(), default_scope='mmdet', experiment_name='neck')
    cfg.model.neck.in_channels = [256, 512]
    with pytest.raises(InputError, match=r'in_channels=\[256, 512\] of FPN: .* gives \[32, 64\]'):
        build_runner(cfg)


def test_a_file_that_changes_after_the_check_is_not_read_again(tiny, unsafe, monkeypatch):
    """A link that is turned over, or a server that answers otherwise the second time."""
    runner(tiny).train()
    good, link = tiny.folder / 'epoch_1.pth', tiny.folder / 'link.pth'
    link.symlink_to(good)

    def read_and_turn_over(path):
        found = load_checkpoint(path)
        link.unlink()
        link.symlink_to(unsafe)
        return found

    monkeypatch.setattr('pinas_mm.engine.runner.load_checkpoint', read_and_turn_over)
    loaded = runner(tiny, load_from=str(link))
    loaded.load_checkpoint(str(link))
    weights = load_checkpoint(good)['state_dict']
    assert all(torch.equal(weights[key], value) for key, value in loaded.model.state_dict().items())


def not_finite(tiny, key, part='state_dict'):
    """A checkpoint of the tiny model with a value that is not finite."""
    path = tiny.folder / 'diverged.pth'
    state = runner(tiny).model.state_dict()
    state = {f'module.{name}' if part == 'ema_state_dict' else name: state[name] for name in state}
    model = runner(tiny).model
    checkpoint = dict(meta=dict(epoch=1, iter=1), message_hub={}, state_dict=model.state_dict())
    state[key].view(-1)[1] = float('nan')
    torch.save(checkpoint | {part: state}, path)
    return path


EMA = dict(custom_hooks=[dict(type='EMAHook'), dict(type='pinas_mm.ArchSamplingHook')])


@pytest.mark.parametrize(
    'changes, key, part',
    [
        (dict(load_from='{}'), 'head.fc.bias', 'state_dict'),
        (dict(load_from='{}', resume=True), 'backbone.stem.1.running_var', 'state_dict'),
        (dict(resume=True), 'head.fc.weight', 'state_dict'),
        (EMA | dict(load_from='{}', resume=True), 'module.head.fc.bias', 'ema_state_dict'),
    ],
)
def test_no_training_starts_from_weights_that_are_not_finite(tiny, changes, key, part):
    """mmengine trains on, and every loss is NaN."""
    path = not_finite(tiny, key, part)
    (tiny.folder / 'last_checkpoint').write_text(str(path))
    if 'load_from' in changes:
        changes = changes | dict(load_from=str(path))
    name = key.replace('.', r'\.')
    with pytest.raises(
        InputError,
        match=rf'diverged.pth: 1 of \d+ values of {name} are NaN or infinite: .* an earlier',
    ):
        runner(tiny, **changes).train()


def test_what_a_model_is_not_filled_with_may_be_anything(tiny):
    """A value on purpose: the model is made with it. And a tensor that is no part of the model."""
    trained = runner(tiny)
    state = trained.model.state_dict()
    torch.save(dict(state_dict=state | dict(other=torch.tensor([float('inf')]))), tiny.folder / 'a')
    runner(tiny, load_from=str(tiny.folder / 'a')).load_or_resume()
    trained.model.register_buffer('least', torch.tensor(float('inf')))
    torch.save(dict(state_dict=trained.model.state_dict()), tiny.folder / 'b')
    trained.load_checkpoint(str(tiny.folder / 'b'))


@pytest.mark.parametrize('part', ['head', 'model', 'backbone'])
def test_no_model_is_initialised_with_weights_that_are_not_finite(tiny, part):
    key = dict(head='fc.bias', model='head.fc.bias', backbone='stem.0.weight')[part]
    prefix = dict(head='head.', model='', backbone='backbone.')[part]
    path = not_finite(tiny, f'{prefix}{key}')
    pretrained = dict(type='Pretrained', checkpoint=str(path), prefix=prefix or None)
    model = tiny.classifier()
    (model if part == 'model' else model[part])['init_cfg'] = pretrained
    with pytest.raises(
        InputError, match=rf'diverged.pth: 1 of \d+ values of \S*{key} are NaN or infinite'
    ):
        runner(tiny, model=model).train()


def test_a_checkpoint_without_a_tensor_of_the_model_is_refused(tiny):
    """mmengine would warn and train from random weights."""
    own = tiny.runner().model.state_dict()
    torch.save(dict(state_dict=dict(a=torch.zeros(2))), tiny.folder / 'other.pth')
    shape = {key: torch.zeros(7, 7, 7) for key in own}
    torch.save(dict(state_dict=shape), tiny.folder / 'shape.pth')
    name = {f'module.{key}': value for key, value in list(own.items())[-1:]}
    torch.save(dict(state_dict=name), tiny.folder / 'one.pth')
    for number, file in enumerate(('other', 'shape')):
        message = f'{file}.pth: no tensor of it is of this ImageClassifier: it has .*, the model'
        with pytest.raises(InputError, match=message):
            runner(tiny, load_from=str(tiny.folder / f'{file}.pth'), seen=number).train()
    runner(tiny, load_from=str(tiny.folder / 'one.pth'), seen=True, one=True).train()


def test_a_network_that_is_no_parent_of_an_elastic_backbone_is_refused_by_its_file(tiny):
    """mmengine would warn, and train what does not fit from random weights."""
    model = tiny.classifier()
    model['backbone'] = dict(type='pinas_mm.ElasticResNet', depth=18, widen_factor=0.125)
    model['head']['in_channels'] = 64
    state = runner(tiny, model=model, own=True).model.state_dict()
    torch.save(dict(state_dict=state), tiny.folder / 'own.pth')
    key = 'backbone.conv1.weight'
    torch.save(dict(state_dict=state | {key: torch.zeros(16, 3, 7, 7)}), tiny.folder / 'wide.pth')
    runner(tiny, model=model, load_from=str(tiny.folder / 'own.pth')).load_or_resume()
    message = rf'wide.pth: {key} is \(16, 3, 7, 7\), expected \(8, 3, 7, 7\) as this ElasticResNet'
    with pytest.raises(InputError, match=message):
        runner(tiny, model=model, load_from=str(tiny.folder / 'wide.pth'), n=1).load_or_resume()


def test_a_model_may_take_tensors_of_other_names(tiny):
    """By ``revise_keys``, or by a loading of its own."""
    runner = build_runner(tiny.config())
    state = {f'old.{key}': value + 1 for key, value in runner.model.state_dict().items()}
    torch.save(state, tiny.folder / 'old.pth')
    runner.load_checkpoint(str(tiny.folder / 'old.pth'), revise_keys=[(r'^old\.', '')])
    key = 'head.fc.weight'
    assert torch.equal(runner.model.state_dict()[key], state[f'old.{key}'])
    with pytest.raises(InputError, match='no tensor of it is of this ImageClassifier'):
        runner.load_checkpoint(str(tiny.folder / 'old.pth'))
