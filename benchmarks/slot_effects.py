#!/usr/bin/env python
"""On which slots and candidates scores are wrong: additive effects of candidates in the truth and
in the scores of rank.py's ranking.json.

    python benchmarks/slot_effects.py \\
        work_dirs/ranking/nasbench-macro-uniform-200000-0/rank-120-0/ranking.json \\
        --score score/neg_loss

An effect is what a candidate is worth against the first one of its slot, by least squares over all
archs of the file, in standard deviations of the truth or of the scores, so that columns compare.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from pinas_mm.spaces import SearchSpace, get_space


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        'rankings', type=Path, nargs='+', help='ranking.json of one or more supernets'
    )
    options.add_argument('--space', default='nasbench_macro')
    options.add_argument('--score', default='score/neg_loss')
    args = options.parse_args()
    space = get_space(args.space)
    found = [json.loads(path.read_text())['archs'] for path in args.rankings]
    columns = {'truth': effects(space, found[0], [entry['truth'] for entry in found[0]])}
    for path, archs in zip(args.rankings, found):
        columns[path.parent.parent.name] = effects(
            space, archs, [entry['scores'][args.score] for entry in archs]
        )
    print('| slot | candidate | ' + ' | '.join(columns) + ' |\n|' + ' --- |' * (2 + len(columns)))
    for slot, candidates in enumerate(space.candidates):
        for choice, candidate in list(enumerate(candidates))[1:]:
            print(
                f'| {slot} | {candidate.name} | '
                + ' | '.join(f'{values[slot][choice]:+.2f}' for values in columns.values())
                + ' |'
            )


def effects(space: SearchSpace, archs: list[dict], values: list[float]) -> list[np.ndarray]:
    """For each slot the effects of its candidates."""
    features = space.one_hot([space.decode(entry['arch']) for entry in archs]).astype(float)
    standardised = (np.array(values) - np.mean(values)) / np.std(values)
    weights = np.linalg.lstsq(features, standardised, rcond=None)[0]
    slots = np.split(weights, np.cumsum(space.num_candidates)[:-1])
    return [slot - slot[0] for slot in slots]


if __name__ == '__main__':
    main()
