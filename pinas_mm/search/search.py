"""The search itself: ask, evaluate, tell, until the budget is spent. Needs no Runner and no
torch."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..spaces import Arch
from .history import History, Record, Stage
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
    score: str,
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
        score: The metric that is the score, higher is better.
        ask_size: Archs asked at a time. Many share much, and are evaluated faster; few let a
            searcher learn sooner.
        costs: The costs of an arch, for the records.
        on_record: Called with every record, those in the history included.

    Returns:
        The records in the order asked, failed ones included.

    Raises:
        InputError: Not one arch so far has the metric called ``score``, or the history has the
            state of another searcher.
        TooManyFailuresError: Three archs in a row failed; they are in the history.
    """
    records = history.stage('search')
    if records:
        try:
            restore(searcher, history.searcher_state, records)
        except InputError as error:
            raise InputError(f'{history.path or "history"}: searcher: {error}') from error
    for record in records:
        on_record(record)
    failures = next(
        (i for i, record in enumerate(reversed(records)) if record.error is None), len(records)
    )
    while len(records) < num_archs:
        archs = searcher.ask(min(ask_size, num_archs - len(records)))
        if not archs:
            break
        first = records[-1].index + 1 if records else 0
        results = evaluate(archs)
        if all(record.score is None for record in records):
            check_score(score, results)
        batch = [
            to_record(index, arch, result, score, costs(arch))
            for index, (arch, result) in enumerate(zip(archs, results, strict=True), start=first)
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
    records: list[Record],
    evaluate: Evaluate,
    history: History,
    score: str,
    top_k: int,
    on_record: Callable[[Record], Any] = lambda record: None,
) -> list[Record]:
    """Scores the ``top_k`` best records again, with a better evaluator; returns them best first.

    Args:
        records: What the search found.
        evaluate, history, score, on_record: As in :func:`search`.
        top_k: How many.
    """
    best = ranked(records)[:top_k]
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
    return ranked(final)


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


def check_score(score: str, results: Sequence[dict[str, float] | Failure]) -> None:
    """Whether the score is the name of a metric, as far as results tell. An arch without it has
    failed, where another has it.

    Raises:
        InputError: There are metrics, and not one result has that one.
    """
    metrics = {name for result in results if isinstance(result, dict) for name in result}
    if metrics and score not in metrics:
        raise InputError(f'score={score!r} is not among the metrics evaluated: {sorted(metrics)}')


def to_record(
    index: int,
    arch: Arch,
    result: dict[str, float] | Failure,
    score: str,
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
    if score not in metrics:
        found = f'{score} is {result[score]}' if score in result else f'no {score} was computed'
        return Record(index, arch, None, metrics, costs, stage, found)
    return Record(index, arch, metrics[score], metrics, costs, stage)
