import argparse
import errno

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.registry import init_default_scope

from pinas_mm import compat, config_path
from pinas_mm.engine.command_line import build_runner, load_config, parser, read_config, run_tool
from pinas_mm.errors import InputError


@pytest.fixture(autouse=True)
def local_rank(monkeypatch):
    """``read_config`` sets it for mmengine's launchers."""
    monkeypatch.setenv('LOCAL_RANK', '0')


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    'error, code, message',
    [
        (InputError('arch of length 7'), 2, 'error: arch of length 7\n'),
        (
            TypeError("SearchLoop.__init__() got an unexpected keyword argument 'num_arch'"),
            2,
            'error: wrong config key: SearchLoop.__init__() got an unexpected keyword argument '
            "'num_arch'\n",
        ),
        (
            TypeError("__init__() missing 1 required positional argument: 'searcher'"),
            2,
            'error: wrong config key: __init__() missing 1 required positional argument: '
            "'searcher'\n",
        ),
        (
            OSError(errno.ENOSPC, 'No space left on device', 'epoch_1.pth'),
            2,
            'error: the disk is full, what was written before is kept: [Errno 28] No space left '
            "on device: 'epoch_1.pth'\n",
        ),
        (
            FileNotFoundError(errno.ENOENT, 'No such file or directory', 'data/cifar10/train/'),
            2,
            'error: no such file: data/cifar10/train/\n',
        ),
        (KeyboardInterrupt(), 130, ''),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_an_exit_code(capsys, error, code, message):
    with pytest.raises(SystemExit) as exit_code:
        run_tool(raising(error))
    assert exit_code.value.code == code and capsys.readouterr().err == message


@pytest.mark.parametrize(
    'error',
    [
        ValueError('a bug'),
        TypeError('unsupported operand'),
        RuntimeError(),
        KeyError('x'),
        PermissionError(errno.EACCES, ''),
    ],
)
def test_all_else_keeps_its_traceback(error):
    with pytest.raises(type(error)) as raised:
        run_tool(raising(error))
    assert raised.value is error


def test_success_is_silent(capsys):
    done = []
    run_tool(lambda: done.append(1))
    assert done == [1] and capsys.readouterr() == ('', '')


def test_the_process_group_ends_with_the_tool_but_is_left_after_an_error(tmp_path):
    dist.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    with pytest.raises(SystemExit):
        run_tool(raising(InputError('arch of length 7')))
    assert dist.is_initialized()
    run_tool(lambda: None)
    assert not dist.is_initialized()


def arguments(*argv):
    return parser('x').parse_args(list(map(str, argv)))


def test_config_with_overrides_and_work_dir(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text('a = dict(b=1, c=[1, 2])\nwork_dir = None\n')
    config = read_config(arguments(path, '--cfg-options', 'a.b=2', 'a.c=3,4', '--launcher', 'none'))
    assert (
        config.a == dict(b=2, c=[3, 4])
        and config.work_dir == 'work_dirs/tiny'
        and config.launcher == 'none'
    )
    assert read_config(arguments(path, '--work-dir', tmp_path / 'out')).work_dir == str(
        tmp_path / 'out'
    )
    path.write_text("work_dir = 'elsewhere'\n")
    assert read_config(arguments(path)).work_dir == 'elsewhere'
    assert read_config(arguments(path, '--work-dir', 'here')).work_dir == 'here'


@pytest.mark.parametrize(
    'text, reason',
    [
        (None, 'no such config file'),
        ('model = dict(', 'syntax|never closed'),
        ("_base_ = './missing.py'\n", 'missing.py'),
        ('lr = undefined * 2\n', 'undefined'),
        ("_base_ = './base.py'\nlr = _base_.rate\n", 'rate'),
        ("custom_imports = dict(imports=['pinas_mn'])\n", 'pinas_mn'),
    ],
)
def test_a_config_that_cannot_be_read_is_named(tmp_path, text, reason):
    path = tmp_path / 'tiny.py'
    (tmp_path / 'base.py').write_text('lr = 1\n')
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=reason) as error:
        read_config(arguments(path))
    assert str(error.value).startswith(str(path))


def test_overrides_and_files_that_are_no_config_are_named(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text('a = 1\n')
    with pytest.raises(InputError, match='tiny.py'):
        read_config(arguments(path, '--cfg-options', 'a.b=2'))
    (tmp_path / 'weights.pth').write_bytes(b'\x80')
    for wrong in (tmp_path, tmp_path / 'weights.pth'):
        with pytest.raises(InputError, match=str(wrong)):
            read_config(
                argparse.Namespace(
                    config=str(wrong),
                    cfg_options=None,
                    launcher='none',
                    work_dir=None,
                    local_rank=0,
                )
            )


def test_runners_on_cpus_use_channels_last(tiny, monkeypatch):
    cfg = tiny.runner().cfg
    cfg.experiment_name = 'channels_last'
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    weight = build_runner(cfg).model.backbone.stem[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


def test_a_config_of_a_package_that_is_missing_says_what_to_install(tmp_path, monkeypatch):
    """A generated config names no file of that package, so nothing else would notice before its
    types are looked for."""
    (tmp_path / 'detector.py').write_text("default_scope = 'mmdet'\n")
    monkeypatch.setattr(compat, 'find_spec', lambda name: None)
    with pytest.raises(
        InputError,
        match="default_scope='mmdet': mmdet is not installed: pip install onedl-mmdetection or "
        'mmdet',
    ):
        load_config(tmp_path / 'detector.py', {})


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


def test_operators_of_mmcv_keep_the_contiguous_layout(tiny, monkeypatch):
    """On CPUs its RoIAlign reads a channels-last map as if it were contiguous."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    cfg = tiny.runner().cfg
    cfg.pop('model')
    cfg.update(model=faster_rcnn(), default_scope='mmdet', experiment_name='operators')
    assert build_runner(cfg).model.backbone.stem[0].weight.is_contiguous()
    cfg.update(experiment_name='operators asked for', channels_last=True)
    with pytest.raises(InputError, match="channels_last=True: on a CPU mmcv's RoIAlign would read"):
        build_runner(cfg)


def test_a_neck_that_does_not_fit_is_told_the_right_channels(tiny):
    cfg = tiny.runner().cfg
    cfg.pop('model')
    cfg.update(model=faster_rcnn(), default_scope='mmdet', experiment_name='neck')
    cfg.model.neck.in_channels = [256, 512]
    with pytest.raises(
        InputError, match=r'in_channels=\[256, 512\] of the neck: .* gives \[32, 64\]'
    ):
        build_runner(cfg)
