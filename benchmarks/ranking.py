#!/usr/bin/env python
"""How well supernets trained by each strategy order archs, at equal image passes: the table of
docs/results/ranking.md.

    # data/cifar10
    python benchmarks/ranking.py --truth nas-bench-macro_cifar10.json \\
        --work-dir work_dirs/ranking --jobs 2
    python benchmarks/ranking.py --space resnest50 --strategies uniform pinas-supervised pinas \\
        --truth truth.json --archs 40 --work-dir W

Trains each strategy of configs/ranking/ once per seed with tools/train.py, and ranks the same archs
with each by tools/rank.py. An image pass is the forward and backward pass of one image through one
path; a forward pass alone, as the teacher's, is a third. What is finished is not run again; what
was training starts again. Writes table.md, results.json and, per run, what rank.py writes."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from tool_runs import TOP, once, side_by_side, tool

from pinas_mm.child_processes import exit_at_sigterm
from pinas_mm.fileio import write_atomic
from pinas_mm.ranking.ranking import kendall_tau

BATCH = 128
# Image passes per image and step.
PASSES = {
    'uniform': 1,
    'uniform-subnet-aware': 1,
    'rare-identity': 1,
    'fair': 3,
    'fair-subnet-aware': 3,
    'sandwich': 4,
    'dna': 1 + 1 / 3,
    'bossnas': 3 * 2 * (1 + 1 / 3),
    **dict.fromkeys(
        ('pinas-supervised', 'pinas-supervised-subnet-aware', 'pinas-supervised-rare-identity'),
        2 + 2 / 3,
    ),
    **dict.fromkeys(('pinas', 'pinas-rare-identity'), 2 + 2 / 3),
    **dict.fromkeys(('pinas-linear', 'pinas-rare-identity-linear'), 1 / 3),
}
STRATEGIES = [name for name in PASSES if not name.endswith('-linear')]
BASELINES = (
    'macs',
    'params',
    'depth',
    'synflow',
    'naswot',
    'swap',
    'wrcor',
    'az_nas',
    'training-free',
)
# Of the image passes of pinas, what its linear classifier gets.
LINEAR_SHARE = 0.1


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        '--truth',
        type=Path,
        required=True,
        help='nas-bench-macro_cifar10.json, or a table of tools/make_truth.py',
    )
    options.add_argument('--work-dir', type=Path, required=True)
    options.add_argument(
        '--space', default='nasbench-macro', help='the space as config files name it'
    )
    options.add_argument('--strategies', nargs='+', choices=STRATEGIES, default=STRATEGIES)
    options.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    options.add_argument(
        '--passes',
        type=int,
        nargs='+',
        default=[200_000],
        help='image passes; several show how tau grows with them',
    )
    options.add_argument('--archs', type=int, default=120)
    options.add_argument(
        '--arch-seed', type=int, default=0, help='seed of the archs that are ranked'
    )
    options.add_argument(
        '--jobs', type=int, default=1, help='runs side by side, each on one thread'
    )
    args = options.parse_args()
    tasks = [
        (strategy, passes, seed)
        for seed in args.seeds
        for passes in args.passes
        for strategy in args.strategies
    ]
    with side_by_side(args.jobs) as pool:
        runs = list(pool.map(lambda task: run(args, *task), tasks))
    text = table(runs)
    write_atomic(args.work_dir / 'table.md', lambda file: file.write(text.encode()))
    results = [{key: value for key, value in found.items() if key != 'scored'} for found in runs]
    write_atomic(
        args.work_dir / 'results.json',
        lambda file: file.write(json.dumps(results, indent=1).encode()),
    )
    print(text)


def run(args: argparse.Namespace, strategy: str, passes: int, seed: int) -> dict[str, Any]:
    """One strategy, trained and ranked: its statistics for every ranker, and CPU seconds."""
    folder = run_folder(args.work_dir, args.space, strategy, passes, seed)
    training = trained(folder, args.space, strategy, passes, seed)
    out = folder / f'rank-{args.archs}-{args.arch_seed}'
    ranking = once(
        out / 'finished.json',
        lambda: dict(
            rank_seconds=tool(
                'rank.py',
                config(args.space, training['stage']),
                training['checkpoint'],
                '--truth',
                args.truth.resolve(),
                '--archs',
                args.archs,
                '--seed',
                args.arch_seed,
                '--sampling',
                'uniform',
                '--work-dir',
                out,
                '--plot',
                out / 'ranking.png',
            )
        ),
    )
    data = json.loads((out / 'ranking.json').read_text())
    return dict(
        strategy=strategy,
        passes=passes,
        seed=seed,
        **training,
        **ranking,
        **data['samples']['uniform'],
        scored=data['archs'],
    )


def run_folder(work_dir: Path, space: str, strategy: str, passes: int, seed: int) -> Path:
    """The folder of one training, and of what is done with it."""
    return work_dir.resolve() / f'{space}-{strategy}-{passes}-{seed}'


def trained(folder: Path, space: str, strategy: str, passes: int, seed: int) -> dict[str, Any]:
    """What :func:`train` returned, also when that was in an earlier run."""
    return once(folder / 'trained.json', lambda: train(folder, space, strategy, passes, seed))


def train(folder: Path, space: str, strategy: str, passes: int, seed: int) -> dict[str, Any]:
    """Trains a strategy; the last stage, its checkpoint, and CPU seconds."""
    unsupervised = f'{strategy}-linear' in PASSES
    shares = (
        {strategy: 1 - LINEAR_SHARE, f'{strategy}-linear': LINEAR_SHARE}
        if unsupervised
        else {strategy: 1.0}
    )
    checkpoint, seconds = None, 0.0
    for stage, share in shares.items():
        iterations = int(
            passes * share / PASSES[stage] / BATCH + 1e-6
        )  # whole ones, whatever thirds add up to
        overrides = [
            f'train_cfg.max_iters={iterations}',
            f'param_scheduler.0.T_max={iterations}',
            f'randomness.seed={seed}',
            arch_seed(stage, seed),
        ]
        if checkpoint is not None:
            overrides.append(f'model.backbone.init_cfg.checkpoint={checkpoint}')
        seconds += tool(
            'train.py',
            config(space, stage),
            '--work-dir',
            folder / stage,
            '--cfg-options',
            *overrides,
        )
        checkpoint = folder / stage / f'iter_{iterations}.pth'
    return dict(stage=stage, checkpoint=str(checkpoint), train_seconds=seconds)


def config(space: str, stage: str) -> Path:
    return TOP / f'configs/ranking/{stage}_{space}_1xb128-200k_cifar10.py'


def arch_seed(stage: str, seed: int) -> str:
    """The override that makes the sequence of archs that seed's: hook or model draws them."""
    drawn_by_hook = stage.startswith(('uniform', 'rare-identity', 'dna')) or stage.endswith(
        '-linear'
    )
    return f'custom_hooks.0.seed={seed}' if drawn_by_hook else f'model.arch_seed={seed}'


