#!/usr/bin/env python
"""How good the archs are that real searches find under a limit on MACs, among all archs that cost
the same: the equal-cost percentile (docs/ranking.md), beside rules that train nothing.

    # data/cifar10
    python benchmarks/found.py --truth nas-bench-macro_cifar10.json --work-dir work_dirs/found \\
        --methods rare-identity training-free --archs 100 --jobs 2
    python benchmarks/found.py --space nasbench201 --truth cells.csv --work-dir W    # rules alone

A method is a strategy of configs/ranking/ with its shipped search,
configs/ranking/<strategy>-search_<space>_cifar10.py, or training-free. Each is trained once per
seed, as in benchmarks/ranking.py (whose trainings in the same work dir are taken), and searches
once per limit: nine limits, the 10th to 90th percentile of the MACs of all networks of the table.

Rules choose from the networks within 5 % below the same limits: any of them (random), the one with
the most MACs (largest), the one with the most layers (deepest), and of 100 drawn ones that with the
best NASWOT, or the best sum of layers and NASWOT. Where several are equal, their
mean counts.

An arch is judged among the networks within 5 % below its own MACs. The interval of a mean is a
bootstrap over seeds and limits, each drawn again with replacement. Runs whose arch is not in the
table, or has fewer than 20 others of equal cost, are left out and named.

What is finished is not run again; a search that was stopped resumes. Writes found.md and
found.json."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.runner import Runner
from ranking import STRATEGIES, config, run_folder, trained
from tool_runs import TOP, once, side_by_side, tool

from pinas_mm.child_processes import exit_at_sigterm
from pinas_mm.engine.config import load_config
from pinas_mm.engine.runner import build_runner
from pinas_mm.errors import InputError
from pinas_mm.fileio import write_atomic
from pinas_mm.models.backbones import supernet_of
from pinas_mm.pipelines.arch_ranking import arch_costs, minibatch
from pinas_mm.ranking.equal_cost import LEAST_CLASS, NUM_LIMITS, EqualCost
from pinas_mm.ranking.score_corrections import sum_of_places
from pinas_mm.ranking.training_free import training_free_scores
from pinas_mm.ranking.training_free.depth import depth
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.ranking.zero_cost import dead_last
from pinas_mm.spaces import Arch
from pinas_mm.spaces.subnet_file import SubnetFile

# Archs of a limit that NASWOT scores.
NASWOT_ARCHS = 100
DRAWN = ('naswot', 'depth + naswot')
# Has a search and no training.
TRAINING_FREE = 'training-free'


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--truth', type=Path, required=True, help='a table for the whole space')
    options.add_argument('--work-dir', type=Path, required=True)
    options.add_argument(
        '--space', default='nasbench-macro', help='the space as config files name it'
    )
    options.add_argument(
        '--methods',
        nargs='*',
        choices=[TRAINING_FREE, *STRATEGIES],
        default=[],
        help='(default: the rules alone)',
    )
    options.add_argument('--passes', type=int, default=200_000, help='image passes of a training')
    options.add_argument('--limits', type=int, default=NUM_LIMITS, help='how many')
    options.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    options.add_argument('--archs', type=int, default=100, help='archs that a search evaluates')
    options.add_argument(
        '--jobs', type=int, default=1, help='runs side by side, each on one thread'
    )
    args = options.parse_args()
    for method in args.methods:
        if not search_config(args.space, method).exists():
            options.error(
                f'--methods {method}: no search config '
                f'{search_config(args.space, method).relative_to(TOP)}'
            )
    runner, equal = equal_cost(
        config(args.space, 'uniform'), args.truth, args.work_dir / f'{args.space}-rules'
    )
    limits = limits_of(equal, args.limits)
    tasks = [(method, seed) for seed in args.seeds for method in args.methods]
    with side_by_side(args.jobs) as pool:
        trainings = [pool.submit(train, args, *task) for task in tasks]
        for training in trainings:
            training.result()
        searches = [
            pool.submit(search, args, equal, *task, limit) for task in tasks for limit in limits
        ]
        runs = [searching.result() for searching in searches]
    for limit in limits:
        runs += rules(equal, limit)
        runs += [
            entry for seed in args.seeds for entry in naswot_rules(args, runner, equal, limit, seed)
        ]
    text = table(runs)
    write_atomic(args.work_dir / 'found.md', lambda file: file.write(text.encode()))
    write_atomic(
        args.work_dir / 'found.json', lambda file: file.write(json.dumps(runs, indent=1).encode())
    )
    print(text)


def search_config(space: str, method: str) -> Path:
    return TOP / f'configs/ranking/{method}-search_{space}_cifar10.py'


def equal_cost(path: Path, truth: Path, work_dir: Path) -> tuple[Runner, EqualCost]:
    """A runner of a config, and the networks of a table with the MACs of its model.

    Raises:
        InputError: The config or the table cannot be read.
    """
    settings = load_config(path, {})
    settings.work_dir, settings.launcher, settings.log_level = str(work_dir), 'none', 'WARNING'
    runner = build_runner(settings)
    known = TruthTable.read(truth, supernet_of(runner.model).space)
    return runner, EqualCost(known, arch_costs(runner).array('macs', known.networks()))


def limits_of(equal: EqualCost, count: int) -> list[int]:
    """The limits with enough networks of equal cost.

    Raises:
        InputError: There is none.
    """
    limits = [int(limit) for limit in equal.limits(count)]
    enough = [limit for limit in limits if len(equal.within(limit)) > LEAST_CLASS]
    if not enough:
        raise InputError(
            f'{equal.table.source}: at none of the limits {limits} on MACs are there '
            f'{LEAST_CLASS} other networks of equal cost: expected a larger table'
        )
    for limit in set(limits) - set(enough):
        print(f'limit {limit} is left out: fewer than {LEAST_CLASS} other networks of equal cost')
    return enough


def train(args: argparse.Namespace, method: str, seed: int) -> dict[str, Any]:
    if method == TRAINING_FREE:
        return dict(train_seconds=0.0)
    folder = run_folder(args.work_dir, args.space, method, args.passes, seed)
    return trained(folder, args.space, method, args.passes, seed)


def search(
    args: argparse.Namespace, equal: EqualCost, method: str, seed: int, limit: int
) -> dict[str, Any]:
    """One search with a method's supernet, and how good the arch is that it found."""
    training = train(args, method, seed)
    folder = run_folder(args.work_dir, args.space, method, args.passes, seed)
    out = folder / f'search-{args.archs}-{limit}'
    resume = ['--resume'] if (out / 'history.jsonl').exists() else []
    searching = once(
        out / 'finished.json',
        lambda: dict(
            search_seconds=tool(
                'search.py',
                search_config(args.space, method),
                *([training['checkpoint']] if 'checkpoint' in training else []),
                '--work-dir',
                out,
                *resume,
                '--cfg-options',
                f'search_loop.constraints.macs={limit}',
                f'search_loop.num_archs={args.archs}',
                f'search_loop.seed={seed}',
            )
        ),
    )
    subnet = SubnetFile.read(out / 'subnet.yaml')
    found = judged(equal, [subnet.arch], [1.0])
    cost = dict(train_seconds=training['train_seconds'], **searching)
    return dict(method=method, seed=seed, limit=limit, macs=subnet.costs['macs'], **found, **cost)


