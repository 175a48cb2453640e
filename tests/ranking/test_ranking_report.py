import json

import numpy as np
import pytest
from scipy.stats import kendalltau

from pinas_mm.ranking.equal_cost import EqualCost
from pinas_mm.ranking.ranking import measure_ranking
from pinas_mm.ranking.ranking_report import EqualCostReport, RankingReport, write_scores
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.spaces import get_space

SPACE = get_space('nasbench_macro')


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return TruthTable(SPACE, {SPACE.sample(rng): tuple(rng.uniform(50, 90, 2)) for _ in range(40)})


@pytest.fixture
def report(table):
    archs = table.sample(20)
    scores = dict(
        good=np.array([table.mean(arch) + sum(arch) for arch in archs]), constant=np.ones(20)
    )
    return RankingReport.measure('20 archs', archs, table, scores)


def test_the_table_is_markdown_with_every_statistic(report, table):
    expected = measure_ranking(report.scores['good'], [table.mean(arch) for arch in report.archs])
    lines = report.text().splitlines()
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in lines
        if line.startswith('| ')
    ]
    assert lines[0] == '20 archs' and rows[0][0] == 'ranker' and len(rows[0]) == 8
    assert rows[1] == [
        'good',
        *(
            f'{value.value:.3f} [{value.low:.2f}, {value.high:.2f}]'
            for value in (expected.tau, expected.rho, expected.r)
        ),
        f'{expected.tau_top_half:.2f}',
        '-',
        f'{expected.regret_best:.2f}',
        f'{expected.regret_top10:.2f}',
    ]
    assert rows[2][:6] == ['constant', '-', '-', '-', '-', '-'] and float(rows[2][6]) > 0
    assert lines[-2] == '- constant: all 20 scores are 1: tau is undefined'
    assert lines[-1] == f'- ceiling, tau between two trainings: {report.ceiling:.3f}'


@pytest.fixture
def equal_cost():
    """30 networks of cost 10, whose accuracies were measured twice, and 5 of cost 20."""
    rng = np.random.default_rng(0)
    networks = sorted({SPACE.canonical(SPACE.sample(rng)) for _ in range(60)})[:35]
    table = TruthTable(SPACE, {arch: tuple(rng.uniform(50, 90, 2)) for arch in networks})
    classes, left_out = EqualCost(table, [10] * 30 + [20] * 5).draw(12)
    scores = dict(
        good={arch: table.mean(arch) for arch in networks}, constant=dict.fromkeys(networks, 1.0)
    )
    return EqualCostReport.measure('35 archs', classes, left_out, table, scores), table


def test_the_table_of_equal_cost_is_markdown_too(equal_cost):
    report, table = equal_cost
    lines = report.text().splitlines()
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in lines
        if line.startswith('| ')
    ]
    assert lines[0] == '35 archs'
    assert rows[0] == ['ranker', 'equal-cost percentile [95 %]', 'tau in class [95 %]']
    best = np.mean([members.percentiles.max() for members in report.classes])
    assert rows[1][1].startswith(f'{best:.1f} [') and rows[1][2] == '1.000 [1.00, 1.00]'
    mean = np.mean([members.percentiles.mean() for members in report.classes])
    assert rows[2][1].startswith(f'{mean:.1f} [') and rows[2][2] == '0.000 [0.00, 0.00]'
    taus = [
        kendalltau(*zip(*(table[arch] for arch in members.archs))).statistic
        for members in report.classes
    ]
    assert lines[-3:] == [
        f'- a perfect ranker of these archs: percentile {best:.1f}; a random choice: 50',
        f'- ceiling, tau in class between two trainings: {np.mean(taus):.3f}',
        '- left out: 4 other networks of the table are within 5 % below cost 20: a percentile '
        'needs at least 20',
    ]


def test_the_file_names_the_archs_of_every_class(equal_cost, tmp_path):
    report, table = equal_cost
    macs = dict.fromkeys(report.archs, 10.0)
    write_scores(tmp_path / 'ranking.json', {'equal-cost': report}, table, macs, {})
    data = json.loads((tmp_path / 'ranking.json').read_text(), parse_constant=pytest.fail)
    found = data['samples']['equal-cost']
    assert found['archs'] == len(data['archs']) == len(report.archs)
    assert len(found['classes']) == len(report.classes) and len(found['left_out']) == 1
    for members, entry in zip(report.classes, found['classes']):
        assert [SPACE.decode(arch) for arch in entry['archs']] == members.archs
        assert (entry['limit'], entry['networks']) == (10, 30)
        assert entry['percentiles'] == members.percentiles.tolist()
    assert found['rankings']['good']['percentile'] == found['perfect']['percentile']
    for entry in data['archs']:
        arch = SPACE.decode(entry['arch'])
        assert entry['scores'] == dict(good=table.mean(arch), constant=1)


def test_the_file_has_every_number_and_no_nan(report, table, tmp_path):
    macs = {arch: 1e6 * sum(arch) for arch in report.archs}
    write_scores(
        tmp_path / 'ranking.json', dict(uniform=report, again=report), table, macs, dict(seed=3)
    )
    data = json.loads((tmp_path / 'ranking.json').read_text(), parse_constant=pytest.fail)
    assert data['seed'] == 3 and data['samples']['uniform'] == data['samples']['again']
    found = data['samples']['uniform']['rankings']
    assert (
        found['good']['tau']['value'] == report.rankings['good'].tau.value
        and found['constant']['tau']['value'] is None
    )
    assert len(data['archs']) == 20
    entry = data['archs'][3]
    arch = SPACE.decode(entry['arch'])
    assert (
        entry['truth'] == table.mean(arch)
        and entry['trainings'] == list(table[arch])
        and entry['macs'] == macs[arch]
    )
    assert entry['scores'] == dict(good=report.scores['good'][report.archs.index(arch)], constant=1)
    assert entry['samples'] == ['uniform', 'again']
