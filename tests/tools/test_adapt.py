import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from page_text import shown

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.costs import measure_costs
from pinas_mm.spaces import get_space

# Each test runs whole tools.
pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    """A config file and a source's supernet."""
    monkeypatch.syspath_prepend(str(TOP / 'tests/tiny'))
    from tiny_runner import classifier, small_adaptation

    init_default_scope('mmpretrain')
    Config(
        small_adaptation()
        | dict(
            randomness=dict(seed=3),
            model=classifier(),
            model_wrapper_cfg=dict(type='pinas_mm.ActiveGradientDataParallel'),
        )
    ).dump(str(tmp_path / 'target.py'))
    save_checkpoint(tmp_path / 'source.pth', MODELS.build(classifier()).state_dict(), {})
    return [
        tmp_path / 'target.py',
        '--supernet',
        tmp_path / 'source.pth',
        '--work-dir',
        tmp_path / 'adapt',
    ]


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the tool in this process; returns its exit code, what it printed, and the last line of
    its errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['adapt.py', *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(TOP / 'tools/adapt.py'), run_name='__main__')
        except SystemExit as error:
            code = error.code
        output = capsys.readouterr()
        return code, output.out, ([''] + output.err.strip().splitlines())[-1]

    return call


def test_the_whole_adaptation_is_one_command(arguments, run, tmp_path):
    code, text, _ = run(*arguments, '--source-arch', '00000000', '--seed', 1)
    assert code == 0
    report = json.loads((tmp_path / 'adapt/adapt.json').read_text())
    assert len(report['rows']) == 4 and report['source_arch'] == '00000000'
    accuracies = {f'{row["metrics"]["accuracy/top1"]:.3f}' for row in report['rows'].values()}
    assert (
        all(accuracy in text for accuracy in accuracies)
        and 'joint adaptation' in text
        and '(c) found arch' in text
    )
    changed = sum(slot['source'] != slot['found'] for slot in report['slots'])
    assert f'{changed} of 8 slots differ' in text
    page = shown(tmp_path / 'adapt/report.html')
    assert f'The adapted network is arch {report["arch"]}; the source was 00000000.' in page
    assert f'{changed} of 8 slots differ.' in page and 'source: 00000000' in page


def test_wrong_input_is_one_line_and_exit_code_2(arguments, run):
    code, _, error = run(*arguments)
    assert (
        code == 2
        and error.startswith('error: the comparison needs the source')
        and '--until subnet' in error
    )
    code, _, error = run(
        *arguments, '--until', 'search', '--cfg-options', 'model.head.num_classes=7'
    )
    assert code == 2 and 'num_classes=7 of LinearClsHead: Digits has 10 classes' in error
    code, _, error = run(*arguments, '--until', 'nothing')
    assert code == 2 and "invalid choice: 'nothing'" in error


# mmengine's launcher wants a GPU: the ranks are there before it asks. What the tool imports is
# imported before, as in the tool: defaults of torch.distributed.nn's functions would hold the group
# beyond its end.
RANK = """
import runpy, sys, weakref
import torch.distributed as dist
import pinas_mm.pipelines.adaptation
rank, store, tool, *arguments = sys.argv[1:]
dist.init_process_group('gloo', init_method=f'file://{store}', rank=int(rank), world_size=2)
group = weakref.ref(dist.group.WORLD)
sys.argv, sys.path[0] = [tool, *arguments], tool.rpartition('/')[0]
runpy.run_path(tool, run_name='__main__')
assert group() is None, 'its threads would abort Python as it shuts down'
"""


@pytest.mark.distributed
def test_two_ranks_adapt_one_network(arguments, tmp_path):
    command = [
        TOP / 'tools/adapt.py',
        *arguments,
        '--source-arch',
        '00000000',
        '--seed',
        1,
        '--launcher',
        'pytorch',
    ]
    ranks = [
        subprocess.Popen(
            [sys.executable, '-c', RANK, str(rank), str(tmp_path / 'store'), *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [rank.communicate(timeout=300) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], outputs
    assert ['Adaptation:' in text for text, _ in outputs] == [True, False], (
        'the first rank shows the report'
    )
    report = json.loads((tmp_path / 'adapt/adapt.json').read_text())
    assert len(report['rows']) == 4
    space = get_space('nasbench_macro')
    costs = measure_costs(MODELS.build(Config.fromfile(arguments[0]).model), 32)
    subnet = json.loads((tmp_path / 'adapt/subnet/stage.json').read_text())['result']
    # 64 images, forward and backward, over both ranks.
    assert subnet['operations'] == 64 * 3 * costs.arch_costs(space.decode(report['arch']))['macs']