def judged(equal: EqualCost, archs: Sequence[Arch], scores: Sequence[float]) -> dict[str, Any]:
    """The best-scored arch and its equal-cost percentile; of several, their number and their mean.
    Where there is no percentile, why."""
    best = [arch for arch, score in zip(archs, scores, strict=True) if score == max(scores)]
    encode = equal.table.space.encode
    name = encode(best[0]) if len(best) == 1 else f'{len(best)} archs'
    values, reason = [], None
    for arch in best:
        try:
            values.append(equal.percentile(arch))
        except InputError as error:
            reason = str(error)
    percentile = float(np.mean(values)) if values else None
    return dict(arch=name, percentile=percentile, left_out=reason)


def rules(equal: EqualCost, limit: int) -> list[dict[str, Any]]:
    """What the rules choose that know the costs and the archs alone."""
    members = equal.within(limit)
    archs = [equal.networks[i] for i in members]
    scores = dict(
        random=np.ones(len(members)),
        largest=equal.costs[members],
        deepest=depth(equal.table.space, archs),
    )
    return [
        dict(method=name, seed=None, limit=limit, **judged(equal, archs, values.tolist()))
        for name, values in scores.items()
    ]


def naswot_rules(
    args: argparse.Namespace, runner: Runner, equal: EqualCost, limit: int, seed: int
) -> list[dict[str, Any]]:
    """What the rules choose that score some of the archs by NASWOT; the seed draws these and the
    images."""
    members = equal.within(limit)
    rng = np.random.default_rng(seed)
    archs = [equal.networks[i] for i in rng.permutation(members)[:NASWOT_ARCHS]]

    def score() -> dict[str, float]:
        backbone, images = supernet_of(runner.model), minibatch(runner, seed)
        values = training_free_scores(backbone, archs, images, ['naswot'], seed)['naswot']
        return dict(zip(map(equal.table.space.encode, archs), dead_last(values).tolist()))

    by_arch = once(Path(runner.work_dir) / f'naswot-{limit}-{seed}.json', score)
    scores = np.array([by_arch[equal.table.space.encode(arch)] for arch in archs])
    layers = depth(equal.table.space, archs).astype(float)
    both = sum_of_places(dict(naswot=scores, depth=layers), dict(naswot=1, depth=1))
    return [
        dict(method=name, seed=seed, limit=limit, **judged(equal, archs, values.tolist()))
        for name, values in zip(DRAWN, (scores, both))
    ]


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown: for every method and rule the mean percentile, its interval, and the mean at each
    limit."""
    limits = sorted({run['limit'] for run in runs})
    methods = dict.fromkeys(run['method'] for run in runs)
    titles = ['method', 'seeds', 'equal-cost percentile [95 %]', 'CPU min, training + a search']
    titles += [f'{limit / 1e6:.2f} M' for limit in limits]
    lines = [
        'Equal-cost percentile of the arch found: mean over seeds and limits on MACs [95 % '
        'interval: bootstrap over both], and at each limit',
        '',
        '| ' + ' | '.join(titles) + ' |',
        '|' + ' --- |' * len(titles),
    ]
    for method in methods:
        found = [run for run in runs if run['method'] == method]
        seeds = list(dict.fromkeys(run['seed'] for run in found))
        percentiles = np.full((len(seeds), len(limits)), np.nan)
        for run in found:
            if run['percentile'] is not None:
                percentiles[seeds.index(run['seed']), limits.index(run['limit'])] = run[
                    'percentile'
                ]
        cells = [method, '-' if seeds == [None] else str(len(seeds)), interval(percentiles)]
        cells.append(
            ' + '.join(
                f'{np.mean([run[key] for run in found]) / 60:.1f}'
                for key in ('train_seconds', 'search_seconds')
            )
            if 'search_seconds' in found[0]
            else ''
        )
        for column in percentiles.T:
            known = column[~np.isnan(column)]
            cells.append(f'{known.mean():.1f}' if len(known) else '-')
        lines.append('| ' + ' | '.join(cells) + ' |')
    notes = [
        f'- {run["method"]}, seed {run["seed"]}, limit {run["limit"]}: {run["left_out"]}'
        for run in runs
        if run['left_out']
    ]
    return '\n'.join([*lines, '', *notes]) + '\n'


def interval(percentiles: np.ndarray, resamples: int = 2000) -> str:
    """The mean of ``(seeds, limits)``, NaN where there is none, and its 95 % interval: seeds and
    limits are both drawn again with replacement."""
    known = ~np.isnan(percentiles)
    if not known.any():
        return '-'
    rng, means = np.random.default_rng(0), []
    for _ in range(resamples):
        seeds, limits = (rng.integers(size, size=size) for size in percentiles.shape)
        drawn = percentiles[np.ix_(seeds, limits)]
        drawn = drawn[~np.isnan(drawn)]
        means += [drawn.mean()] if len(drawn) else []
    low, high = np.percentile(means, (2.5, 97.5))
    return f'{percentiles[known].mean():.1f} [{low:.1f}, {high:.1f}]'


if __name__ == '__main__':
    exit_at_sigterm()
    try:
        main()
    except InputError as error:
        sys.exit(f'error: {error}')
