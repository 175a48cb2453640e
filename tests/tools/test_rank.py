import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from page_text import shown
from PIL import Image
from scipy.stats import kendalltau

import pinas_mm  # noqa: F401
from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.costs import measure_costs
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.spaces import get_space

# Each test runs whole tools.
pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]
LINEAR = TOP / 'configs/quickstart/linear.py'
SPACE = get_space('nasbench_macro')
CELLS = get_space('nasbench201')
BASELINES = [
    'macs',
    'params',
    'depth',
    'synflow',
    'naswot',
    'swap',
    'wrcor',
    'az_nas',
    'training-free',
]
MEASURED = ['accuracy/top1', 'score/neg_loss', 'score/margin']


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A supernet, a config whose sets are small, a table of 30 networks, and the folder they are
    in."""
    folder = tmp_path_factory.mktemp('files')
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    config = Config.fromfile(LINEAR)
    model = MODELS.build(
        dict(config.model.to_dict(), data_preprocessor=config.data_preprocessor.to_dict())
    )
    save_checkpoint(folder / 'supernet.pth', model.state_dict(), {})
    save_checkpoint(folder / 'fair.pth', dict(model.state_dict(), step=torch.tensor(7)), {})
    save_checkpoint(
        folder / 'nan.pth',
        dict(model.state_dict(), **{'head.fc.bias': torch.full((10,), torch.nan)}),
        {},
    )
    (folder / 'linear.py').write_text(f"""_base_ = {str(LINEAR)!r}
val_dataloader = dict(dataset=dict(indices=40))
test_dataloader = dict(
    dataset=dict(_delete_=True, type='CustomDataset', data_root='the test set must not be read'))
arch_evaluation = dict(
    calibration_dataloader=dict(batch_size=16, dataset=dict(indices=32)), calibration_batches=1)
""")
    (folder / 'fair.py').write_text("""_base_ = './linear.py'
model = dict(_delete_=True, type='pinas_mm.FairStrategy', model=_base_.model)
custom_hooks = []
""")
    rng = np.random.default_rng(0)
    networks = list(dict.fromkeys(SPACE.canonical(SPACE.sample(rng)) for _ in range(33)))[:30]
    rows = [
        f'{SPACE.encode(arch)},{",".join(f"{80 + sum(arch) + rng.normal():.3f}" for _ in range(2))}'
        for arch in networks
    ]
    (folder / 'truth.csv').write_text('\n'.join(['arch,first,second', *rows]))
    more = list(dict.fromkeys(SPACE.canonical(SPACE.sample(rng)) for _ in range(450)))[:280]
    lines = [
        f'{SPACE.encode(arch)},{",".join(f"{80 + sum(arch) + rng.normal():.1f}" for _ in range(2))}'
        for arch in more
    ]
    (folder / 'many.csv').write_text('\n'.join(['arch,first,second', *lines]))
    cells = {CELLS.sample(rng) for _ in range(160)}
    lines = [f'"{CELLS.cell_string(cell)}",{rng.uniform(60, 95):.2f}' for cell in sorted(cells)]
    (folder / 'cells.csv').write_text('\n'.join(['cellstr,cifar10-test', *lines]))
    (folder / 'cells.py').write_text("""_base_ = './linear.py'
