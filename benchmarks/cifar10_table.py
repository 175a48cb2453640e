#!/usr/bin/env python
"""The table of docs/results/cifar10.md: the searched subnet against archs of equal MACs, everything
fine-tuned alike.

    # data/cifar10/{train,test}/<class>/*.jpg
    python benchmarks/cifar10_table.py --work-dir work_dirs/cifar10 \\
        --truth nas-bench-macro_cifar10.json    # for the equal-cost percentiles (docs/ranking.md)

Runs the whole method once per seed with the shipped configs (about 20 minutes a seed on 2 cores)
and writes table.md. A seed whose results.json is there is not run again."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from found import equal_cost, judged

from pinas_mm.child_processes import exit_at_sigterm
from pinas_mm.fileio import write_atomic

TOP = Path(__file__).resolve().parents[1]
CONFIGS = [
    TOP / f'configs/pinas/pinas_nasbench-macro{name}_cifar10.py'
    for name in (
        '_1xb128-coslr-4e',
        '-linear_1xb128-coslr-3e',
        '-search',
        '-finetune_1xb128-coslr-2e',
    )
]


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--work-dir', type=Path, required=True)
    options.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    options.add_argument(
        '--random', type=int, default=1, help='random archs of equal MACs per seed'
    )
    options.add_argument(
        '--truth',
        type=Path,
        help='table of true accuracies, for the column of equal-cost percentiles (default: none)',
    )
    args = options.parse_args()
    args.work_dir = args.work_dir.resolve()
    runs = []
    for seed in args.seeds:
        results = args.work_dir / f'seed{seed}' / 'results.json'
        if not results.exists():
            subprocess.run(
                [
                    sys.executable,
                    TOP / 'tools/pinas.py',
                    *CONFIGS,
                    '--work-dir',
                    results.parent,
                    '--seed',
                    str(seed),
                    '--random',
                    str(args.random),
                ],
                check=True,
                cwd=TOP,
            )
        runs.append(json.loads(results.read_text()))
    percentiles = None
    if args.truth:
        _, equal = equal_cost(CONFIGS[2], args.truth, args.work_dir / 'costs')
        archs = {row['arch'] for run in runs for row in run['rows']}
        decode = equal.table.space.decode
        percentiles = {arch: judged(equal, [decode(arch)], [1])['percentile'] for arch in archs}
    text = table(runs, percentiles)
    write_atomic(args.work_dir / 'table.md', lambda file: file.write(text.encode()))
    print(text)


def table(runs: list[dict], percentiles: dict[str, float | None] | None = None) -> str:
    """Markdown: one row per fine-tuned arch, then the means over seeds.

    Args:
        runs: What tools/pinas.py wrote, one for each seed.
        percentiles: The equal-cost percentile of each arch, for a last column; None where it has
            none.
    """
    titles = ['seed', 'subnet', 'arch', 'params (M)', 'MACs (M)', 'search score']
    titles += ['test accuracy (%)', *([] if percentiles is None else ['equal-cost percentile'])]
    rows: list[list[str]] = []
    kinds: dict[str, list[dict]] = {'searched': [], 'median-scored': [], 'random': []}
    for run in runs:
        for row in run['rows']:
            kinds[row['name'].rstrip(' 0123456789')].append(row)
            cells = [str(run['seed']), row['name'], row['arch'], f'{row["params"] / 1e6:.3f}']
            cells += [f'{row["macs"] / 1e6:.2f}', f'{row["score"]:.2f}', f'{row["test"]:.2f}']
            if percentiles is not None:
                percentile = percentiles[row['arch']]
                cells.append('-' if percentile is None else f'{percentile:.0f}')
            rows.append(cells)
    for name, found in kinds.items():
        cells = ['all', f'**{name}**', f'{len(found)} run(s)', '', '', '']
        cells.append(mean([row['test'] for row in found], 2))
        if percentiles is not None:
            known = [percentiles[row['arch']] for row in found]
            cells.append(mean([value for value in known if value is not None], 0))
        rows.append(cells)
    lines = ['| ' + ' | '.join(cells) + ' |' for cells in (titles, *rows)]
    return '\n'.join([lines[0], '|' + ' --- |' * len(titles), *lines[1:]]) + '\n'


def mean(values: list[float], digits: int) -> str:
    """The mean, and the standard deviation where there are several values."""
    if not values:
        return '-'
    spread = f' ± {np.std(values, ddof=1):.{digits}f}' if len(values) > 1 else ''
    return f'**{np.mean(values):.{digits}f}**{spread}'


if __name__ == '__main__':
    exit_at_sigterm()
    main()
