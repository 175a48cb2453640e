"""The search itself: ask, evaluate, tell, until the budget is spent. Needs no Runner."""
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..errors import InputError
from ..spaces import Arch
from .history import History, Record
from .searchers import Searcher

Evaluate = Callable[[Iterable[Arch]], Iterator[dict[str, float]]]


def search(searcher: Searcher,
           evaluate: Evaluate,
           history: History,
           num_archs: int,
           score: str,
           ask_size: int = 8,
           costs: Callable[[Arch], dict[str, int]] = lambda arch: {},
           on_record: Callable[[Record], Any] = lambda record: None) -> list[Record]:
    """Searches until ``num_archs`` archs are evaluated or the space has no more.

    Resuming is running it again: a searcher asks the same archs after the same scores, and archs that the history holds are not
    evaluated again. So a search that was stopped anywhere ends with the history, budget and winner of one that was not.

    Args:
        searcher: A fresh searcher.
        evaluate: Yields one dict of metrics per arch, in order.
        history: Where the records go; its records are reused.
        num_archs: Budget.
        score: The metric that is the score, higher is better.
        ask_size: Archs asked at a time.
        costs: The costs of an arch, for the records.
        on_record: Called with every record, reused ones included.

    Returns:
        The records in the order asked.

    Raises:
        InputError: The metric is not among those evaluated, or the history was written by a searcher that asked other archs.
    """
    known = {record.index: record for record in history.stage('search').values()}
    records: list[Record] = []
    while len(records) < num_archs:
        # Always whole batches, so that a search that goes on with a larger budget asks the same.
        archs = searcher.ask(ask_size)[:num_archs - len(records)]
        if not archs:
            break
        numbered = dict(enumerate(archs, start=len(records)))
        foreign = [index for index, arch in numbered.items() if index in known and known[index].arch != arch]
        if foreign:
            raise InputError(f'{history.path}: its arch {foreign[0]} is not the one asked now: the history was written by another version '
                             'of the searcher or its libraries; start anew in another --work-dir')
        results = evaluate(arch for index, arch in numbered.items() if index not in known)
        batch: list[Record] = []
        for index, arch in numbered.items():
            record = known.get(index)
            if record is None:
                metrics = next(results)
                record = Record(index, arch, pick_score(metrics, score), metrics, costs(arch))
                history.append(record)
            batch.append(record)
            on_record(record)
        searcher.tell(archs, [record.score for record in batch])
        records += batch
    return records


def rescore(records: list[Record],
            evaluate: Evaluate,
            history: History,
            score: str,
            top_k: int,
            on_record: Callable[[Record], Any] = lambda record: None) -> list[Record]:
    """Scores the ``top_k`` best records again, with a better evaluator; returns them best first.

    Args:
        records: What the search found.
        evaluate, history, score, on_record: As in :func:`search`.
        top_k: How many.
    """
    best = sorted(records, key=lambda record: -record.score)[:top_k]
    known = history.stage('final')
    results = evaluate(record.arch for record in best if record.arch not in known)
    final: list[Record] = []
    for record in best:
        again = known.get(record.arch)
        if again is None:
            metrics = next(results)
            again = Record(record.index, record.arch, pick_score(metrics, score), metrics, record.costs, 'final')
            history.append(again)
        final.append(again)
        on_record(again)
    return sorted(final, key=lambda record: -record.score)


def pick_score(metrics: dict[str, float], name: str) -> float:
    """The metric called ``name``.

    Raises:
        InputError: There is none.
    """
    if name not in metrics:
        raise InputError(f'score={name!r} is not among the metrics evaluated: {sorted(metrics)}')
    return metrics[name]
