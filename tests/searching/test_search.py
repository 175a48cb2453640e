import functools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from small_searchers import VARIANTS, Budget, build
from wrong_files import VALUES, of_values, try_files

from pinas_mm.errors import InputError
from pinas_mm.searching.history import History, Record, read_history
from pinas_mm.searching.score import Score, Standing
from pinas_mm.searching.search import (
    Failure,
    TooManyFailuresError,
    all_equal,
    by_posterior_mean,
    ranked,
    rescore,
    search,
)
from pinas_mm.searching.searchers import Searcher, build_searcher
from pinas_mm.spaces import SearchSpace, chain, get_space

SPACE = get_space('nasbench_macro')
TOY = SearchSpace('toy', (SPACE.candidates[0],) * 3, chain((3,), (8,), (1,), 8), 8)
BUDGET, ASK = 44, 8


def score(arch):
    return float(np.dot(arch, np.cos(np.arange(len(arch)))))


class Evaluate:
    """Stops like Ctrl-C at its ``stop``-th arch. ``results`` replaces the results of some archs by
    number."""

    def __init__(self, stop=None, sign=1, results=()):
        self.stop, self.sign, self.results = stop, sign, dict(results)
        self.archs = []

    def __call__(self, archs):
        out = []
        for arch in archs:
            if len(self.archs) == self.stop:
                raise KeyboardInterrupt
            out.append(
                self.results.get(len(self.archs), dict(top1=self.sign * score(arch), other=0.0))
            )
            self.archs.append(arch)
        return out


def run(path, searcher, evaluate=None, resume=False, budget=BUDGET, **kwargs):
    history = History(path, searcher.space, dict(seed=0), resume)
    return search(
        searcher, evaluate or Evaluate(), history, budget, Score('top1'), ASK, **kwargs
    ), history


@pytest.fixture(params=sorted(VARIANTS))
def make(request):
    return functools.partial(build, request.param, SPACE)


def test_records_are_what_was_asked_in_order(make, tmp_path):
    told, seen, evaluate = make(), [], Evaluate()
    records, history = run(
        tmp_path / 'history.jsonl',
        told,
        evaluate,
        costs=lambda arch: dict(macs=sum(arch)),
        on_record=seen.append,
    )
    assert [record.arch for record in records] == evaluate.archs == told.archs
    assert records == [
        Record(i, arch, score(arch), dict(top1=score(arch), other=0.0), dict(macs=sum(arch)))
        for i, arch in enumerate(evaluate.archs)
    ]
    assert (
        len(records) == BUDGET
        and history.records == records == seen == read_history(history.path, SPACE)[1]
    )
    assert told.scores == [record.score for record in records]


@pytest.mark.slow
@pytest.mark.parametrize('stops', [[0], [1], [8], [13], [43], [3, 10, 1, 17]])
def test_stopped_anywhere_and_resumed_it_is_the_same_search(make, tmp_path, stops):
    expected, _ = run(tmp_path / 'whole.jsonl', make())
    path, done = tmp_path / 'history.jsonl', 0
    for number, stop in enumerate(stops):
        with pytest.raises(KeyboardInterrupt):
            run(path, make(), Evaluate(stop), resume=number > 0)
        done += stop // ASK * ASK
        found = read_history(path, SPACE)[1] if path.exists() else []
        assert [record.arch for record in found] == [record.arch for record in expected[:done]], (
            'whole batches'
        )
        assert path.exists() == (done > 0), 'nothing is written before the first batch'
    evaluate, seen = Evaluate(), []
    records, _ = run(path, make(), evaluate, resume=True, on_record=seen.append)
    assert records == seen == expected and ranked(records)[0] == ranked(expected)[0]
    assert evaluate.archs == [record.arch for record in expected[done:]], (
        'only the unfinished batch is evaluated again'
    )
    assert path.read_bytes() == (tmp_path / 'whole.jsonl').read_bytes()


# The classifiers of the partition tree are fitted with the seed, which is not part of the state.
@pytest.mark.parametrize('variant', sorted(VARIANTS.keys() - {'partition_tree'}))
def test_the_searcher_resumes_from_its_state_not_by_asking_again(variant, tmp_path):
    """A searcher of another seed goes on as the first one: the state in the history counts."""
    expected, _ = run(tmp_path / 'whole.jsonl', build(variant, SPACE))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / 'history.jsonl', build(variant, SPACE), Evaluate(stop=20))
    other = build(variant, SPACE, seed=1)
    assert run(tmp_path / 'history.jsonl', other, resume=True)[0] == expected


def test_a_finished_search_evaluates_nothing_again(make, tmp_path):
    expected, _ = run(tmp_path / 'history.jsonl', make())
    evaluate = Evaluate(stop=0)
    assert run(tmp_path / 'history.jsonl', make(), evaluate, resume=True)[0] == expected