def resampled(
    runs: list[dict[str, Any]], resamples: int = 1000
) -> dict[tuple[str, int, str], np.ndarray]:
    """For each strategy, budget and ranker the mean tau over seeds, of all archs first and then of
    bootstrap samples of them.

    All runs have ranked the same archs, and all draws are the same for all: the differences of two
    rankers are paired."""
    archs = [entry['arch'] for entry in runs[0]['scored']]
    draws = [
        np.arange(len(archs)),
        *np.random.default_rng(0).integers(len(archs), size=(resamples, len(archs))),
    ]
    taus: dict[tuple[str, int, str], list[np.ndarray]] = {}
    for found in runs:
        entries = {entry['arch']: entry for entry in found['scored']}
        truth = np.array([entries[arch]['truth'] for arch in archs])
        for ranker in found['rankings']:
            scores = np.array([entries[arch]['scores'][ranker] for arch in archs])
            # A baseline is the same in every run.
            key = (
                ('any', 0, ranker)
                if ranker in BASELINES
                else (found['strategy'], found['passes'], ranker)
            )
            if ranker not in BASELINES or key not in taus:
                taus.setdefault(key, []).append(
                    np.array([kendall_tau(scores[draw], truth[draw]) for draw in draws])
                )
    return {key: np.mean(values, axis=0) for key, values in taus.items()}


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown: tau of every strategy (columns) and ranker (rows), and what the best one has over
    all others."""
    strategies = list(dict.fromkeys((found['strategy'], found['passes']) for found in runs))
    columns = {
        key: [found for found in runs if (found['strategy'], found['passes']) == key]
        for key in strategies
    }
    taus = resampled(runs)
    seeds = len({found['seed'] for found in runs})
    lines = [
        f'tau over {runs[0]["archs"]} archs: mean over {seeds} seed(s) ± standard deviation over '
        f'them, [95 % interval of that mean '
        f'over samples of archs]; ceiling {runs[0]["ceiling"]:.3f}',
        '',
        '| ranker | '
        + ' | '.join(f'{strategy}, {passes:,} passes' for strategy, passes in strategies)
        + ' |',
        '|' + ' --- |' * (1 + len(strategies)),
    ]
    for kind in ('train', 'rank'):
        minutes = [
            np.mean([found[f'{kind}_seconds'] for found in column]) / 60
            for column in columns.values()
        ]
        lines.append(
            f'| CPU min to {kind} | ' + ' | '.join(f'{value:.1f}' for value in minutes) + ' |'
        )
    rankers = dict.fromkeys(ranker for found in runs for ranker in found['rankings'])
    for ranker in sorted(rankers, key=lambda ranker: ranker in BASELINES):
        if ranker in BASELINES:
            lines.append(
                f'| {ranker} | {interval(taus["any", 0, ranker])}{" | " * len(strategies)}|'
            )
            continue
        cells = []
        for key, column in columns.items():
            if (*key, ranker) not in taus:  # DNA has no accuracy
                cells.append('')
                continue
            values = [found['rankings'][ranker]['tau']['value'] for found in column]
            values = [
                np.nan if tau is None else tau for tau in values
            ]  # undefined: all scores are equal
            deviation = f' ± {np.std(values, ddof=1):.3f}' if len(values) > 1 else ''
            cells.append(
                f'{np.mean(values):.3f}{deviation} '
                f'[{", ".join(map("{:.2f}".format, ends(taus[(*key, ranker)])))}]'
            )
        lines.append(f'| {ranker} | ' + ' | '.join(cells) + ' |')
    return '\n'.join([*lines, '', *differences(taus)]) + '\n'


def differences(taus: dict[tuple[str, int, str], np.ndarray]) -> list[str]:
    """What the best ranker without truths has over the best one of every other strategy and budget,
    and over the baselines."""
    untold = {
        key: values
        for key, values in taus.items()
        if not key[2].startswith('few_truths') and np.isfinite(values).all()
    }
    groups: dict[tuple, list[tuple[str, int, str]]] = {}
    for key in untold:
        groups.setdefault(key if key[2] in BASELINES else key[:2], []).append(key)
    best_of = [max(group, key=lambda key: untold[key][0]) for group in groups.values()]
    best = max(best_of, key=lambda key: untold[key][0])
    lines = [
        f'tau of {", ".join(map(str, best))} less that of the others, each by its best ranker [95 '
        f'% interval, paired over archs]:',
        '',
        '| other | its tau | difference |',
        '| --- | --- | --- |',
    ]
    for key in sorted(best_of, key=lambda key: -untold[key][0]):
        if key != best:
            name = key[2] if key[2] in BASELINES else f'{key[0]}, {key[1]:,} passes: {key[2]}'
            lines.append(
                f'| {name} | {untold[key][0]:.3f} | {interval(untold[best] - untold[key])} |'
            )
    return lines


def interval(values: np.ndarray) -> str:
    """A statistic, which comes first, and its 95 % interval over the bootstrap samples that
    follow."""
    low, high = ends(values)
    return f'{values[0]:.3f} [{low:.2f}, {high:.2f}]'


def ends(values: np.ndarray) -> tuple[float, float]:
    return tuple(np.nanpercentile(values[1:], (2.5, 97.5)))


if __name__ == '__main__':
    exit_at_sigterm()
    main()
