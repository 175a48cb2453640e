"""Searches whose archs get scores that are no ordinary numbers."""

import itertools
import json
import math
import warnings

import numpy as np
import pytest
from small_searchers import SMALL, VARIANTS, Budget, build

from pinas_mm.searching.additive import AdditiveModel
from pinas_mm.searching.history import History, read_history
from pinas_mm.searching.score import Score
from pinas_mm.searching.search import Failure, TooManyFailuresError, ranked, search
from pinas_mm.searching.searchers import build_searcher
from pinas_mm.spaces import get_space
from pinas_mm.visualization import plot_pareto, plot_search_curve

SPACE = get_space('nasbench_macro')
BUDGET, ASK = 40, 8
NAN, INF, HUGE = float('nan'), float('inf'), 1e308
FAILED = Failure('OutOfMemoryError: no memory')
# What archs score, by their number; the pattern is repeated. None: as usual.
PATTERNS = {
    'minus infinity': [None, -INF],
    'infinity': [None, INF, None],
    'nan': [None, NAN, NAN],
    'no metric': [None, 'missing'],
    'metric is None': [None, 'none', None],
    'failed': [None, None, FAILED],
    'nothing computed': [None, {}],
    'one huge': [None] * 11 + [HUGE],
    'one huge and negative': [None] * 11 + [-HUGE],
    'huge of both signs': [HUGE, -HUGE, None],
    'all huge': [HUGE, 0.99 * HUGE, 0.98 * HUGE],
    'all huge and negative': [-HUGE, -0.99 * HUGE],
    'tiny': [5e-324, 0.0, -5e-324],
    'all equal': [42.0],
    'all huge and equal': [HUGE],
    'all of these': [None, -INF, HUGE, NAN, -HUGE, INF, FAILED, None, 'missing', 42.0],
}
SEARCHERS = VARIANTS | dict(
    plain=dict(type='evolution', additive=False) | SMALL['evolution'],
    tree=dict(type='partition_tree', additive=False) | SMALL['partition_tree'],
)


class Evaluate:
    def __init__(self, pattern, done=0, stop=None):
        self.pattern, self.count, self.stop = itertools.cycle(pattern), done, stop
        for _ in range(done):
            next(self.pattern)

    def __call__(self, archs):
        if self.count == self.stop:
            raise KeyboardInterrupt
        self.count += len(archs)
        return [self.result(arch, next(self.pattern)) for arch in archs]

    @staticmethod
    def result(arch, odd):
        usual = float(np.dot(arch, np.cos(np.arange(len(arch)))))
        if isinstance(odd, Failure | dict):
            return odd
        if odd in ('missing', 'none'):
            return dict(other=1.0) | (dict(top1=None) if odd == 'none' else {})
        return dict(top1=usual if odd is None else odd, other=1.0)


def make(name):
    return build_searcher(SEARCHERS[name], SPACE, Budget(), 0, BUDGET)


@pytest.mark.parametrize('pattern', PATTERNS)
@pytest.mark.parametrize('name', SEARCHERS)
def test_a_search_ends_with_its_budget_and_a_finite_winner_and_resumes_to_the_same(
    name, pattern, tmp_path
):
    def run(path, evaluate, resume=False):
        searcher, history = make(name), History(path, SPACE, {}, resume)
        records = search(searcher, evaluate, history, BUDGET, Score('top1'), ASK)
        assert np.isfinite(searcher.scores).all(), 'nothing else is ever told'
        return records

    with warnings.catch_warnings():
        warnings.simplefilter('error', RuntimeWarning)  # a sum that overflows
        records = run(tmp_path / 'whole.jsonl', Evaluate(PATTERNS[pattern]))
        assert len(records) == BUDGET
        odd = [record for record in records if record.score is None]
        assert all(record.error for record in odd)
        finite = [record.score for record in records if record.score is not None]
        assert ranked(records)[0].score == max(finite) and math.isfinite(max(finite))
        json.loads((tmp_path / 'whole.jsonl').read_text().splitlines()[-1])

        path = tmp_path / 'parts.jsonl'
        with pytest.raises(KeyboardInterrupt):
            run(path, Evaluate(PATTERNS[pattern], stop=24))
        run(path, Evaluate(PATTERNS[pattern], done=24), resume=True)
    assert path.read_bytes() == (tmp_path / 'whole.jsonl').read_bytes()


@pytest.mark.parametrize('name', SEARCHERS)
@pytest.mark.parametrize('odd', [FAILED, NAN, INF, -INF, 'none', {}])
def test_where_all_fail_the_search_ends_with_the_cause(name, odd, tmp_path):
    history = History(tmp_path / 'history.jsonl', SPACE, {})
    with pytest.raises(TooManyFailuresError, match='3 archs in a row failed'):
        search(make(name), Evaluate([odd]), history, BUDGET, Score('top1'), ASK)
    assert len(read_history(history.path, SPACE)[1]) == ASK


def archs(count=40):
    rng = np.random.default_rng(0)
    return [SPACE.sample(rng) for _ in range(count)]


def test_the_additive_model_keeps_the_order_of_huge_scores_and_all_others_as_they_were():
    several = archs()
    usual = np.array([np.dot(arch, np.arange(len(arch))) for arch in several], float)
    expected = np.argsort(AdditiveModel(SPACE, several, usual).predict(several), kind='stable')
    with warnings.catch_warnings():
        warnings.simplefilter('error', RuntimeWarning)
        for factor in (1e300, 1e305, -1e305):
            model = AdditiveModel(SPACE, several, usual * factor)
            found = np.argsort(np.sign(factor) * model.predict(several), kind='stable')
            assert found.tolist() == expected.tolist()
        # One of them tells nothing of the order of the others.
        outlier = AdditiveModel(SPACE, several, [*usual[:-1], HUGE])
        assert np.isfinite(outlier.predict(several)).all()


@pytest.mark.parametrize('pattern', ['huge of both signs', 'one huge', 'all equal', 'all huge'])
def test_the_plots_show_scores_of_any_size(pattern, tmp_path):
    history = History(None, SPACE, {})
    records = search(
        build('random', SPACE),
        Evaluate(PATTERNS[pattern]),
        history,
        BUDGET,
        Score('top1'),
        ASK,
        costs=lambda arch: dict(macs=float(sum(arch))),
    )
    plot_search_curve(records, 'top1', tmp_path / 'curve.png')
    plot_pareto(records, 'top1', 'macs', tmp_path / 'pareto.png')
    assert {path.name for path in tmp_path.iterdir()} == {'curve.png', 'pareto.png'}
