#!/usr/bin/env python
"""Compares what the package computes on NAS-Bench-Macro with what is published for the whole table.

    python benchmarks/nasbench_macro.py --truth nas-bench-macro_cifar10.json

Params and FLOPs of every arch, the tau of costs and depth with the accuracies, and the tau between
two trainings. Exits with 1 where a figure differs.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from pinas_mm.costs import measure_costs
from pinas_mm.models import SearchableMacroNet
from pinas_mm.ranking.ranking import kendall_tau, tau_between_trainings
from pinas_mm.ranking.training_free.depth import depth
from pinas_mm.ranking.truth import TruthTable

# As published with the table, to two digits; depth is ours.
TAUS = dict(macs=0.56, params=0.22, depth=0.69)
CEILING = 0.88
# The published figures include a classifier of 10 classes behind 1280 channels.
CLASSIFIER = 1280 * 10


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--truth', type=Path, required=True, help='the published table')
    args = options.parse_args()
    raw = json.loads(args.truth.read_text())
    costs = measure_costs(SearchableMacroNet(), 32)
    table = TruthTable.read(args.truth, costs.space)
    archs = [table.space.decode(arch) for arch in raw]
    truth = np.array([table.mean(arch) for arch in archs])
    macs, params = (costs.array(name, archs) for name in ('macs', 'params'))
    rankers = dict(macs=macs, params=params, depth=depth(table.space, archs))
    checks = {
        'archs': (len(table), 6561),
        'networks': (len(table.networks()), 3969),
        'archs with the published FLOPs': (
            int(np.sum(macs + CLASSIFIER == [row['flops'] for row in raw.values()])),
            6561,
        ),
        'archs with the published params': (
            int(np.sum(params + CLASSIFIER + 10 == [row['params'] for row in raw.values()])),
            6561,
        ),
        'ceiling': (round(tau_between_trainings(list(table.trainings.values())), 2), CEILING),
    }
    for name, tau in TAUS.items():
        checks[f'tau of {name}'] = (round(kendall_tau(rankers[name].astype(float), truth), 2), tau)
    for name, (found, expected) in checks.items():
        print(f'{name:32} {found:>8} {expected:>8} {"equal" if found == expected else "DIFFERS"}')
    sys.exit(any(found != expected for found, expected in checks.values()))


if __name__ == '__main__':
    main()