model = dict(
    backbone=dict(
        _delete_=True, type='pinas_mm.SearchableNASBench201', widen_factor=0.25, frozen_stages=3),
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(in_channels=16))
""")
    (folder / 'few.csv').write_text('\n'.join(rows[:8]))
    (folder / 'other.csv').write_text('0123012301230123,80\n')
    (folder / 'nan.csv').write_text('\n'.join([*rows, '00000000,nan']))
    return folder


@pytest.fixture
def rank(monkeypatch, capsys, files, tmp_path):
    """Runs the tool in this process; returns its exit code, what it printed, and the last line of
    its errors."""

    def run(*arguments):
        monkeypatch.setenv('LOCAL_RANK', '0')
        monkeypatch.chdir(files)
        monkeypatch.setattr(
            sys, 'argv', ['rank.py', *map(str, arguments), '--work-dir', str(tmp_path / 'work')]
        )
        capsys.readouterr()
        try:
            runpy.run_path(str(TOP / 'tools/rank.py'), run_name='__main__')
            code = 0
        except SystemExit as error:
            code = error.code
        out, err = capsys.readouterr()
        return code, out, (err.splitlines() or [''])[-1]

    return run


def test_a_supernet_against_a_table(rank, tmp_path):
    code, out, err = rank(
        'linear.py',
        'supernet.pth',
        '--truth',
        'truth.csv',
        '--archs',
        '12',
        '--few-truths',
        '6',
        '--plot',
        tmp_path / 'plot.png',
    )
    assert code == 0, err
    said = ' '.join(out.split())
    assert re.search('equal-cost is left out: .{40,120} a percentile needs at least 20 ', said)
    data = json.loads((tmp_path / 'work/ranking.json').read_text())
    assert list(data['samples']) == ['uniform', 'stratified'] and len(data['trained']) == 6
    ranked = {entry['arch'] for entry in data['archs']}
    assert not ranked & set(data['trained']), 'few_truths is judged on archs it has not seen'
    for sample, found in data['samples'].items():
        archs = [entry for entry in data['archs'] if sample in entry['samples']]
        assert len(archs) == 12 and list(found['rankings']) == [
            *MEASURED,
            *(
                f'{name}, {how}'
                for how in ('smoothed', 'MACs corrected', 'smoothed + training-free')
                for name in MEASURED
            ),
            *BASELINES,
            'few_truths (6)',
        ]
        for name, ranking in found['rankings'].items():
            tau = kendalltau(
                [arch['scores'][name] for arch in archs], [arch['truth'] for arch in archs]
            ).statistic
            assert (
                np.isnan(tau)
                if ranking['tau']['value'] is None
                else ranking['tau']['value'] == pytest.approx(tau)
            )
        first, second = zip(*(arch['trainings'] for arch in archs))
        assert found['ceiling'] == pytest.approx(kendalltau(first, second).statistic)
    text = (tmp_path / 'work/ranking.md').read_text()
    assert len(re.findall('ceiling, tau between two trainings', text)) == 2
    # The terminal has a part of its columns, in at most 100.
    assert max(map(len, out.splitlines())) <= 100
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split('|')[1:-1]]
        if cells and not set(line) <= set('|-'):
            short = ' +\\| +'.join(map(re.escape, (cells[0], cells[1], cells[6])))
            assert re.search(rf'^\| {short} \|$', out, re.M), line
    assert Image.open(tmp_path / 'plot.png').format == 'PNG'
    page = shown(tmp_path / 'work/report.html')
    assert 'orders the archs best' in page and 'True accuracy against score' in page


def judged_by_hand(table, macs, found, ranker, scores):
    """The percentile and tau in class of a ranker of ranking.json, means over its classes, by
    loops over the table."""
    percentiles, taus = [], []
    for members in found['classes']:
        within = [
            arch
            for arch, cost in macs.items()
            if 0.95 * members['limit'] <= cost <= members['limit']
        ]
        assert len(within) == members['networks'] >= 20
        drawn = [table.space.decode(arch) for arch in members['archs']]
        assert len(set(drawn)) == len(drawn) == 10 and set(drawn) <= set(within)
        best = max(scores[arch][ranker] for arch in drawn)
        of_best = []
        for arch in drawn:
            if scores[arch][ranker] == best:
                others = [table.mean(other) for other in within if other != arch]
                lower = sum(truth < table.mean(arch) for truth in others)
                equal = sum(truth == table.mean(arch) for truth in others)
                of_best.append(100 * (lower + equal / 2) / len(others))
        percentiles.append(np.mean(of_best))
        tau = kendalltau(
            [scores[arch][ranker] for arch in drawn], [table.mean(arch) for arch in drawn]
        ).statistic
        taus.append(np.nan_to_num(tau))
    return np.mean(percentiles), np.mean(taus)


@pytest.mark.parametrize(
    'config, checkpoint, truth, space',
    [('linear.py', 'supernet.pth', 'many.csv', SPACE), ('cells.py', None, 'cells.csv', CELLS)],
    ids=['nasbench_macro', 'nasbench201'],
)
def test_archs_of_equal_cost(rank, files, tmp_path, config, checkpoint, truth, space):
    arguments = '--sampling equal-cost --class-archs 10 --few-truths 6 --seed 1'.split()
    code, out, err = rank(
        config,
        *filter(None, [checkpoint]),
        '--truth',
        truth,
        *arguments,
        '--plot',
        tmp_path / 'p.png',
    )
    assert code == 0, err
    data = json.loads((tmp_path / 'work/ranking.json').read_text())
    assert list(data['samples']) == ['equal-cost'] and len(data['trained']) == 6
    found = data['samples']['equal-cost']
    table = TruthTable.read(files / truth, space)
    networks = table.networks()
    init_default_scope('mmpretrain')
    model = MODELS.build(
        dict(
            Config.fromfile(files / config).model.to_dict(),
            data_preprocessor=Config.fromfile(LINEAR).data_preprocessor.to_dict(),
        )
    )
    macs = dict(zip(networks, measure_costs(model, 16).array('macs', networks).tolist()))
    limits = np.percentile(list(macs.values()), range(10, 100, 10))
    assert {members['limit'] for members in found['classes']} <= set(limits)
    assert len(found['classes']) + len(found['left_out']) == 9 and found['classes']
    scores = {space.decode(entry['arch']): entry['scores'] for entry in data['archs']}
    assert len(scores) == found['archs']
    assert all(entry['macs'] == macs[space.decode(entry['arch'])] for entry in data['archs'])
    names = [*MEASURED, *BASELINES] if checkpoint else BASELINES
    assert {*names, 'few_truths (6)'} <= set(found['rankings'])
    for name in names:
        percentile, tau = judged_by_hand(table, macs, found, name, scores)
        ranking = found['rankings'][name]
        assert ranking['percentile']['value'] == pytest.approx(percentile)
        assert ranking['tau']['value'] == pytest.approx(tau, abs=1e-9)
        tau = round(tau, 9) + 0.0  # no rounding error below 0, which would be shown as -0.000
        shown = f'| {name} +\\| +{percentile:.1f} \\[.*\\| +{tau:.3f} \\['
        assert re.search(shown.replace('| ', '\\| ', 1), out)
    assert out.count('left out: ') == len(found['left_out'])
    assert Image.open(tmp_path / 'p.png').format == 'PNG'


def test_the_baselines_alone_and_a_metric_by_name(rank, tmp_path):
    arguments = ['--truth', 'truth.csv', '--archs', '10', '--sampling', 'uniform']
    code, out, _ = rank('linear.py', *arguments)
    assert (
        code == 0
        and 'few_truths is left out: 20 networks of the table are not ranked, 30 asked' in out
    )
    data = json.loads((tmp_path / 'work/ranking.json').read_text())
    assert (
        list(data['samples']) == ['uniform']
        and list(data['samples']['uniform']['rankings']) == BASELINES
    )
    code, _, _ = rank('linear.py', 'supernet.pth', *arguments, '--scores', 'score/margin')
    data = json.loads((tmp_path / 'work/ranking.json').read_text())
    assert code == 0 and [
        name for name in data['samples']['uniform']['rankings'] if name not in BASELINES
    ] == [
        'score/margin',
        'score/margin, smoothed',
        'score/margin, MACs corrected',
        'score/margin, smoothed + training-free',
    ]


def test_a_supernet_that_a_strategy_trained_is_scored_by_likelihood_too(rank, tmp_path):
    code, _, err = rank(
        'fair.py',
        'fair.pth',
        '--truth',
        'truth.csv',
        '--archs',
        '10',
        '--sampling',
        'uniform',
        '--few-truths',
        '0',
        '--scores',
        'score/margin',
    )
    assert code == 0, err
    assert (
        'score/margin'
        in json.loads((tmp_path / 'work/ranking.json').read_text())['samples']['uniform'][
            'rankings'
        ]
    )


def test_what_dsnas_learned_is_a_ranker(rank, files, tmp_path):
    rows = [torch.tensor([0.0, float(slot), -1.0]) for slot in range(SPACE.num_slots)]
    checkpoint = torch.load(files / 'supernet.pth', weights_only=True)
    torch.save(
        checkpoint
        | dict(optimizer=dict(dsnas=dict(logits=dict(rows=rows, fixed=[None] * SPACE.num_slots)))),
        files / 'dsnas.pth',
    )
    code, _, err = rank(
        'linear.py',
        'dsnas.pth',
        '--truth',
        'truth.csv',
        '--archs',
        '10',
        '--sampling',
        'uniform',
        '--few-truths',
        '0',
        '--scores',
        'score/margin',
    )
    assert code == 0, err
    for entry in json.loads((tmp_path / 'work/ranking.json').read_text())['archs']:
        expected = sum(
            row[choice] - row.logsumexp(dim=0)
            for row, choice in zip(rows, SPACE.decode(entry['arch']))
        )
        assert entry['scores']['dsnas'] == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            ['linear.py', '--truth', 'truth.csv', '--archs', '1'],
            '1 archs asked of truth.csv: expected at least 10',
        ),
        (
            ['linear.py', '--truth', 'truth.csv', '--seed', '-1'],
            "argument --seed: '-1', expected a whole number of at least 0",
        ),
        (
            ['linear.py', '--truth', 'truth.csv', '--cfg-options', 'a=1', 'b'],
            "argument --cfg-options: 'b', expected key=value",
        ),
        (
            ['linear.py', '--truth', 'truth.csv', '--few-truths', '4'],
            '--few-truths 4: expected at least 5, or 0 for none',
        ),
        (
            [
                'linear.py',
                'nan.pth',
                '--truth',
                'truth.csv',
                '--archs',
                '10',
                '--sampling',
                'uniform',
            ],
            r'nan.pth: 10 of 10 values of head.fc.bias are NaN or infinite: its training diverged',
        ),
        (['linear.py', '--truth', 'none.json'], 'none.json: no such file'),
        (
            ['linear.py', '--truth', 'other.csv'],
            'other.csv: neither JSON nor a CSV with a column of archs of space .nasbench_macro.',
        ),
        (
            ['linear.py', '--truth', 'nan.csv'],
            "nan.csv: arch '00000000': 'nan' is not an accuracy in %",
        ),
        (
            ['linear.py', '--truth', 'few.csv'],
            '8 archs asked of few.csv: expected at least 10, of a larger table: it has 8 ',
        ),
        (
            ['linear.py', '--truth', 'truth.csv', '--archs', '31'],
            '31 archs asked of truth.csv: .* at most the 30 distinct networks',
        ),
        (
            ['linear.py', '--truth', 'truth.csv', '--sampling', 'equal-cost'],
            r'truth.csv: \d+ other networks of the table are within 5 % below cost [\d,]+: a '
            'percentile needs at least 20',
        ),
        (
            ['linear.py', '--truth', 'many.csv', '--class-archs', '9'],
            "argument --class-archs: '9', expected a whole number of at least 10",
        ),
        (
            ['linear.py', '--truth', 'truth.csv', '--scores', 'accuracy/top1'],
            'there are none without a checkpoint',
        ),
        (['linear.py', 'none.pth', '--truth', 'truth.csv'], 'none.pth: no such file'),
        (
            [
                'linear.py',
                'supernet.pth',
                '--truth',
                'truth.csv',
                '--archs',
                '10',
                '--scores',
                'bbox/mAP',
            ],
            r"--scores bbox/mAP: expected one of \['accuracy/top1', 'score/neg_loss', "
            r"'score/margin'\]",
        ),
        (
            [TOP / 'configs/quickstart/learn.py', '--truth', 'truth.csv'],
            'learn.py: no val_dataloader, val_evaluator: expected a config of a supernet',
        ),
        (
            [
                TOP / 'configs/quickstart/finetune.py',
                '--truth',
                'truth.csv',
                '--cfg-options',
                'model.backbone.arch=[2,2,2,1,2,2,2,0]',
            ],
            'a supernet .arch=None. is needed',
        ),
    ],
)
def test_wrong_input(rank, arguments, message):
    code, _, err = rank(*arguments)
    assert code == 2 and re.fullmatch(f'(rank.py: )?error: .*{message}.*', err), err
