import json
import re
import runpy
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import once_for_all
import onnxruntime
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from published_lite0 import published_lite0

import pinas_mm  # noqa: F401
from pinas_mm.checkpoint import load_checkpoint, load_strict, save_checkpoint
from pinas_mm.engine import SearchLoop
from pinas_mm.models.backbones import (
    ElasticEfficientNetLite0,
    SearchableMacroNet,
    SearchableResNeSt,
)
from pinas_mm.registry import LOOPS
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.subnets.state_dict import subnet_state_dict

# Each test runs whole tools.
pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]
CONFIGS = TOP / 'configs/quickstart'
LEARNED = 'model.backbone.init_cfg.checkpoint={}/supernet.pth'
ARCHS = ['22212220', '0,1,2,0,1,2,0,1']


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def classifier():
    """The supernet with its classifier, as the quick start's configs have it."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    config = Config.fromfile(CONFIGS / 'linear.py')
    return MODELS.build(
        dict(config.model.to_dict(), data_preprocessor=config.data_preprocessor.to_dict())
    )


def published(state):
    """A supernet's tensors as the published checkpoints name them: a copy of the shortcut per
    candidate."""
    places = [
        (stage, index)
        for stage, depth in enumerate((3, 4, 6, 3), start=1)
        for index in range(depth)
    ]
    out = {}
    for key, value in state.items():
        top, first, *rest = key.split('.')
        if top == 'stem':
            out['.'.join(['bn1', *rest] if first == '7' else ['conv1', first, *rest])] = value
            continue
        block = 'layer{}.{}'.format(*places[int(first)])
        if rest[0] == 'shortcut':
            out |= {
                '.'.join([block, str(choice), 'downsample', *rest[1:]]): value
                for choice in range(4)
            }
        else:
            out['.'.join([block, *rest])] = value
    return {f'module.encoder_q.0.{key}': value for key, value in out.items()}


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Checkpoints, a config whose sets are small, and the folder they are in."""
    folder = tmp_path_factory.mktemp('files')
    save_checkpoint(folder / 'supernet.pth', classifier().state_dict(), {})
    save_checkpoint(
        folder / 'other.pth',
        {key: value for key, value in classifier().state_dict().items() if 'head' not in key},
        {},
    )
    torch.save(
        dict(state_dict=classifier().state_dict(), meta=Touch(folder / 'hacked')),
        folder / 'unsafe.pth',
    )
    for name in ('linear', 'search'):
        (folder / f'{name}.py').write_text(f"""_base_ = {str(CONFIGS / f'{name}.py')!r}
train_dataloader = dict(batch_size=16, dataset=dict(indices=32))
val_dataloader = dict(dataset=dict(indices=40))
test_dataloader = dict(dataset=dict(indices=40))
arch_evaluation = dict(
    calibration_dataloader=dict(batch_size=16, dataset=dict(indices=32)), calibration_batches=1)
""")
    (folder / 'search.py').write_text(
        (folder / 'search.py').read_text()
        + """
search_loop = dict(num_archs=3, score_samples=20, searcher=dict(num_initial=2))
"""
    )
    (folder / 'plain.py').write_text(
        f'model = {Config.fromfile(CONFIGS / "linear.py").model.to_dict()!r}'
    )
    torch.manual_seed(0)
    torch.save(
        dict(state_dict=published(SearchableResNeSt(widen_factor=0.25).state_dict())),
        folder / 'published.pth',
    )
    return folder


@pytest.fixture(scope='module')
def processes(files):
    """Every tool run as a user runs it, two at a time; the other tests call them in this
    process."""
    commands = dict(
        missing=['train.py', files / 'none.py'],
        misspelt=[
            'search.py',
            files / 'search.py',
            files / 'supernet.pth',
            '--cfg-options',
            'search_loop.num_arch=3',
        ],
        arch=[
            'test.py',
            files / 'linear.py',
            files / 'supernet.pth',
            '--arch',
            ARCHS[0],
            '--arch',
            ARCHS[1],
        ],
    )

    def run(item):
        name, (tool, *arguments) = item
        work_dir = ['--work-dir', files / 'processes' / name]
        return name, subprocess.run(
            [sys.executable, TOP / 'tools' / tool, *arguments, *work_dir],
            cwd=files,
            capture_output=True,
            text=True,
            timeout=240,
        )

    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(run, commands.items()))


