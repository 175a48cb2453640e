#!/usr/bin/env python
"""How good the archs are that searchers find, on the true accuracies of NAS-Bench-Macro: regret
against archs asked.

    python benchmarks/searchers.py --table nas-bench-macro_cifar10.json --out docs/images

Regret is the best accuracy in the table minus the true accuracy of the arch that is named: the one
with the best score so far, or, as a search does it, the one of which most is to be expected
(pinas_mm.searching.search.by_posterior_mean). Scores are the true accuracies, or those with
Gaussian noise as large as that of supernet scores: ``--noise`` is its standard deviation in points
(docs/results/searching.md says where the default is from). An arch asked again would have the same
score."""

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
from pinas_mm.searching.history import Record
from pinas_mm.searching.score import Score
from pinas_mm.searching.search import by_posterior_mean, ranked
from pinas_mm.searching.searchers import Searcher
from pinas_mm.searching.searchers.evolution import EvolutionSearcher
from pinas_mm.searching.searchers.nsga2 import NSGA2Searcher
from pinas_mm.searching.searchers.partition_tree import PartitionTreeSearcher
from pinas_mm.searching.searchers.random import RandomSearcher
from pinas_mm.spaces import get_space

SPACE = get_space('nasbench_macro')
MARKS = (100, 300, 500)
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
                        regrets[f'{name} {ask_size} {noise:g}'][:, :, marks(args.archs)].mean(0),
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
    """The regret after 1, 2, ... archs, ``(2, num_archs)``: of the best score, and of the arch of
    which most is to be expected, which is NaN but at the marks."""
    rows = {tuple(map(int, arch)): row for arch, row in json.loads(path.read_text()).items()}
    truth = {arch: accuracy(row) for arch, row in rows.items()}
    searcher = SEARCHERS[name](
        SPACE, Macs({arch: row['flops'] for arch, row in rows.items()}), seed=seed, budget=num_archs
    )
    rng = np.random.default_rng((seed, 1))
    score, records = Score('score'), []
    while len(records) < num_archs:
        archs = searcher.ask(min(ask_size, num_archs - len(records)))
        scores = [truth[arch] + noise * rng.standard_normal() for arch in archs]
        searcher.tell(archs, scores)
        first = len(records)
        records += [
            Record(first + i, arch, value, dict(score=value))
            for i, (arch, value) in enumerate(zip(archs, scores))
        ]
    named = [ranked(records[: n + 1])[0] for n in range(num_archs)]
    found = np.full((2, num_archs), np.nan)
    found[0] = [truth[record.arch] for record in named]
    for mark in marks(num_archs):
        found[1, mark] = truth[by_posterior_mean(SPACE, records[: mark + 1], score)[0].arch]
    return max(truth.values()) - found


def marks(num_archs: int) -> list[int]:
    """The indices of the archs after which the tables say the regret."""
    return [mark - 1 for mark in MARKS if mark <= num_archs]


def accuracy(row: dict) -> float:
    return float(row['mean_acc'])


def table(regrets: dict[str, np.ndarray], noise: float) -> str:
    """Markdown: mean regret and its standard error at the marks, by both ways to name the arch."""
    at = marks(next(iter(regrets.values())).shape[-1])
    lines = [
        '| searcher | ask_size | noise | '
        + ' | '.join(f'{way} at {mark + 1}' for mark in at for way in ('best score', 'expected'))
        + ' |',
        '|' + ' --- |' * (3 + 2 * len(at)),
    ]
    for key, runs in regrets.items():
        name, ask_size, level = key.split()
        values = np.concatenate([runs[:, :, mark] for mark in at], axis=1)
        errors = values.std(axis=0, ddof=1) / np.sqrt(len(runs))
        cells = [f'{mean:.3f} ± {error:.3f}' for mean, error in zip(values.mean(axis=0), errors)]
        lines.append(f'| {name} | {ask_size} | {level} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def plot(curves: dict[str, np.ndarray], noise: float, path: Path) -> None:
    """Mean regret of the best score with its standard error; circles are of the arch of which most
    is to be expected."""
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axes = figure.subplots()
    for colour, (name, runs) in zip(COLOURS, curves.items()):
        best, expected = runs[:, 0], runs[:, 1]
        mean, error = best.mean(axis=0), best.std(axis=0, ddof=1) / np.sqrt(len(runs))
        archs = np.arange(1, len(mean) + 1)
        axes.plot(archs, mean, color=colour, label=name)
        axes.fill_between(archs, mean - error, mean + error, color=colour, alpha=0.2, linewidth=0)
        at = marks(len(mean))
        axes.plot(archs[at], expected[:, at].mean(axis=0), 'o', color=colour)
    axes.plot([], [], 'o', color='#555555', label='named by posterior mean')
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
