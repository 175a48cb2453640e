#!/usr/bin/env python
"""How good the archs are that searchers find, on the true accuracies of NAS-Bench-Macro: regret
against archs asked.

    python benchmarks/searchers.py --table nas-bench-macro_cifar10.json --out docs/images

Regret is the best accuracy in the table minus the true accuracy of the arch that the searcher would
name: the one with the best score so far. Scores are the true accuracies, or those with Gaussian
noise as large as that of supernet scores: ``--noise`` is its standard deviation in points
(docs/search.md says where the default is from). An arch asked again would have the same score."""

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pinas_mm.child_processes import end_with_parent
from pinas_mm.fileio import write_atomic
from pinas_mm.search.searchers import Searcher
from pinas_mm.search.searchers.evolution import EvolutionSearcher
from pinas_mm.search.searchers.nsga2 import NSGA2Searcher
from pinas_mm.search.searchers.partition_tree import PartitionTreeSearcher
from pinas_mm.search.searchers.random import RandomSearcher
from pinas_mm.spaces import get_space

SPACE = get_space('nasbench_macro')
COLOURS = ('#999999', '#D55E00', '#E69F00', '#8C3A00', '#0072B2', '#56B4E9', '#009E73')


class Macs:
    """Every arch is allowed; MACs from the table."""

    def __init__(self, macs: dict[tuple[int, ...], float]) -> None:
        self.macs = macs

    def mask(self, archs: np.ndarray) -> np.ndarray:
        return np.ones(len(archs), bool)

    def cost(self, name: str, archs: np.ndarray) -> np.ndarray:
        return np.array([self.macs[tuple(arch)] for arch in np.asarray(archs).tolist()])


# "plain" is without the additive model.
SEARCHERS: dict[str, Callable[..., Searcher]] = dict(
    random=RandomSearcher,
    evolution=EvolutionSearcher,
    ageing=partial(EvolutionSearcher, ageing=True),
    evolution_plain=partial(EvolutionSearcher, additive=False),
    partition_tree=PartitionTreeSearcher,
    partition_tree_published=partial(PartitionTreeSearcher, published=True),
    nsga2=NSGA2Searcher,
)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--table', type=Path, required=True)
    options.add_argument('--seeds', type=int, default=20)
    options.add_argument(
        '--first-seed', type=int, default=1000, help='lower ones were used to choose defaults'
    )
    options.add_argument('--archs', type=int, default=500)
    options.add_argument(
        '--noise', type=float, default=1.0, help='standard deviation in points (default: 1.0)'
    )
    options.add_argument('--ask-sizes', type=int, nargs='+', default=[8, 16, 32, 64])
    options.add_argument('--processes', type=int, default=2)
    options.add_argument(
        '--out',
        type=Path,
        required=True,
        help='folder for searchers.json, searchers.md and the plots',
    )
    args = options.parse_args()
    regrets: dict[str, np.ndarray] = {}
    with ProcessPoolExecutor(args.processes, initializer=end_with_parent) as pool:
        for noise in (0.0, args.noise):
            for name in SEARCHERS:
                for ask_size in args.ask_sizes if name != 'random' else args.ask_sizes[:1]:
                    seeds = range(args.first_seed, args.first_seed + args.seeds)
                    runs = pool.map(
                        regret,
                        repeat(args.table),
                        repeat(name),
                        seeds,
                        repeat(noise),
                        repeat(ask_size),
                        repeat(args.archs),
                    )
                    regrets[f'{name} {ask_size} {noise:g}'] = np.array(list(runs))
                    print(
                        f'{name} {ask_size} {noise:g}',
                        regrets[f'{name} {ask_size} {noise:g}'][:, [99, 299]].mean(axis=0),
                        flush=True,
                    )
    args.out.mkdir(parents=True, exist_ok=True)
    text = table(regrets, args.noise) + '\n' + ask_times(args.table)
    write_atomic(args.out / 'searchers.md', lambda file: file.write(text.encode()))
    for noise in (0.0, args.noise):
        curves = {name: regrets[f'{name} {args.ask_sizes[0]} {noise:g}'] for name in SEARCHERS}
        plot(curves, noise, args.out / f'searchers_{"noisy" if noise else "true"}.png')
    print(text)


