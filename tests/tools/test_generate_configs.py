"""The pure-Python configs are current, and equal the text ones wherever they are read from."""

import copy
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import pinas_mm
from pinas_mm.spaces.subnet_file import SubnetFile

TOP = Path(__file__).parents[2]
TOOL = runpy.run_path(str(TOP / 'tools/generate_configs.py'))
TEXTS = sorted(
    path.relative_to(TOP / 'configs')
    for path in (TOP / 'configs').rglob('*.py')
    if '_base_' not in path.parts
)
BASES = dict(
    mmdet='mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    mmseg='mmseg::upernet/upernet_r50_4xb2-40k_cityscapes-512x1024.py',
)


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs the tool in this process; returns its exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['generate_configs.py', *map(str, arguments)])
        try:
            runpy.run_path(str(TOP / 'tools/generate_configs.py'), run_name='__main__')
            code = 0
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


def inherit(folder, module, changes=''):
    """A pure-Python config in ``folder`` that inherits a generated one, as somebody else's repo
    would."""
    name = '.'.join(module.with_suffix('').parts)
    text = (
        f'from mmengine.config import read_base\n\nwith read_base():\n    from '
        f'pinas_mm.configs.{name} import *\n\n{changes}\n'
    )
    (folder / 'downstream.py').write_text(text)
    assert Config._is_lazy_import(str(folder / 'downstream.py'))
    return Config.fromfile(folder / 'downstream.py')


def shapes(config, folder):
    """Names and shapes of everything in the model of a config, which is not allocated."""
    init_default_scope(config.default_scope)
    model = copy.deepcopy(config.model)
    backbone = model.get('model', model)['backbone']  # a strategy holds the model
    if str(backbone.get('arch', '')).endswith('.yaml'):
        space = MODELS.get(backbone['type']).space
        SubnetFile(
            space=space.name,
            arch=tuple(count - 1 for count in space.num_candidates),
            widen_factor=backbone.get('widen_factor', 1.0),
        ).write(folder / 'subnet.yaml')
        backbone['arch'] = str(folder / 'subnet.yaml')
    if 'data_preprocessor' in config:
        model.setdefault('data_preprocessor', config.data_preprocessor)
    with torch.device('meta'):
        return {key: tuple(value.shape) for key, value in MODELS.build(model).state_dict().items()}


@pytest.mark.parametrize('name', TEXTS, ids=str)
def test_both_forms_are_the_same_config_and_model(name, tmp_path):
    module = TOOL['module_path'](name)
    text, generated = (
        Config.fromfile(TOP / 'configs' / name),
        Config.fromfile(TOP / 'pinas_mm/configs' / module),
    )
    downstream = inherit(tmp_path, module)
    assert text.to_dict() == generated.to_dict() == downstream.to_dict()
    assert 'pinas_mm' in generated.custom_imports.imports, (
        'the text dialect imports what this names'
    )
    found = shapes(downstream, tmp_path)
    assert found and found == shapes(text, tmp_path)


def test_the_files_are_current(tool):
    code, stdout, _ = tool('--check')
    assert (code, stdout) == (0, ''), 'run python tools/generate_configs.py'


def test_no_path_of_this_machine_is_in_a_file():
    files = list((TOP / 'pinas_mm/configs').rglob('*.py'))
    assert len(files) == len(TEXTS) > 10
    for file in files:
        text = file.read_text()
        assert not [place for place in (TOP, Path.home(), sys.prefix) if f'{place}/' in text], file
        assert text.startswith(
            '"""Do not edit. python tools/generate_configs.py wrote it from\nconfigs/'
        )


def test_a_variable_of_the_environment_counts_in_both_forms(monkeypatch, tmp_path):
    name = Path('pinas/pinas_nasbench-macro-search_cifar10.py')
    monkeypatch.setenv('PINAS_DATA', 'elsewhere/')
    text, downstream = (
        Config.fromfile(TOP / 'configs' / name),
        inherit(tmp_path, TOOL['module_path'](name)),
    )
    assert downstream.val_dataloader.dataset.dataset.data_root == 'elsewhere/train'
    assert text.to_dict() == downstream.to_dict()