def test_a_larger_budget_goes_on(make, tmp_path):
    first, _ = run(tmp_path / 'history.jsonl', make(), budget=20)
    records, _ = run(tmp_path / 'history.jsonl', make(), budget=50, resume=True)
    assert records[:20] == first and len({record.arch for record in records}) == len(records) == 50
    assert [record.index for record in records] == list(range(50))


FITS = {
    'rng.state.state=0': 'another state',
    'rng.has_uint32=0': 'another state',
    'rng.has_uint32=-1': 'another state',
    'rng.uinteger=0': 'another state',
    'rng.*=true': 'equals 1',
    'fitted=0': 'the tree is fitted again',
    'visits=mapping': 'no walk so far',
    'no visits.*': 'no walk so far',
    'visits.*=0': 'no walk so far',
}


@pytest.mark.filterwarnings('ignore:.*a batch that was not finished')
def test_wrong_states_of_a_searcher_are_refused_in_one_line(make, tmp_path):
    """Or the search goes on: none makes it fail or hang."""
    path = tmp_path / 'history.jsonl'
    run(path, make(), budget=24)
    *before, last = path.read_bytes().splitlines(keepends=True)
    last = json.loads(last)
    if 'visits' in last['searcher']:
        last['searcher']['visits'] = {'': 3, '1': 2}
    own = make().state_dict().keys() - Searcher.TOLD
    # A number that is not finite ends the line as one that is torn (test_history.py).
    finite = {name: value for name, value in VALUES.items() if not re.search('nan|inf|400', name)}
    states = dict(of_values(last['searcher'], values=finite))
    states = {name: state for name, state in states.items() if not name.startswith('=')}
    for name in VARIANTS:  # of other searchers
        other = build(name, SPACE).state_dict()
        if other.keys() - Searcher.TOLD != own:
            states[name] = json.dumps(
                {key: other[key] for key in other.keys() - Searcher.TOLD}
            ).encode()
    rng = last['searcher']['rng']
    for name, state in {
        'another generator': rng | dict(bit_generator='MT19937'),
        'even increment': rng | dict(state=dict(state=1, inc=2)),
        'no increment': rng | dict(state=dict(state=0, inc=0)),
        'too long': rng | dict(state=dict(state=2**128, inc=1)),
        'too long for a word': rng | dict(uinteger=2**32),
    }.items():
        states[name] = json.dumps(last['searcher'] | dict(rng=state)).encode()
    for name, state in dict(fitted=[1, 25, 2**53], visits=[{'2': 1}, {'0': 2**60}]).items():
        if name in own:
            for value in state:
                states[f'{name} is {value}'] = json.dumps(last['searcher'] | {name: value}).encode()
    files = {
        name: b''.join([*before, b'{"spent": 24, "searcher": ', state, b'}\n'])
        for name, state in states.items()
    }

    def read(path):
        content = path.read_bytes()
        records, _ = run(path, make(), resume=True, budget=26)
        assert len(records) == 26
        return content

    fits = {
        pattern: reason
        for pattern, reason in FITS.items()
        if not re.search('visits|fitted', pattern) or 'visits' in own
    }
    tried, refused, _ = try_files(path, read, files, fits)
    assert tried > 80 and refused > 75


@pytest.mark.parametrize('line', [3, 20])
def test_a_search_goes_on_before_a_lost_record(make, tmp_path, line):
    """Once the lines after it are removed, as the message says."""
    path = tmp_path / 'history.jsonl'
    expected, _ = run(path, make())
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    del lines[line]
    path.write_bytes(b''.join(lines))
    with pytest.raises(InputError, match='line .*: expected .*; to go on .* remove this') as error:
        run(path, make(), resume=True)
    named = int(re.search(r', line (\d+)', str(error.value))[1])
    path.write_bytes(b''.join(lines[: named - 1]))
    with pytest.warns(UserWarning, match='a batch that was not finished'):
        assert run(path, make(), resume=True)[0] == expected
    assert path.read_bytes() == whole


NAN, FAILED = dict(top1=float('nan'), other=1.0), Failure('OutOfMemoryError: no memory')


def test_an_arch_that_fails_is_recorded_and_the_search_goes_on(make, tmp_path):
    told = make()
    records, history = run(
        tmp_path / 'history.jsonl', told, Evaluate(results={3: FAILED, 4: NAN, 30: FAILED})
    )
    assert len(records) == BUDGET and [
        record.index for record in records if record.score is None
    ] == [3, 4, 30]
    assert (
        records[3].error == FAILED.error
        and records[4].error == 'top1 is nan'
        and records[4].metrics == dict(other=1.0)
    )
    scored = [record for record in records if record.score is not None]
    assert told.archs == [record.arch for record in scored] and told.asked == {
        record.arch for record in records
    }
    assert ranked(records) == sorted(scored, key=lambda record: -record.score)

    # The same, stopped in between.
    path = tmp_path / 'parts.jsonl'
    with pytest.raises(KeyboardInterrupt):
        run(path, make(), Evaluate(20, results={3: FAILED, 4: NAN}))
    run(path, make(), Evaluate(results={30 - 16: FAILED}), resume=True)
    assert path.read_bytes() == history.path.read_bytes()


