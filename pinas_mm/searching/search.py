"""The search itself: ask, evaluate, tell, until the budget is spent. Needs no Runner and no
torch."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..spaces import Arch, SearchSpace
from .history import History, Record, Stage
from .score import Score
from .searchers import Searcher

MOST_FAILURES = 3


@dataclass(frozen=True)
class Failure:
    """Why an arch has no score."""

    error: str

    @classmethod
    def of(cls, error: BaseException | None) -> 'Failure':
        lines = str(error).splitlines() or ['']
        return cls(f'{type(error).__name__}: {lines[0]}')


Evaluate = Callable[[Sequence[Arch]], Sequence[dict[str, float] | Failure]]
Costs = Callable[[Arch], dict[str, float]]


class TooManyFailuresError(InputError):
    """So many archs in a row could not be evaluated that the cause is not theirs."""


def search(
    searcher: Searcher,
    evaluate: Evaluate,
    history: History,
    num_archs: int,
    score: Score,
    ask_size: int = 8,
    costs: Costs = lambda arch: {},
    on_record: Callable[[Record], Any] = lambda record: None,
) -> list[Record]:
    """Searches until ``num_archs`` archs are evaluated or the space has no more.

    The asked batch is the unit of loss: its records and the searcher's state after it enter the
    history together, and a search that was stopped within a batch asks that batch again. So a
    search that was stopped anywhere ends with the history, budget and winner of one that was not.

    Args:
        searcher: A fresh searcher; it takes on the state in the history.
        evaluate: Gives one dict of metrics per arch, in order, or a :class:`Failure`.
        history: Where the records go; the search goes on after those it has.
        num_archs: Budget.
        score: What is maximised. For a sum the first asked batch has at least
            :meth:`~.score.Score.reference` archs, which the places of all are among.
        ask_size: Archs asked at a time. Many share much, and are evaluated faster; few let a
            searcher learn sooner.
        costs: The costs of an arch, for the records.
        on_record: Called with every record, those in the history included.

    Returns:
        The records in the order asked, failed ones included.

    Raises:
        InputError: Not one arch so far has the metrics of the score, or the history has the state
            of another searcher.
        TooManyFailuresError: Three archs in a row failed; they are in the history.
    """
    records = history.stage('search')
    if records:
        try:
            restore(searcher, history.searcher_state, records)
        except InputError as error:
            raise InputError(f'{history.path or "history"}: searcher: {error}') from error
        score.fit([record.metrics for record in records[: history.first_batch]])
    for record in records:
        on_record(record)
    failures = next(
        (i for i, record in enumerate(reversed(records)) if record.error is None), len(records)
    )
    while len(records) < num_archs:
        size = ask_size if records else max(ask_size, score.reference(num_archs))
        archs = searcher.ask(min(size, num_archs - len(records)))
        if not archs:
            break
        start = records[-1].index + 1 if records else 0
        results = evaluate(archs)
        if all(record.score is None for record in records):
            check_score(score, results)
        if not records:
            score.fit([result for result in results if not isinstance(result, Failure)])
        batch = [
            to_record(index, arch, result, score, costs(arch))
            for index, (arch, result) in enumerate(zip(archs, results, strict=True), start=start)
        ]
        scored = [(record.arch, record.score) for record in batch if record.score is not None]
        searcher.tell([arch for arch, _ in scored], [value for _, value in scored])
        history.append(
            batch,
            {
                key: value
                for key, value in searcher.state_dict().items()
                if key not in searcher.TOLD
            },
        )
        records += batch
        for record in batch:
            on_record(record)
            failures = 0 if record.error is None else failures + 1
            if failures >= MOST_FAILURES:
                raise TooManyFailuresError(
                    f'{failures} archs in a row failed, the last, {list(record.arch)}, with '
                    f'{record.error}'
                )
    return records


def rescore(
    best: Sequence[Record],
    evaluate: Evaluate,
    history: History,
    score: Score,
    on_record: Callable[[Record], Any] = lambda record: None,
) -> list[Record]:
    """Scores records again, with a better evaluator; returns those that have a score, in their
    order.

    Args:
        best: Records of the search.
        evaluate, history, score, on_record: As in :func:`search`.
    """
    known = {record.arch: record for record in history.stage('final')}
    left = [record for record in best if record.arch not in known]
    batch = (
        [
            to_record(record.index, record.arch, result, score, record.costs, 'final')
            for record, result in zip(left, evaluate([record.arch for record in left]), strict=True)
        ]
        if left
        else []
    )
    history.append(batch, history.searcher_state)
    known |= {record.arch: record for record in batch}
    final = [known[record.arch] for record in best]
    for record in final:
        on_record(record)
    return [record for record in final if record.score is not None]


def by_posterior_mean(
    space: SearchSpace, records: Sequence[Record], score: Score, final: Sequence[Record] = ()
) -> list[Record]:
    """The records that have a score, the best first by :meth:`~.score.Score.posterior_means`: not
    the luckiest score wins, but the arch of which most is to be expected after all that was
    scored.

    Args:
        space: The archs' space.
        records: What the search found.
        score: What was maximised.
        final: Records of the same archs that were scored better. Where there are some, they take
            the place of the others, and they alone are returned.
    """
    better = {record.arch: record for record in final}
    scored = [better.get(record.arch, record) for record in records if record.score is not None]
    expected = score.posterior_means(space, scored)
    order = sorted(range(len(scored)), key=lambda i: (-expected[i], scored[i].index))
    return [scored[i] for i in order if not final or scored[i].arch in better]


def ranked(records: Sequence[Record]) -> list[Record]:
    """The records that have a score, best first; among equal scores the one asked first."""
    scored = [(-record.score, record) for record in records if record.score is not None]
    return [record for _, record in sorted(scored, key=lambda pair: (pair[0], pair[1].index))]


def all_equal(records: Sequence[Record]) -> bool:
    """Whether several records have a score, and all the same one, so that the best of them is only
    the one asked first."""
    scores = [record.score for record in records if record.score is not None]
    return len(scores) > 1 and len(set(scores)) == 1


def restore(searcher: Searcher, state: dict[str, Any], records: list[Record]) -> None:
    """Puts a searcher into the state it had after ``records``."""
    scored = [record for record in records if record.score is not None]
    searcher.load_state_dict(
        state
        | dict(
            archs=[record.arch for record in scored],
            scores=[record.score for record in scored],
            asked=[record.arch for record in records],
        )
    )


def check_score(score: Score, results: Sequence[dict[str, float] | Failure]) -> None:
    """Whether the parts of a score are names of metrics, as far as results tell. An arch without
    one has failed, where another has it.

    Raises:
        InputError: There are metrics, and not one result has that one.
    """
    metrics = {name for result in results if isinstance(result, dict) for name in result}
    for name in score.parts if metrics else ():
        if name not in metrics:
            raise InputError(
                f'score={name!r} is not among the metrics evaluated: {sorted(metrics)}'
            )


def to_record(
    index: int,
    arch: Arch,
    result: dict[str, float] | Failure,
    score: Score,
    costs: dict[str, float],
    stage: Stage = 'search',
) -> Record:
    """The record of an evaluated arch; one whose score is missing or no finite number has
    failed."""
    if isinstance(result, Failure):
        return Record(index, arch, None, {}, costs, stage, result.error)
    if not result:  # as mmdet's metrics, where an arch detects nothing
        return Record(index, arch, None, {}, costs, stage, 'the metrics computed nothing')
    metrics = {
        name: value
        for name, value in result.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
    for name in score.parts:
        if name not in metrics:
            found = f'{name} is {result[name]}' if name in result else f'no {name} was computed'
            return Record(index, arch, None, metrics, costs, stage, found)
    return Record(index, arch, score.of(metrics), metrics, costs, stage)