def test_a_downstream_change_is_one_line(tmp_path):
    module = TOOL['module_path'](Path('quickstart/linear.py'))
    before = inherit(tmp_path, module).to_dict()
    assert before['model']['backbone']['widen_factor'] == 0.25
    after = inherit(
        tmp_path,
        module,
        'model.merge(dict(backbone=dict(widen_factor=0.5)))\ntrain_cfg.update(max_epochs=3)',
    ).to_dict()
    before['model']['backbone']['widen_factor'], before['train_cfg']['max_epochs'] = 0.5, 3
    assert after == before
    after = inherit(
        tmp_path, module, "optim_wrapper.optimizer.merge(dict(_delete_=True, type='SGD', lr=1))"
    ).to_dict()
    assert after['optim_wrapper'] == dict(optimizer=dict(type='SGD', lr=1))
    Config(after).dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == after


def test_the_model_builds_where_nothing_has_imported_us(tmp_path):
    """The pure-Python dialect does not act on custom_imports: the scope in the name has to do
    it."""
    inherit(tmp_path, Path('quickstart/linear.py'))
    code = (
        'import sys, torch\nfrom mmengine.config import Config\nfrom mmengine.registry import '
        'MODELS, init_default_scope\n'
        "config = Config.fromfile('downstream.py')\nassert 'pinas_mm' not in "
        "sys.modules\ninit_default_scope('mmpretrain')\n"
        "with torch.device('meta'):\n    "
        'print(type(MODELS.build(config.model).backbone).__name__)\n'
        "assert 'pinas_mm' in sys.modules and not [name for name in sys.modules if "
        "name.startswith('pinas_mm.configs')]\n"
    )
    run = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
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


def test_what_is_not_current_is_named_and_mended(tool, tree):
    source, destination = tree[1], tree[3]
    assert tool(*tree)[0] == 0 and tool(*tree, '--check') == (0, '', '')
    first, second = (
        destination / 'some_folder/one_two_x1_5.py',
        destination / 'some_folder/three.py',
    )
    assert Config.fromfile(first).to_dict() == dict(a=dict(x=1e-05, y=[(2,)], z=None), b='d')

    second.write_text(second.read_text().replace('None', '\n    None'))
    assert tool(*tree, '--check') == (0, '', ''), 'layout does not count'
    (source / '_base_/base.py').write_text('a = dict(x=2, y=(2, ), z=None)\n')
    first.unlink()
    shutil.copy(second, destination / 'some_folder/old.py')
    code, stdout, _ = tool(*tree, '--check')
    assert code == 1
    assert stdout.splitlines() == [
        f'{first}: missing',
        f'{second}: stale',
        f'{destination / "some_folder/old.py"}: left over',
    ]
    assert not first.exists() and (destination / 'some_folder/old.py').exists(), (
        '--check writes nothing'
    )
    assert tool(*tree)[0] == 0 and tool(*tree, '--check') == (0, '', '')
    assert Config.fromfile(second).a.x == 2 and not (destination / 'some_folder/old.py').exists()


@pytest.mark.parametrize(
    'name, text, message',
    [
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
    ],
)
def test_what_cannot_be_generated_is_named(tool, tree, name, text, message):
    (tree[1] / name).write_text(text)
    code, _, stderr = tool(*tree)
    assert code == 2 and re.match(f'error: .*({message})', stderr) and not tree[3].exists()


@pytest.mark.parametrize('scope', BASES)
def test_a_config_of_a_detector_or_segmentor(tool, tree, tmp_path, scope):
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
    assert shapes(text, tmp_path) == shapes(generated, tmp_path)
