import json

import numpy as np
import pytest

from pinas_mm.ranking.ranking import measure_ranking
from pinas_mm.ranking.ranking_report import RankingReport, write_scores
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
