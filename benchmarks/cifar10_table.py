#!/usr/bin/env python
"""The README's table: on CIFAR-10, the searched subnet against archs of equal MACs, everything
fine-tuned alike.

    # data/cifar10/{train,test}/<class>/*.jpg
    python benchmarks/cifar10_table.py --work-dir work_dirs/cifar10

Runs the whole method once per seed with the shipped configs (about 20 minutes a seed on 2 cores)
and writes table.md. A seed whose results.json is there is not run again."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

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
    text = table(runs)
    write_atomic(args.work_dir / 'table.md', lambda file: file.write(text.encode()))
    print(text)


def table(runs: list[dict]) -> str:
    """Markdown: one row per fine-tuned arch, then the means over seeds."""
    lines = [
        '| seed | subnet | arch | params (M) | MACs (M) | search score | test accuracy (%) |',
        '|' + ' --- |' * 7,
    ]
    for run in runs:
        lines += [
            f'| {run["seed"]} | {row["name"]} | {row["arch"]} | {row["params"] / 1e6:.3f} | '
            f'{row["macs"] / 1e6:.2f} | '
            f'{row["score"]:.2f} | {row["test"]:.2f} |'
            for row in run['rows']
        ]
    kinds = {'searched': [], 'median-scored': [], 'random': []}
    for run in runs:
        for row in run['rows']:
            kinds[row['name'].rstrip(' 0123456789')].append(row['test'])
    for name, accuracies in kinds.items():
        spread = f' ± {np.std(accuracies, ddof=1):.2f}' if len(accuracies) > 1 else ''
        lines.append(
            f'| all | **{name}** | {len(accuracies)} run(s) | | | | '
            f'**{np.mean(accuracies):.2f}**{spread} |'
        )
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    exit_at_sigterm()
    main()