def regret(
    path: Path, name: str, seed: int, noise: float, ask_size: int, num_archs: int
) -> np.ndarray:
    """The regret after 1, 2, ... archs, ``(num_archs, )``."""
    rows = {tuple(map(int, arch)): row for arch, row in json.loads(path.read_text()).items()}
    truth = {arch: accuracy(row) for arch, row in rows.items()}
    best = max(truth.values())
    searcher = SEARCHERS[name](
        SPACE, Macs({arch: row['flops'] for arch, row in rows.items()}), seed=seed, budget=num_archs
    )
    rng = np.random.default_rng((seed, 1))
    scores, regrets = [], []
    named = None
    while len(regrets) < num_archs:
        archs = searcher.ask(ask_size)
        scores = [truth[arch] + noise * rng.standard_normal() for arch in archs]
        searcher.tell(archs, scores)
        for arch, score in zip(archs, scores):
            if named is None or score > named[0]:
                named = (score, arch)
            regrets.append(best - truth[named[1]])
    return np.array(regrets[:num_archs])


def accuracy(row: dict) -> float:
    return float(row['mean_acc'])


def table(regrets: dict[str, np.ndarray], noise: float) -> str:
    """Markdown: mean regret and its standard error at 100, 300 and 500 archs."""
    marks = [n for n in (100, 300, 500) if n <= len(next(iter(regrets.values()))[0])]
    lines = [
        '| searcher | ask_size | noise | ' + ' | '.join(f'regret at {n}' for n in marks) + ' |',
        '|' + ' --- |' * (3 + len(marks)),
    ]
    for key, runs in regrets.items():
        name, ask_size, level = key.split()
        cells = [
            f'{runs[:, n - 1].mean():.3f} ± {runs[:, n - 1].std(ddof=1) / np.sqrt(len(runs)):.3f}'
            for n in marks
        ]
        lines.append(f'| {name} | {ask_size} | {level} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def plot(curves: dict[str, np.ndarray], noise: float, path: Path) -> None:
    """Mean regret with its standard error."""
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axes = figure.subplots()
    for colour, (name, runs) in zip(COLOURS, curves.items()):
        mean, error = runs.mean(axis=0), runs.std(axis=0, ddof=1) / np.sqrt(len(runs))
        archs = np.arange(1, len(mean) + 1)
        axes.plot(archs, mean, color=colour, label=name)
        axes.fill_between(archs, mean - error, mean + error, color=colour, alpha=0.2, linewidth=0)
    axes.set(
        xlabel='archs asked',
        ylabel='regret (points of accuracy)',
        ylim=(0, 1.2),
        title=f'NAS-Bench-Macro, {len(runs)} seeds, '
        + (f'noise {noise:g} points' if noise else 'true accuracies'),
    )
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(color='#eeeeee')
    axes.legend(frameon=False)
    write_atomic(path, lambda file: figure.savefig(file, format='png', dpi=120))


def ask_times(path: Path) -> str:
    """CPU seconds of ``ask(50)`` from the tree with 3,200 archs told, in the resnest50 space, which
    is large enough for them."""
    space, rng = get_space('resnest50'), np.random.default_rng(0)
    times = []
    for seed in range(3):
        searcher = PartitionTreeSearcher(space, seed=seed)
        archs = list({space.sample(rng) for _ in range(3300)})[:3200]
        searcher.tell(archs, rng.standard_normal(3200).tolist())
        started = time.process_time(), time.perf_counter()
        assert len(searcher.ask(50)) == 50
        times.append((time.process_time() - started[0], time.perf_counter() - started[1]))
    return (
        'ask(50) of the tree with 3,200 archs told: '
        + ', '.join(f'{cpu:.2f} s CPU ({wall:.2f} s)' for cpu, wall in times)
        + '\n'
    )


if __name__ == '__main__':
    main()