@pytest.mark.parametrize(
    'name, message',
    [
        ('missing', 'error: .*none.py: no such config file'),
        ('misspelt', r"error: search_loop.num_arch: unknown key, expected 'num_archs'\?"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(processes, files, name, message):
    process = processes[name]
    assert process.returncode == 2
    assert re.fullmatch(message + '\n', process.stderr) and 'Traceback' not in process.stdout
    assert not (files / 'hacked').exists()


def test_archs_of_a_supernet_are_tested(processes):
    process = processes['arch']
    assert process.returncode == 0 and 'Traceback' not in process.stderr
    scores = {
        arch: float(score)
        for arch, score in re.findall(r'\barch (\d{8})  accuracy/top1: ([\d.]+)', process.stdout)
    }
    assert list(scores) == ['22212220', '01201201'] and all(
        0 <= score <= 100 for score in scores.values()
    )


def test_a_published_checkpoint_is_converted(tool, files):
    assert tool('convert.py', files / 'published.pth', files / 'converted.pth') == (0, '')
    torch.manual_seed(0)
    expected = SearchableResNeSt(widen_factor=0.25).state_dict()
    found = load_checkpoint(files / 'converted.pth')
    assert found['meta']['space'] == 'resnest50'
    assert {key: value for key, value in found['state_dict'].items()}.keys() == {
        f'backbone.{key}' for key in expected
    }
    assert all(
        torch.equal(value, found['state_dict'][f'backbone.{key}'])
        for key, value in expected.items()
    )


def test_the_published_once_for_all_supernet_becomes_a_classifier(tool, tmp_path):
    torch.save(dict(state_dict=once_for_all.published()), tmp_path / 'ofa_mbv3_w1.0')
    assert tool('convert.py', tmp_path / 'ofa_mbv3_w1.0', tmp_path / 'ofa.pth') == (0, '')
    meta = load_checkpoint(tmp_path / 'ofa.pth')['meta']
    assert (meta['space'], meta['widen_factor']) == ('elastic_mobilenet_v3', 1)
    # As docs/tutorials/pretrained_supernet.md has it.
    init_default_scope('mmpretrain')
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='pinas_mm.ElasticMobileNetV3'),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=1280),
        )
    )
    load_strict(model, tmp_path / 'ofa.pth')


def test_a_published_detector_becomes_a_subnet_and_its_file(tool, published_names, tmp_path):
    """As detectron2 saves it; the arch is what the shapes tell."""
    arch = (3, 3, 3, 3, 1, 1, 3, 3, 3, 0, 0, 1, 1, 0, 2, 1)
    state = published_names(
        SearchableResNeSt(arch, widen_factor=0.25), 'backbone.bottom_up.', 'stem.', 'res', 2
    )
    state['backbone.fpn_lateral2.weight'] = torch.zeros(1)
    torch.save(dict(model=state, iteration=90000), tmp_path / 'detector.pth')
    assert tool('convert.py', tmp_path / 'detector.pth', tmp_path / 'subnet.pth') == (0, '')
    found = SubnetFile.read(tmp_path / 'subnet.yaml')
    assert (found.space, found.arch, found.widen_factor) == ('resnest50', arch, 0.25)
    meta = load_checkpoint(tmp_path / 'subnet.pth')['meta']
    assert meta == found.to_dict() | dict(source=str(tmp_path / 'detector.pth'))
    load_strict(SearchableResNeSt(tmp_path / 'subnet.yaml'), tmp_path / 'subnet.pth', 'backbone.')


