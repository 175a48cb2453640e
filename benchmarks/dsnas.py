#!/usr/bin/env python
"""DSNAS against search-then-retrain, and against its own arch from scratch: the tables of
docs/results/dsnas.md.

    # data/cifar10
    python benchmarks/dsnas.py --work-dir work_dirs/dsnas --truth nas-bench-macro_cifar10.json \\
        --jobs 2

Per space and seed: a uniform supernet of N / 2 image passes, a search of 200 archs on it, and the
arch it finds trained from scratch with N passes; DSNAS with either reward, 1.4 N passes in all
(tools/dsnas.py), which takes about two thirds of that time; and its arch trained from scratch with
1.4 N passes. Test accuracies and the CPU seconds of all that led to them. What is finished is not
run again. Writes table.md and results.json."""

import argparse
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tool_runs import TOP, once, side_by_side, tool

from pinas_mm.child_processes import exit_at_sigterm
from pinas_mm.fileio import write_atomic
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.spaces import get_space
from pinas_mm.spaces.subnet_file import SubnetFile

BATCH = 128
# What DSNAS is given of the passes of a training: it then takes two thirds of the time of a search
# and a training, which the paper claims.
DSNAS_SHARE = 1.4
SPACES = {'nasbench-macro': 'nasbench_macro', 'shufflenetv2': 'shufflenetv2'}


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--work-dir', type=Path, required=True)
    options.add_argument(
        '--truth', type=Path, help='nas-bench-macro_cifar10.json, for the regret of the found archs'
    )
    options.add_argument('--spaces', nargs='+', choices=SPACES, default=list(SPACES))
    options.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    options.add_argument('--rewards', nargs='+', default=['linear', 'reinforce'])
    options.add_argument(
        '--passes', type=int, default=200_000, help='image passes of a training after a search, N'
    )
    options.add_argument(
        '--jobs', type=int, default=1, help='seeds side by side, each on one thread'
    )
    args = options.parse_args()
    args.work_dir = args.work_dir.resolve()
    tasks = [(space, seed) for space in args.spaces for seed in args.seeds]
    with side_by_side(args.jobs) as pool:
        rows = [row for rows in pool.map(lambda task: run(args, *task), tasks) for row in rows]
    text = table(rows)
    write_atomic(args.work_dir / 'table.md', lambda file: file.write(text.encode()))
    write_atomic(
        args.work_dir / 'results.json', lambda file: file.write(json.dumps(rows, indent=1).encode())
    )
    print(text)


def run(args: argparse.Namespace, space: str, seed: int) -> list[dict[str, Any]]:
    """One space and seed: a row per way to a trained network."""
    folder = args.work_dir / f'{space}-{args.passes}-{seed}'
    rows = [once(folder / 'spos.json', partial(spos, folder, space, seed, args.passes))]
    for reward in args.rewards:
        passes = round(DSNAS_SHARE * args.passes)
        found = once(
            folder / f'dsnas-{reward}.json', partial(dsnas, folder, space, seed, passes, reward)
        )
        rows.append(found)
        scratch = once(
            folder / f'scratch-{reward}.json',
            partial(from_scratch, folder / f'scratch-{reward}', space, seed, passes, found['arch']),
        )
        rows.append(dict(scratch, way=f'dsnas-{reward}, its arch from scratch'))
    if args.truth and space == 'nasbench-macro':
        truth = TruthTable.read(args.truth, get_space(SPACES[space]))
        best = max(truth.mean(arch) for arch in truth.networks())
        rows = [
            dict(
                row,
                regret=best - truth.mean(truth.space.canonical(truth.space.decode(row['arch']))),
            )
            for row in rows
        ]
    return [dict(row, space=space, seed=seed, passes=args.passes) for row in rows]


def dsnas(folder: Path, space: str, seed: int, passes: int, reward: str) -> dict[str, Any]:
    """Architecture and weights in one run."""
    iterations, work_dir = passes // BATCH, folder / f'dsnas-{reward}'
    shutil.rmtree(work_dir, ignore_errors=True)  # what a stop left
    seconds = tool(
        'dsnas.py',
        config(f'dsnas_{space}_1xb128-200k'),
        '--work-dir',
        work_dir,
        '--cfg-options',
        *length(iterations, seed),
        f'optim_wrapper.reward={reward}',
        f'optim_wrapper.arch_seed={seed}',
        f'custom_hooks.0.search={iterations // 3}',
        f'custom_hooks.0.warm_up={iterations // 15}',
    )
    found = json.loads((work_dir / 'dsnas.json').read_text())
    return dict(
        way=f'dsnas-{reward}',
        arch=found['arch'],
        macs=found['costs']['macs'],
        accuracy=found['metrics']['accuracy/top1'],
        seconds=seconds,
        search_iterations=found['search_iterations'],
    )


