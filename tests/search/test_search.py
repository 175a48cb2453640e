import numpy as np
import pytest

from pinas_mm.errors import InputError
from pinas_mm.search.history import History, Record, read_history
from pinas_mm.search.search import pick_score, rescore, search
from pinas_mm.search.searchers import EvolutionSearcher, PartitionTreeSearcher, RandomSearcher
from pinas_mm.spaces import SearchSpace, chain, get_space

SPACE = get_space('nasbench_macro')
TOY = SearchSpace('toy', (SPACE.candidates[0], ) * 3, chain((3, ), (8, ), (1, ), 8), 8)
SEARCHERS = dict(
    random=lambda **kwargs: RandomSearcher(SPACE, **kwargs),
    evolution=lambda **kwargs: EvolutionSearcher(SPACE, population=16, tournament=4, **kwargs),
    partition_tree=lambda **kwargs: PartitionTreeSearcher(SPACE, num_initial=16, min_leaf=4, **kwargs),
)
BUDGET, ASK = 44, 8


def score(arch):
    return float(np.dot(arch, np.cos(np.arange(len(arch)))))


class Evaluate:
    """Stops like Ctrl-C at its ``stop``-th arch."""

    def __init__(self, stop=None):
        self.stop = stop
        self.archs = []

    def __call__(self, archs):
        for arch in archs:
            if len(self.archs) == self.stop:
                raise KeyboardInterrupt
            self.archs.append(arch)
            yield dict(top1=score(arch), other=0.0)


def run(path, searcher, evaluate=None, resume=False, budget=BUDGET, **kwargs):
    history = History(path, searcher.space, dict(seed=0), resume)
    return search(searcher, evaluate or Evaluate(), history, budget, 'top1', ASK, **kwargs), history


@pytest.fixture(params=sorted(SEARCHERS))
def make(request):
    return SEARCHERS[request.param]


def best(records):
    return max(records, key=lambda record: record.score)


def test_records_are_what_was_asked_in_order(make, tmp_path):
    told, seen, evaluate = make(), [], Evaluate()
    records, history = run(tmp_path / 'history.jsonl', told, evaluate, costs=lambda arch: dict(macs=sum(arch)), on_record=seen.append)
    assert [record.arch for record in records] == evaluate.archs == told.archs
    assert records == [Record(i, arch, score(arch), dict(top1=score(arch), other=0.0), dict(macs=sum(arch)))
                       for i, arch in enumerate(evaluate.archs)]
    assert len(records) == BUDGET and history.records == records == seen == read_history(history.path, SPACE)[1]
    assert told.scores == [record.score for record in records]


@pytest.mark.parametrize('stops', [[0], [1], [8], [13], [43], [3, 10, 1]])
def test_stopped_anywhere_and_resumed_it_is_the_same_search(make, tmp_path, stops):
    expected, _ = run(tmp_path / 'whole.jsonl', make())
    path, evaluated = tmp_path / 'history.jsonl', []
    for number, stop in enumerate(stops):
        evaluate = Evaluate(stop)
        with pytest.raises(KeyboardInterrupt):
            run(path, make(), evaluate, resume=number > 0)
        evaluated += evaluate.archs
        assert [record.arch for record in read_history(path, SPACE)[1]] == evaluated, 'complete up to the last evaluated arch'
    evaluate, seen = Evaluate(), []
    records, _ = run(path, make(), evaluate, resume=True, on_record=seen.append)
    assert records == seen == expected and best(records) == best(expected)
    assert evaluated + evaluate.archs == [record.arch for record in expected], 'nothing is evaluated twice'
    assert path.read_bytes() == (tmp_path / 'whole.jsonl').read_bytes()


def test_a_finished_search_evaluates_nothing_again(make, tmp_path):
    expected, _ = run(tmp_path / 'history.jsonl', make())
    evaluate = Evaluate(stop=0)
    assert run(tmp_path / 'history.jsonl', make(), evaluate, resume=True)[0] == expected