def test_a_published_efficientnet_lite0_starts_an_elastic_one(tool, tmp_path):
    state = published_lite0()
    torch.save(state, tmp_path / 'published.pth')
    assert tool('convert.py', tmp_path / 'published.pth', tmp_path / 'lite0.pth') == (0, '')
    found = load_checkpoint(tmp_path / 'lite0.pth')
    assert found['meta']['space'] == 'elastic_efficientnet_lite0'
    assert len(found['state_dict']) == len(state)
    net = ElasticEfficientNetLite0()
    load_strict(net, tmp_path / 'lite0.pth', 'backbone.')
    theirs = {key for key in found['state_dict'] if key.startswith('backbone.')}
    assert theirs == {f'backbone.{key}' for key in net.state_dict()}
    assert torch.equal(net.conv1.conv.weight, state['_conv_stem.weight'])


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path):
    """Runs a tool in this process; returns its exit code and what it wrote to stderr."""

    def run(name, *arguments, work_dir=tmp_path / 'work'):
        monkeypatch.setenv('LOCAL_RANK', '0')
        where = [] if name in ('convert.py', 'export.py') else ['--work-dir', str(work_dir)]
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments), *where])
        capsys.readouterr()
        try:
            runpy.run_path(str(TOP / 'tools' / name), run_name='__main__')
        except SystemExit as error:
            return error.code, capsys.readouterr().err
        return 0, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            ['test.py', 'linear.py', 'supernet.pth', '--arch', '2221222'],
            r'has 7 entries, but space .nasbench_macro. has 8 slots',
        ),
        (['test.py', 'linear.py', 'supernet.pth', '--arch', '22212229'], 'slot 7 holds 9'),
        (
            ['test.py', 'linear.py', 'other.pth', '--arch', '22212220'],
            'other.pth: does not fit this ImageClassifier; missing: head.fc',
        ),
        (
            ['test.py', 'linear.py', 'supernet.pth'],
            'its model is a supernet; name an arch of it with --arch',
        ),
        (['test.py', 'linear.py', 'none.pth', '--arch', '22212220'], 'none.pth: no such file'),
        (
            ['test.py', 'linear.py', 'supernet.pth', '--arch', 'none.yaml'],
            'none.yaml: no such file',
        ),
        (['search.py', 'search.py', 'unsafe.pth'], 'unsafe.pth: not loadable'),
        (['search.py', 'search.py', 'other.pth'], 'other.pth: does not fit'),
        (
            [
                'search.py',
                'search.py',
                'supernet.pth',
                '--cfg-options',
                'search_loop.searcher.type=anealing',
            ],
            "search_loop.searcher.type='anealing': no such searcher",
        ),
        (
            [
                'search.py',
                'search.py',
                'supernet.pth',
                '--cfg-options',
                'search_loop.constraints.macs=1',
            ],
            'no arch of space',
        ),
        (
            [
                'search.py',
                'search.py',
                'supernet.pth',
                '--cfg-options',
                'search_loop.type=pinas_mm.SearchLop',
            ],
            "search_loop.type='pinas_mm.SearchLop': no loop .* registered .*'pinas_mm.SearchLoop'",
        ),
        (
            ['search.py', 'search.py'],
            'score/neg_loss is of trained weights, and there is no checkpoint: name one, or a '
            "score that trains nothing, of .*'naswot'",
        ),
        (['search.py', 'linear.py', 'supernet.pth'], 'search_loop=None: not a search'),
        (['search.py', CONFIGS / 'learn.py', 'supernet.pth'], 'search_loop=None: not a search'),
        (['test.py', CONFIGS / 'learn.py', 'supernet.pth'], 'test_cfg is missing, expected'),
        (['test.py', 'plain.py', 'supernet.pth', '--arch', '22212220'], 'arch_evaluation'),
        (
            ['train.py', 'linear.py', '--cfg-options', 'model.backbone.widen_facto=1'],
            r"model.backbone.widen_facto: unknown key, expected 'widen_factor'\?",
        ),
        (
            ['train.py', 'linear.py', '--cfg-options', 'train_dataloader.batchsize=4', LEARNED],
            "wrong config key: .*unexpected keyword argument 'batchsize'",
        ),
        (
            ['train.py', 'linear.py', '--cfg-options', 'load_from={}/unsafe.pth', LEARNED],
            'unsafe.pth: not loadable',
        ),
        (
            ['train.py', 'linear.py', '--resume', 'unsafe.pth', '--cfg-options', LEARNED],
            'unsafe.pth: not loadable',
        ),
        (
            ['train.py', 'linear.py', '--resume', 'none.pth', '--cfg-options', LEARNED],
            'none.pth: no such file',
        ),
        (['train.py', 'linear.py'], 'set model.backbone.init_cfg.checkpoint: no such checkpoint'),
        (['convert.py', 'supernet.pth', 'out.pth'], "supernet.pth: no key 'conv1.0.weight'"),
        (['convert.py', 'unsafe.pth', 'out.pth'], 'unsafe.pth: not loadable'),
    ],
)
def test_more_wrong_input(tool, files, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    code, stderr = tool(*(str(argument).format(files) for argument in arguments))
    assert code == 2
    assert re.fullmatch(f'error: .*({message}).*', stderr.splitlines()[-1])
    assert not (files / 'hacked').exists() and not (files / 'out.pth').exists()


@LOOPS.register_module()
class OwnSearchLoop(SearchLoop):
    """As a user derives it."""


@pytest.mark.parametrize('loop', ['pinas_mm.OwnSearchLoop', 'pinas_mm.engine.SearchLoop'])
def test_a_forecast_searches_nothing(tool, files, tmp_path, loop):
    code, _ = tool(
        'search.py',
        files / 'search.py',
        files / 'supernet.pth',
        '--dry-run',
        '--cfg-options',
        f'search_loop.type={loop}',
    )
    assert code == 0 and not list(tmp_path.glob('work/*.jsonl'))


def test_latencies_from_the_command_line(tool, files, tmp_path):
    code, _ = tool(
        'latency.py',
        files / 'search.py',
        '--images',
        '1',
        '3',
        '32',
        '32',
        '--rounds',
        '3',
        '--check',
        '3',
        '--out',
        tmp_path / 'latency.json',
    )
    assert (
        code == 0
        and json.loads((tmp_path / 'latency.json').read_text())['space'] == 'nasbench_macro'
    )
    code, stderr = tool(
        'latency.py',
        files / 'search.py',
        '--images',
        '1',
        '3',
        '0',
        '32',
        '--out',
        tmp_path / 'other.json',
    )
    assert (
        code == 2 and "argument --images: '0'" in stderr and not (tmp_path / 'other.json').exists()
    )
    limit = [
        f'search_loop.latency_table={tmp_path / "latency.json"}',
        'search_loop.constraints.latency=1e6',
    ]
    code, _ = tool(
        'search.py', files / 'search.py', files / 'supernet.pth', '--cfg-options', *limit
    )
    assert code == 0 and SubnetFile.read(tmp_path / 'work/subnet.yaml').costs['latency'] > 0


@pytest.fixture
def method(tmp_path):
    """The quick start's configs, small."""
    small = dict(
        learn='train_cfg = dict(max_epochs=1)\ntrain_dataloader = '
        'dict(dataset=dict(indices=64))\ncustom_hooks = []\n',
        linear='train_cfg = dict(max_epochs=1)\ntrain_dataloader = '
        'dict(dataset=dict(indices=64))\n',
        search='val_dataloader = dict(dataset=dict(indices=40))\nsearch_loop = dict(num_archs=4, '
        'score_samples=20)\narch_evaluation = dict(calibration_batches=1)\n',
        finetune='train_cfg = dict(max_epochs=1)\ntrain_dataloader = '
        'dict(dataset=dict(indices=64))\n',
    )
    for name, changes in small.items():
        (tmp_path / f'{name}.py').write_text(f'_base_ = {str(CONFIGS / f"{name}.py")!r}\n{changes}')
    return [tmp_path / f'{name}.py' for name in small]


def test_the_whole_method_from_the_command_line(tool, method, tmp_path):
    code, _ = tool('pinas.py', *method)
    results = json.loads((tmp_path / 'work/results.json').read_text())
    assert code == 0 and [row['name'] for row in results['rows']] == [
        'searched',
        'median-scored',
        'random',
    ]
    assert all(
        0 <= row['test'] <= 100 and 0.94 < row['macs'] / results['rows'][0]['macs'] < 1.06
        for row in results['rows']
    )
    subnet = SubnetFile.read(tmp_path / 'work/search/subnet.yaml')
    assert ''.join(map(str, subnet.arch)) == results['rows'][0]['arch']
    code, stderr = tool('pinas.py', *method, '--seed', '1')
    assert code == 2 and re.search(
        r'learn: made with another config: .*randomness.seed was 0 and is 1; choose another '
        '--work-dir',
        stderr,
    )
    # As if stopped in three of its stages, and moved.
    moved = tmp_path / 'moved'
    shutil.move(tmp_path / 'work', moved)
    history = (moved / 'search/history.jsonl').read_bytes()
    batches = history.splitlines(keepends=True)
    (moved / 'search/history.jsonl').write_bytes(b''.join(batches[:-1]))
    for stage in ('linear', 'search', 'finetune/median-scored'):
        file = moved / stage / 'stage.json'
        file.write_text(json.dumps(dict(config=json.loads(file.read_text())['config'])))
    shutil.rmtree(moved / 'finetune/random')

    def trained():
        files = moved.rglob('epoch_1.pth')
        return {str(path.relative_to(moved).parent): path.stat().st_mtime_ns for path in files}

    before = trained()
    assert tool('pinas.py', *method, work_dir=moved)[0] == 0
    assert json.loads((moved / 'results.json').read_text()) == results
    assert (moved / 'search/history.jsonl').read_bytes() == history
    assert trained() == trained() | before and len(trained()) == len(before) + 1 == 5
    assert not (tmp_path / 'work').exists()


def test_a_search_without_a_supernet_writes_no_weights_and_resumes(tool, files, tmp_path):
    command = ['search.py', files / 'search.py', '--cfg-options', 'search_loop.score=naswot']
    assert tool(*command)[0] == 0
    history = (tmp_path / 'work/history.jsonl').read_bytes()
    assert SubnetFile.read(tmp_path / 'work/subnet.yaml').scores.keys() == {'naswot'}
    assert not list((tmp_path / 'work').rglob('*.pth'))
    assert tool(*command, '--resume')[0] == 0
    assert (tmp_path / 'work/history.jsonl').read_bytes() == history


def test_a_search_from_the_command_line(tool, files, tmp_path):
    code, _ = tool('search.py', files / 'search.py', files / 'supernet.pth')
    subnet = SubnetFile.read(tmp_path / 'work/subnet.yaml')
    assert code == 0 and subnet.config == 'search.py'
    before = (tmp_path / 'work/history.jsonl').read_bytes()
    records = [json.loads(line) for line in before.splitlines()][1:]
    assert len([record for record in records if record.get('stage') == 'search']) == 3

    code, stderr = tool('search.py', files / 'search.py', files / 'supernet.pth')
    assert code == 2 and '--resume' in stderr
    shutil.move(tmp_path / 'work', tmp_path / 'moved')
    shutil.copy(files / 'supernet.pth', tmp_path / 'moved.pth')
    resume = ['search.py', files / 'search.py', tmp_path / 'moved.pth', '--resume']
    assert tool(*resume, work_dir=tmp_path / 'moved') == (0, '')
    assert (tmp_path / 'moved/history.jsonl').read_bytes() == before
    shutil.move(tmp_path / 'moved', tmp_path / 'work')

    # And the subnet it wrote, in the fine-tuning config.
    found = tmp_path / 'work/subnet.yaml'
    code, _ = tool(
        'test.py',
        files / 'linear.py',
        files / 'supernet.pth',
        '--arch',
        found,
        work_dir=tmp_path / 'arch',
    )
    assert code == 0
    code, _ = tool(
        'test.py',
        CONFIGS / 'finetune.py',
        tmp_path / 'work/subnet.pth',
        '--cfg-options',
        'test_dataloader.dataset.indices=40',
        f'model.backbone.arch={tmp_path / "work/subnet.yaml"}',
        work_dir=tmp_path / 'tested',
    )
    assert code == 0
    (result,) = (json.loads(path.read_text()) for path in (tmp_path / 'tested').glob('*/*.json'))
    assert 0 <= result['accuracy/top1'] <= 100 and np.isfinite(result['accuracy/top1'])


@pytest.fixture
def found(files, tmp_path):
    """A subnet as a search leaves it."""
    arch = (0, 1, 0, 0, 0, 0, 0, 0)
    SubnetFile(space='nasbench_macro', arch=arch, widen_factor=0.25).write(tmp_path / 'subnet.yaml')
    state = subnet_state_dict(classifier(), arch)
    save_checkpoint(
        tmp_path / 'subnet.pth', state, dict(dataset_meta=dict(classes=list('abcdefghij')))
    )
    return tmp_path


@torch.no_grad()
def test_a_subnet_is_exported(tool, found, monkeypatch):
    monkeypatch.chdir(found)
    code, stderr = tool(
        'export.py',
        'subnet.yaml',
        '--config',
        CONFIGS / 'search.py',
        '--parts',
        'classifier',
        '--input-size',
        '33',
    )
    assert code == 0, stderr
    assert {path.name for path in found.glob('export/*')} == {
        'classifier.py',
        'classifier.pth',
        'classifier.pt2',
        'classifier.onnx',
        'export.json',
    }
    description = json.loads((found / 'export/export.json').read_text())['classifier']
    assert description['arch'] == [0, 1, 0, 0, 0, 0, 0, 0] and description['classes'] == list(
        'abcdefghij'
    )
    assert (
        description['differences']['torch'] <= 1e-5 and description['differences']['onnx'] <= 1e-4
    )

    supernet = classifier().eval()
    supernet.backbone.set_arch(description['arch'])
    image = torch.rand(1, 3, 32, 32) * 255
    expected = supernet((image - 127.5) / 127.5)
    torch.testing.assert_close(
        torch.export.load(found / 'export/classifier.pt2').module()(image),
        expected,
        atol=1e-5,
        rtol=0,
    )
    session = onnxruntime.InferenceSession(
        found / 'export/classifier.onnx', providers=['CPUExecutionProvider']
    )
    np.testing.assert_allclose(
        session.run(['logits'], {'images': image.numpy()})[0], expected.numpy(), atol=1e-4, rtol=0
    )
    config = Config.fromfile(found / 'export/classifier.py')
    model = MODELS.build(
        dict(config.model.to_dict(), data_preprocessor=config.data_preprocessor.to_dict())
    ).eval()
    model.load_state_dict(load_checkpoint(found / 'export/classifier.pth')['state_dict'])
    assert torch.equal(model((image - 127.5) / 127.5), expected)


def test_a_second_export_keeps_the_first(tool, found, monkeypatch):
    """More of the same network goes beside it; another network is refused by name."""
    monkeypatch.chdir(found)

    def export(*options):
        return tool('export.py', 'subnet.yaml', '--formats', 'mm', *options)

    assert export()[0] == 0
    first = {path.name: path.read_bytes() for path in found.glob('export/*')}
    assert export('--config', CONFIGS / 'search.py', '--parts', 'classifier')[0] == 0
    now = {path.name: path.read_bytes() for path in found.glob('export/*')}
    assert {'backbone.py', 'backbone.pth', 'classifier.py', 'classifier.pth'} < {*now}
    assert now['backbone.pth'] == first['backbone.pth']
    parts = json.loads(now['export.json'])
    assert parts['backbone'] == json.loads(first['export.json'])['backbone']
    assert export()[0] == 0, 'the same again'

    state = load_checkpoint('subnet.pth')['state_dict']
    save_checkpoint('tuned.pth', {key: value + 1 for key, value in state.items()}, {})
    for options, message in (
        (['--checkpoint', 'tuned.pth'], 'export: has the export of another network: weights was'),
        (['--out-indices', '1'], 'another network: outputs.stage0 was .*choose another --out'),
    ):
        code, stderr = export(*options)
        assert code == 2 and re.search(message, stderr)
    assert {path.name: path.read_bytes() for path in found.glob('export/*')} == now
    assert export('--checkpoint', 'tuned.pth', '--out', 'other')[0] == 0


def test_a_program_that_computes_something_else_is_not_written(tool, found, monkeypatch):
    monkeypatch.setattr('pinas_mm.subnets.export.export_program', lambda model: model)
    monkeypatch.setattr('pinas_mm.subnets.export.export_onnx', lambda *args: b'data')
    monkeypatch.setattr(
        'pinas_mm.subnets.export.onnx_runner',
        lambda data: SearchableMacroNet(arch='01000000', widen_factor=0.25).eval(),
    )
    with pytest.raises(
        RuntimeError,
        match='backbone.onnx: not written: it differs from the subnet by .*, allowed are 1e-04',
    ):
        tool(
            'export.py',
            found / 'subnet.yaml',
            '--formats',
            'onnx',
            '--out-indices',
            '3',
            '--input-size',
            '32',
        )
    assert not (found / 'export').exists()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['none.yaml'], 'none.yaml: no such file'),
        (['subnet.yaml', '--parts', 'classifier'], '--parts classifier needs --config'),
        (
            ['subnet.yaml', '--checkpoint', '{}/supernet.pth'],
            r'supernet.pth: a supernet \(\d+ tensors of other candidates',
        ),
        (['subnet.yaml', '--checkpoint', '{}/unsafe.pth'], 'unsafe.pth: not loadable'),
        (
            ['subnet.yaml', '--input-size', '8'],
            '--input-size 8: the last feature map is smaller than 2 x 2',
        ),
        (['subnet.yaml', '--config', 'none.py'], 'none.py: no such config file'),
        (
            [
                'subnet.yaml',
                '--config',
                CONFIGS / 'search.py',
                '--cfg-options',
                'model.backbone.widen_factor=1.0',
            ],
            'found at widen_factor=0.25',
        ),
    ],
)
def test_what_cannot_be_exported(tool, files, found, monkeypatch, arguments, message):
    monkeypatch.chdir(found)
    code, stderr = tool(
        'export.py', *(str(argument).format(files) for argument in arguments), '--formats', 'torch'
    )
    assert code == 2 and re.fullmatch(f'error: .*{message}.*', stderr.splitlines()[-1])
    assert not (found / 'export').exists()


def test_a_missing_package_is_named(tool, found, monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    code, stderr = tool('export.py', found / 'subnet.yaml')
    assert code == 2 and 'needs onnx, onnxscript, onnxruntime: pip install' in stderr


def test_archs_are_tested_with_test_time_augmentation(tool, files, capsys):
    (files / 'tta.py').write_text("""_base_ = './linear.py'
model = dict(
    _delete_=True, type='AverageClsScoreTTA',
    module=dict(_base_.model, backbone=dict(_base_.model.backbone, init_cfg=None)))
test_dataloader = dict(dataset=dict(pipeline=[dict(
    type='TestTimeAug', transforms=[[dict(type='RandomFlip', prob=1.0)], [dict(type='PackInputs')]]
)]))
""")
    arguments = ['test.py', files / 'tta.py', files / 'supernet.pth']
    code, stderr = tool(*arguments, '--arch', ARCHS[0])
    assert code == 0, stderr
    code, stderr = tool(*arguments)
    assert code == 2 and 'its model is a supernet; name an arch of it with --arch' in stderr