def test_failures_in_a_row_are_counted_across_a_stop(tmp_path):
    """Two, a stop, and a third."""
    path = tmp_path / 'history.jsonl'
    with pytest.raises(KeyboardInterrupt):
        run(path, build('random', SPACE), Evaluate(stop=9, results={6: FAILED, 7: FAILED}))
    with pytest.raises(TooManyFailuresError):
        run(path, build('random', SPACE), Evaluate(results={0: FAILED}), resume=True)


def test_three_failures_in_a_row_stop_it_with_the_cause(tmp_path):
    path = tmp_path / 'history.jsonl'
    evaluate = Evaluate(results={2: FAILED, 3: FAILED, 5: FAILED, 7: FAILED, 8: NAN, 9: FAILED})
    with pytest.raises(
        TooManyFailuresError,
        match='3 archs in a row failed, the last, .*, with OutOfMemoryError: no memory',
    ):
        run(path, build('random', SPACE), evaluate)
    assert len(read_history(path, SPACE)[1]) == 16
    records, _ = run(path, build('random', SPACE), resume=True)
    assert len(records) == BUDGET


@pytest.mark.parametrize(
    'config',
    [
        dict(type='random'),
        dict(type='evolution', population=4, tournament=2),
        dict(type='partition_tree', num_initial=4, min_leaf=1),
    ],
    ids=lambda config: config['type'],
)
def test_an_exhausted_space_ends_the_search_early(tmp_path, config):
    searcher = build_searcher(config | dict(max_draws=3000), TOY, Budget(2), 0)
    records, _ = run(tmp_path / 'history.jsonl', searcher)
    assert sorted(record.arch for record in records) == [
        arch for arch in np.ndindex(3, 3, 3) if sum(arch) <= 2
    ]
    assert ranked(records)[0].score == max(
        score(arch) for arch in np.ndindex(3, 3, 3) if sum(arch) <= 2
    )


def test_records_of_one_score_do_not_tell_archs_apart():
    one, other, same, failed = (
        Record(i, (i, 0, 0), score) for i, score in enumerate((2.0, 3.0, 2.0, None))
    )
    assert all_equal([one, same]) and all_equal([failed, one, same])
    assert not any(map(all_equal, ([], [one], [one, failed], [one, other], [failed])))


def test_the_top_are_scored_again(tmp_path):
    """Another evaluator turns the order of the scores round."""
    path = tmp_path / 'history.jsonl'
    records, history = run(
        path,
        build('random', SPACE),
        Evaluate(results={5: FAILED}),
        costs=lambda arch: dict(macs=sum(arch)),
    )
    with pytest.raises(KeyboardInterrupt):
        rescore(ranked(records)[:5], Evaluate(stop=2, sign=-1), history, Score('top1'))
    history = History(path, SPACE, dict(seed=0), resume=True)
    records = search(build('random', SPACE), Evaluate(stop=0), history, BUDGET, Score('top1'), ASK)
    evaluate, seen = Evaluate(sign=-1), []
    top = ranked(records)[:5]
    final = rescore(top, evaluate, history, Score('top1'), seen.append)
    assert evaluate.archs == [record.arch for record in top]
    expected = [
        Record(r.index, r.arch, -r.score, dict(top1=-r.score, other=0.0), r.costs, 'final')
        for r in top
    ]
    assert seen == final == expected
    assert read_history(path, SPACE)[1] == [*records, *expected]
    history = History(path, SPACE, dict(seed=0), resume=True)
    assert rescore(top, Evaluate(stop=0), history, Score('top1')) == final
    worse = {record.index: 2 * i for i, record in enumerate(top)}
    again = [replace(r, metrics=dict(top1=float(worse[r.index]))) for r in final]
    found = by_posterior_mean(SPACE, records, Score('top1'), again)
    assert [record.index for record in found] == [record.index for record in top[::-1]], (
        'the new scores count, and they alone are returned'
    )


def test_an_arch_that_fails_when_it_is_scored_again_is_left_out(tmp_path):
    records, history = run(tmp_path / 'history.jsonl', build('random', SPACE), budget=3)
    final = rescore(records, Evaluate(results={1: FAILED}), history, Score('top1'))
    assert [record.index for record in final] == [0, 2]