@pytest.mark.parametrize('line', [-1, 20])
def test_a_lost_line_is_evaluated_again(make, tmp_path, line):
    path = tmp_path / 'history.jsonl'
    expected, _ = run(path, make())
    lines = path.read_bytes().splitlines(keepends=True)
    lost = lines.pop(line)
    path.write_bytes(b''.join(lines))
    evaluate = Evaluate()
    records, _ = run(path, make(), evaluate, resume=True)
    assert records == expected and len(evaluate.archs) == 1
    assert path.read_bytes() == b''.join([*lines, lost])


def test_a_history_of_other_archs_is_refused(make, tmp_path):
    """Such as another seed's: the header of SearchLoop names the seed, this is what catches a change of a library."""
    path = tmp_path / 'history.jsonl'
    with pytest.raises(KeyboardInterrupt):
        run(path, make(), Evaluate(stop=20))
    with pytest.raises(InputError, match='is not the one asked now') as error:
        run(path, make(seed=1), resume=True)
    assert str(path) in str(error.value)


class Budget:

    def mask(self, archs):
        return np.asarray(archs).sum(axis=1) <= 2


@pytest.mark.parametrize('searcher', [
    RandomSearcher(TOY, Budget(), max_draws=3000),
    EvolutionSearcher(TOY, Budget(), max_draws=3000, population=4, tournament=2),
    PartitionTreeSearcher(TOY, Budget(), max_draws=3000, num_initial=4, min_leaf=1),
], ids=lambda searcher: type(searcher).__name__)
def test_an_exhausted_space_ends_the_search_early(tmp_path, searcher):
    records, _ = run(tmp_path / 'history.jsonl', searcher)
    assert sorted(record.arch for record in records) == [arch for arch in np.ndindex(3, 3, 3) if sum(arch) <= 2]
    assert best(records).score == max(score(arch) for arch in np.ndindex(3, 3, 3) if sum(arch) <= 2)


class Whole:
    """Another evaluator, which turns the order of the scores round."""

    def __init__(self, stop=None):
        self.stop = stop
        self.archs = []

    def __call__(self, archs):
        for arch in archs:
            if len(self.archs) == self.stop:
                raise KeyboardInterrupt
            self.archs.append(arch)
            yield dict(top1=-score(arch))


def test_the_top_are_scored_again(tmp_path):
    path = tmp_path / 'history.jsonl'
    records, history = run(path, SEARCHERS['random'](), costs=lambda arch: dict(macs=sum(arch)))
    evaluate, seen = Whole(stop=2), []
    with pytest.raises(KeyboardInterrupt):
        rescore(records, evaluate, history, 'top1', 5)
    history = History(path, SPACE, dict(seed=0), resume=True)
    records = search(SEARCHERS['random'](), Evaluate(stop=0), history, BUDGET, 'top1', ASK)
    rest = Whole()
    final = rescore(records, rest, history, 'top1', 5, seen.append)

    top = sorted(records, key=lambda record: -record.score)[:5]
    assert evaluate.archs + rest.archs == [record.arch for record in top] and len(evaluate.archs) == 2
    expected = [Record(r.index, r.arch, -r.score, dict(top1=-r.score), r.costs, 'final') for r in top]
    assert seen == expected and final == expected[::-1], 'best first by the new scores'
    assert read_history(path, SPACE)[1] == [*records, *expected]


def test_fewer_records_than_the_top_are_fine(tmp_path):
    records, history = run(tmp_path / 'history.jsonl', SEARCHERS['random'](), budget=3)
    assert len(rescore(records, Whole(), history, 'top1', 10)) == 3


def test_an_unknown_score_is_named(tmp_path):
    assert pick_score(dict(top1=3.0, top5=9.0), 'top5') == 9.0
    with pytest.raises(InputError, match=r"score='accuracy/top1' is not among the metrics evaluated: \['top1', 'top5'\]"):
        pick_score(dict(top5=9.0, top1=3.0), 'accuracy/top1')
    history = History(tmp_path / 'history.jsonl', SPACE, {})
    with pytest.raises(InputError, match="score='accuracy/top1'"):
        search(SEARCHERS['random'](), Evaluate(), history, 4, 'accuracy/top1')
    assert history.records == []