def spos(folder: Path, space: str, seed: int, passes: int) -> dict[str, Any]:
    """A uniform supernet, a search, the found arch from scratch."""
    iterations, search = passes // 2 // BATCH, config(f'spos-search_{space}')
    supernet = folder / 'supernet'
    shutil.rmtree(folder / 'search', ignore_errors=True)  # what a stop left
    seconds = tool(
        'train.py',
        search,
        '--work-dir',
        supernet,
        '--cfg-options',
        *length(iterations, seed),
        f'custom_hooks.0.seed={seed}',
    )
    seconds += tool(
        'search.py',
        search,
        supernet / f'iter_{iterations}.pth',
        '--work-dir',
        folder / 'search',
        '--cfg-options',
        f'search_loop.seed={seed}',
    )
    subnet = SubnetFile.read(folder / 'search/subnet.yaml')
    trained = from_scratch(
        folder / 'spos', space, seed, passes, get_space(subnet.space).encode(subnet.arch)
    )
    return dict(
        trained, way='uniform supernet, search, retrain', seconds=seconds + trained['seconds']
    )


def from_scratch(folder: Path, space: str, seed: int, passes: int, arch: str) -> dict[str, Any]:
    """One arch trained and tested."""
    iterations, scratch = passes // BATCH, config(f'scratch_{space}_1xb128-200k')
    chosen = f'model.backbone.arch=[{",".join(map(str, get_space(SPACES[space]).decode(arch)))}]'
    seconds = tool(
        'train.py',
        scratch,
        '--work-dir',
        folder,
        '--cfg-options',
        *length(iterations, seed),
        chosen,
    )
    tool(
        'test.py',
        scratch,
        folder / f'iter_{iterations}.pth',
        '--work-dir',
        folder / 'test',
        '--cfg-options',
        chosen,
    )
    results = sorted((folder / 'test').glob('*/*.json'))[-1]
    return dict(
        arch=arch, accuracy=json.loads(results.read_text())['accuracy/top1'], seconds=seconds
    )


def config(name: str) -> Path:
    return TOP / f'configs/dsnas/{name}_cifar10.py'


def length(iterations: int, seed: int) -> list[str]:
    return [
        f'train_cfg.max_iters={iterations}',
        f'param_scheduler.0.T_max={iterations}',
        f'randomness.seed={seed}',
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: per space and way, means and standard deviations over seeds; time against
    search-then-retrain of the same seed."""
    lines = [
        '| space | way | test accuracy (%) | CPU min | time against retraining | regret (%) | '
        'archs |',
        '|' + ' --- |' * 7,
    ]
    spans = {
        (row['space'], row['seed']): row['seconds']
        for row in rows
        if row['way'].startswith('uniform')
    }
    for space, way in dict.fromkeys((row['space'], row['way']) for row in rows):
        group = [row for row in rows if (row['space'], row['way']) == (space, way)]
        values = [
            [row['accuracy'] for row in group],
            [row['seconds'] / 60 for row in group],
            [row['seconds'] / spans[space, row['seed']] for row in group],
        ]
        regrets = [row['regret'] for row in group if 'regret' in row]
        cells = [
            spread(values[0], 2),
            spread(values[1], 1),
            spread(values[2], 2),
            spread(regrets, 2) if regrets else '-',
        ]
        lines.append(
            f'| {space} | {way} | '
            + ' | '.join(cells)
            + ' | '
            + ' '.join(row['arch'] for row in group)
            + ' |'
        )
    return '\n'.join(lines) + '\n'


def spread(values: list[float], digits: int) -> str:
    deviation = f' ± {np.std(values, ddof=1):.{digits}f}' if len(values) > 1 else ''
    return f'{np.mean(values):.{digits}f}{deviation}'


if __name__ == '__main__':
    exit_at_sigterm()
    main()
