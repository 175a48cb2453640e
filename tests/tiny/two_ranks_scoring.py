"""What test_distributed.py runs on two ranks: each writes ``FOLDER/RANK.json``."""

import json

from pinas_mm.scoring.distributed import evaluate_on_ranks


def evaluate(rank, folder, archs):
    """Each rank evaluates, and writes what it was given, and what it gets or raises."""

    def attempt(archs, raises=False, sharing_key=tuple):
        given = []

        def scores(share):
            given.extend(share)
            if raises:
                raise ValueError('no memory')
            return [dict(score=10 * first + second) for first, second in share]

        try:
            return given, evaluate_on_ranks(scores, archs, sharing_key)
        except Exception as error:
            return given, f'{type(error).__name__}: {error}'

    found = dict(
        all=attempt(archs),
        one=attempt(archs[:1]),
        fails=attempt(archs, raises=rank == 1),
        differ=attempt(archs if rank == 0 else archs[::-1]),
        again=attempt(archs),
        # Those share most that have the same choice in the second slot.
        second=attempt(archs, sharing_key=lambda arch: arch[::-1]),
    )
    (folder / f'{rank}.json').write_text(json.dumps(found))
