#!/usr/bin/env python
"""What a handful of true accuracies are worth without any supernet: tau with all networks of a
table that were not among them.

    python benchmarks/few_truths.py --truth nas-bench-macro_cifar10.json

The additive model of accuracies against few_truths (pinas_mm/ranking/few_truths.py), with archs
drawn uniformly and by the greedy D-optimal design out of 300 drawn ones, as tools/rank.py has it.
Mean and standard deviation over draws."""

import argparse
from pathlib import Path

import numpy as np

from pinas_mm.ranking.few_truths import POOL, FewTruths, archs_to_train
from pinas_mm.ranking.ranking import kendall_tau
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.searching.additive import AdditiveModel
from pinas_mm.spaces import Arch, get_space


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--truth', type=Path, required=True)
    options.add_argument('--space', default='nasbench_macro')
    options.add_argument('--counts', type=int, nargs='+', default=[30, 60, 120])
    options.add_argument('--draws', type=int, default=20)
    args = options.parse_args()
    table = TruthTable.read(args.truth, get_space(args.space))
    print('| model | archs | ' + ' | '.join(f'{count} truths' for count in args.counts) + ' |')
    print('|' + ' --- |' * (2 + len(args.counts)))
    for model in ('additive model', 'few_truths'):
        for design in ('uniform', 'D-optimal'):
            cells = []
            for count in args.counts:
                taus = [tau(table, model, design, count, seed) for seed in range(args.draws)]
                cells.append(f'{np.mean(taus):.3f} ± {np.std(taus, ddof=1):.3f}')
            print(f'| {model} | {design} | ' + ' | '.join(cells) + ' |', flush=True)


def tau(table: TruthTable, model: str, design: str, count: int, seed: int) -> float:
    """tau with the networks whose truth the model was not told."""
    pool = table.sample(max(POOL, count), seed)
    order = np.random.default_rng(seed).permutation(len(pool))[:count]
    told = (
        archs_to_train(table.space, pool, count)
        if design == 'D-optimal'
        else [pool[i] for i in order]
    )
    others: list[Arch] = sorted(set(table.networks()) - set(told))
    accuracies, truth = (
        [table.mean(arch) for arch in told],
        np.array([table.mean(arch) for arch in others]),
    )
    if model == 'additive model':
        return kendall_tau(AdditiveModel(table.space, told, accuracies).predict(others), truth)
    return kendall_tau(
        FewTruths(table.space, told, accuracies, np.empty((count, 0))).predict(
            others, np.empty((len(others), 0))
        ),
        truth,
    )


if __name__ == '__main__':
    main()
