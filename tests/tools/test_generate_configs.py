"""The pure-Python configs equal the text ones wherever they are read from."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from our_configs import TOP, names, read

import pinas_mm
from pinas_mm.spaces.subnet_file import SubnetFile

# Each test runs whole tools.
pytestmark = pytest.mark.slow

TOOL = runpy.run_path(str(TOP.parent / 'tools/generate_configs.py'))
NAMES = names()
BASES = dict(
    mmdet='mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    mmseg='mmseg::upernet/upernet_r50_4xb2-40k_cityscapes-512x1024.py',
)


@pytest.fixture(scope='module')
def generated(tmp_path_factory):
    """A folder with all configs in the pure-Python form."""
    folder = tmp_path_factory.mktemp('generated')
    TOOL['write_all'](TOOL['generate_all'](TOP), folder)
    return folder


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs the tool in this process; returns its exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['generate_configs.py', *map(str, arguments)])
        try:
            runpy.run_path(str(TOP.parent / 'tools/generate_configs.py'), run_name='__main__')
            code = 0
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


def inherit(generated, name, changes=''):
    """A pure-Python config beside the generated ones that inherits one. From the installed package
    it is done in tests/test_wheel.py."""
    module = '.'.join(TOOL['module_path'](Path(name)).with_suffix('').parts)
    path = generated.with_name(f'{generated.name}_downstream.py')
    path.write_text(
        f'from mmengine.config import read_base\n\nwith read_base():\n    from '
        f'.{generated.name}.{module} import *\n\n{changes}\n'
    )
    assert Config._is_lazy_import(str(path))
    return Config.fromfile(path)


def shapes(config):
    """Names and shapes of everything in the model of a config, which is not allocated."""
    init_default_scope(config.default_scope)
    with torch.device('meta'):
        model = MODELS.build(config.model)
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def test_both_forms_are_the_same_data(generated):
    assert {path.relative_to(generated) for path in generated.rglob('*.py')} == {
        TOOL['module_path'](Path(name)) for name in NAMES
    }
    wrong = [
        name
        for name in NAMES
        if Config.fromfile(generated / TOOL['module_path'](Path(name))).to_dict()
        != Config.fromfile(TOP / name).to_dict()
    ]
    assert len(NAMES) > 10 and not wrong
    # The text dialect imports what this names.
    assert not [name for name in NAMES if 'pinas_mm' not in read(name).custom_imports.imports]


def test_no_path_of_this_machine_is_in_a_file(generated):
    places = [f'{place}/' for place in (TOP.parent, Path.home(), sys.prefix)]
    files = {file: file.read_text() for file in generated.rglob('*.py')}
    assert not [(file, place) for file, text in files.items() for place in places if place in text]
    assert all(text.startswith('"""Do not edit. python tools/') for text in files.values())


def test_an_inherited_supernet_a_subnet_and_a_detector_are_built(generated, tmp_path):
    supernet = inherit(generated, 'quickstart/linear.py', 'model.backbone.update(init_cfg=None)')
    supernet.work_dir = str(tmp_path)
    runner = Runner.from_cfg(supernet)
    assert runner.model.backbone.widen_factor == 0.25 and runner.model.backbone.is_supernet

    found = inherit(generated, 'quickstart/finetune.py')
    SubnetFile(space='nasbench_macro', arch=(0, 1, 2, 0, 1, 2, 0, 1), widen_factor=0.25).write(
        tmp_path / 'subnet.yaml'
    )
    detector = 'mmdet/mask-rcnn_pinas-resnest50_fpn_1x_coco.py'
    for name, config, arch in (
        ('quickstart/finetune.py', found, str(tmp_path / 'subnet.yaml')),
        (detector, inherit(generated, detector), '0123' * 4),
    ):
        original = read(name)
        for form in (config, original):
            form.model.backbone.update(arch=arch, init_cfg=None)
            form.model.setdefault('data_preprocessor', form.get('data_preprocessor'))
        assert shapes(config) == shapes(original) and len(shapes(config)) > 20


def test_a_variable_of_the_environment_counts_in_both_forms(generated, monkeypatch):
    name = 'pinas/pinas_nasbench-macro-search_cifar10.py'
    monkeypatch.setenv('PINAS_DATA', 'elsewhere/')
    text, downstream = Config.fromfile(TOP / name), inherit(generated, name)
    assert downstream.val_dataloader.dataset.dataset.data_root == 'elsewhere/'
    assert text.to_dict() == downstream.to_dict()


def test_a_downstream_change_is_one_line(generated, tmp_path):
    name = 'quickstart/linear.py'
    before = inherit(generated, name).to_dict()
    assert before['model']['backbone']['widen_factor'] == 0.25
    after = inherit(
        generated,
        name,
        'model.merge(dict(backbone=dict(widen_factor=0.5)))\ntrain_cfg.update(max_epochs=3)',
    ).to_dict()
    before['model']['backbone']['widen_factor'], before['train_cfg']['max_epochs'] = 0.5, 3
    assert after == before
    after = inherit(
        generated, name, "optim_wrapper.optimizer.merge(dict(_delete_=True, type='SGD', lr=1))"
    ).to_dict()
    assert after['optim_wrapper'] == dict(optimizer=dict(type='SGD', lr=1))
    Config(after).dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == after