def test_the_winner_is_not_the_luckiest():
    """Additive scores, and one arch whose score is far above what archs like it have."""
    rng = np.random.default_rng(0)
    archs = list({SPACE.sample(rng): None for _ in range(120)})
    noise = 0.3 * rng.standard_normal(len(archs))
    scores = [score(arch) + e for arch, e in zip(archs, noise)]
    unlucky = int(np.argsort([score(arch) for arch in archs])[len(archs) // 2])
    scores[unlucky] = max(scores) + 0.5
    records = [
        Record(i, arch, value, dict(top1=value))
        for i, (arch, value) in enumerate(zip(archs, scores))
    ]
    found = by_posterior_mean(SPACE, records, Score('top1'))
    assert ranked(records)[0].index == unlucky
    assert score(found[0].arch) > np.quantile([score(arch) for arch in archs], 0.95)
    assert sorted(r.index for r in found) == list(range(len(archs)))


def test_a_sum_is_scored_by_places_among_the_first_archs_and_resumes(tmp_path):
    """Two parts of very different size, an arch among the first that fails, a stop after them, and
    a first search of fewer archs than tell the places."""

    def evaluate(archs):
        return [
            FAILED if sum(arch) == 9 else dict(top1=score(arch), flow=1e6 * arch[0] + arch[1])
            for arch in archs
        ]

    class Stops(Evaluate):
        def __call__(self, archs):
            super().__call__(archs)
            return evaluate(archs)

    maximised = Score(dict(top1=2, flow=0.5))

    def start(path, evaluate, score, resume=False, budget=BUDGET, ask_size=ASK):
        history = History(path, SPACE, {}, resume)
        return search(build('random', SPACE), evaluate, history, budget, score, ask_size)

    records = start(tmp_path / 'whole.jsonl', evaluate, maximised)
    first = [record for record in records[: BUDGET // 4] if record.error is None]
    assert 5 < len(first) < BUDGET // 4, 'some fail'
    parts = {
        name: np.array([record.metrics[name] for record in first]) for name in ('top1', 'flow')
    }
    for record in records:
        if record.error is not None:
            continue
        expected = sum(
            weight * Standing.among(parts[name])(record.metrics[name])
            for name, weight in dict(top1=2, flow=0.5).items()
        )
        assert record.score == pytest.approx(expected)
    assert str(maximised) == '2 top1 + 0.5 flow'
    path = tmp_path / 'parts.jsonl'
    with pytest.raises(KeyboardInterrupt):
        start(path, Stops(stop=ASK + BUDGET // 4), Score(dict(top1=2, flow=0.5)))
    start(path, evaluate, Score(dict(top1=2, flow=0.5)), resume=True)
    assert path.read_bytes() == (tmp_path / 'whole.jsonl').read_bytes()

    # The places are those of the first batch, whatever its size and the budget.
    for name, ask_size, size in (('few', 4, 5), ('large', 16, 16)):
        path, found = tmp_path / f'{name}.jsonl', []
        for budget, resume in ((20, False), (36, True), (44, True)):
            found.append(Score(dict(top1=2, flow=0.5)))
            start(path, evaluate, found[-1], resume, budget, ask_size)
        first = read_history(path, SPACE)[1][:size]
        first = [record.metrics['top1'] for record in first if record.error is None]
        assert all(each.places['top1'] == Standing.among(first) for each in found)


def test_a_search_starts_from_the_beginning_where_no_arch_has_a_score(tmp_path):
    """Of archs that failed there are no places to take up."""
    path = tmp_path / 'history.jsonl'
    with pytest.raises(TooManyFailuresError):
        run(path, build('random', SPACE), Evaluate(results=dict.fromkeys(range(8), FAILED)))
    expected, _ = run(tmp_path / 'whole.jsonl', build('random', SPACE))
    assert run(path, build('random', SPACE), resume=True)[0] == expected


def test_an_unknown_score_is_named(tmp_path):
    history = History(tmp_path / 'history.jsonl', SPACE, {})
    with pytest.raises(
        InputError,
        match=r"score='accuracy/top1' is not among the metrics evaluated: \['other', 'top1'\]",
    ):
        search(build('random', SPACE), Evaluate(), history, 4, Score('accuracy/top1'))
    assert history.records == []


def test_an_arch_whose_metrics_computed_nothing_has_failed(tmp_path):
    """mmdet's metrics are empty where nothing was detected."""
    history = History(tmp_path / 'history.jsonl', SPACE, {})
    searcher = build('random', SPACE)

    def evaluate(archs):
        return [{} if index == 1 else dict(top1=float(index)) for index in range(len(archs))]

    records = search(searcher, evaluate, history, 4, Score('top1'), ask_size=4)
    assert [record.score for record in records] == [0.0, None, 2.0, 3.0]
    assert records[1].error == 'the metrics computed nothing'