def test_the_model_builds_where_nothing_has_imported_us(generated):
    """The pure-Python dialect does not act on custom_imports: the scope in the name has to do
    it."""
    inherit(generated, 'quickstart/linear.py')
    downstream = f'{generated.name}_downstream.py'
    code = (
        'import sys, torch\nfrom mmengine.config import Config\nfrom mmengine.registry import '
        'MODELS, init_default_scope\n'
        f"config = Config.fromfile({downstream!r})\nassert 'pinas_mm' not in "
        "sys.modules\ninit_default_scope('mmpretrain')\n"
        "with torch.device('meta'):\n    "
        'print(type(MODELS.build(config.model).backbone).__name__)\n'
        "assert 'pinas_mm' in sys.modules\n"
    )
    run = subprocess.run(
        [sys.executable, '-c', code],
        cwd=generated.parent,
        env=dict(PYTHONPATH=str(Path(pinas_mm.__file__).parents[1])),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0 and run.stdout.splitlines()[-1] == 'SearchableMacroNet', run.stderr


@pytest.fixture
def tree(tmp_path):
    """A folder of text configs with a base, and where the generated ones go."""
    files = {
        '_base_/base.py': 'a = dict(x=1, y=(2, ), z=None)\n',
        'some-folder/one+two_x1.5.py': "_base_ = '../_base_/base.py'\na = dict(x=1e-05, "
        "y=[_base_.a.y])\nb = '{{$PINAS_TEST:d}}'\n",
        'some-folder/three.py': "_base_ = '../_base_/base.py'\n",
    }
    for name, text in files.items():
        (tmp_path / 'configs' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'configs' / name).write_text(text)
    return ['--source', tmp_path / 'configs', '--destination', tmp_path / 'generated']


def test_a_second_run_writes_anew_and_removes_what_is_left_over(tool, tree):
    source, destination = tree[1], tree[3]
    assert tool(*tree) == (0, f'{destination}: 2 configs\n', '')
    first, second = (
        destination / 'some_folder/one_two_x1_5.py',
        destination / 'some_folder/three.py',
    )
    assert Config.fromfile(first).to_dict() == dict(a=dict(x=1e-05, y=[(2,)], z=None), b='d')

    (source / '_base_/base.py').write_text('a = dict(x=2, y=(2, ), z=None)\n')
    (source / 'some-folder/one+two_x1.5.py').unlink()
    (destination / 'not_ours.py').write_text('a = 1\n')
    assert tool(*tree)[0] == 0
    assert Config.fromfile(second).a.x == 2 and not first.exists()
    assert (destination / 'not_ours.py').exists(), 'only what the tool wrote is removed'


WRONG = [
    (
        'some-folder/one-two_x1+5.py',
        'a = 1',
        r'one\+two_x1.5.py and some-folder/one-two_x1\+5.py have the same importable name|'
        r'one-two_x1\+5.py and some-folder/one\+two_x1.5.py have the same',
    ),
    ('some-folder/3x.py', 'a = 1', "3x.py: no name for an import, '3x'"),
    ('some-folder/lambda.py', 'a = 1', "lambda.py: no name for an import, 'lambda'"),
    ('some-folder/x.py', 'a = dict(b=print)', 'x.py: a is not plain data'),
    ('some-folder/x.py', "a = float('inf')", 'x.py: a is not plain data'),
    ('some-folder/x.py', "a = '{{ fileDirname }}'", 'x.py: a holds a path of this machine'),
    (
        'some-folder/x.py',
        "a = 'x/{{$PINAS_TEST:d}}'",
        'x.py: an environment variable is expected at the start',
    ),
    ('some-folder/x.py', "_base_ = 'none.py'", 'x.py: FileNotFoundError'),
]


def test_what_cannot_be_generated_is_named(tool, tree):
    for name, text, message in WRONG:
        (tree[1] / name).write_text(text)
        code, _, stderr = tool(*tree)
        assert code == 2 and re.match(f'error: .*({message})', stderr), (text, stderr)
        assert not tree[3].exists()
        (tree[1] / name).unlink()


@pytest.mark.parametrize('scope', BASES)
def test_a_config_of_a_detector_or_segmentor(tool, tree, scope):
    """What is inherited from an mm package's text configs is written out."""
    name = 'some-folder/theirs.py'
    (tree[1] / name).write_text(
        f"_base_ = __import__('pinas_mm').config_path({BASES[scope]!r})\ncustom_imports = "
        f"dict(imports=['pinas_mm'])\n"
        "model = dict(backbone=dict(_delete_=True, type='pinas_mm.SearchableResNeSt', arch='1' * "
        '16, out_indices=(0, 1, 2, 3)))\n'
        + ('model.update(pretrained=None)\n' if scope == 'mmseg' else '')
    )
    assert tool(*tree)[0] == 0
    text, generated = (
        Config.fromfile(tree[1] / name),
        Config.fromfile(tree[3] / 'some_folder/theirs.py'),
    )
    assert text.to_dict() == generated.to_dict() and text.default_scope == scope
    assert shapes(text) == shapes(generated)
