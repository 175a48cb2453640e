#!/usr/bin/env python
"""Compares how a supernet, and what needs no supernet, order archs with their true accuracies;
writes ranking.json and ranking.md.

    python tools/rank.py CONFIG CHECKPOINT --truth nas-bench-macro_cifar10.json --archs 120 \\
        --plot ranking.png
    python tools/rank.py CONFIG --truth my_table.csv          # the zero-cost baselines alone

The config is that of the supernet with its classifier, or of its search; scores come from its
held-out split (val_dataloader)."""

from pathlib import Path

import numpy as np
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from pinas_mm.checkpoint import load_strict
from pinas_mm.engine.command_line import build_runner, non_negative, parser, read_config, run_tool
from pinas_mm.errors import InputError
from pinas_mm.fileio import write_atomic
from pinas_mm.models.backbones import supernet_of
from pinas_mm.pipelines.arch_ranking import (
    baseline_scores,
    check_ranking_config,
    dsnas_scores,
    supernet_scores,
)
from pinas_mm.ranking.few_truths import LEAST_TRUTHS, POOL, FewTruths, archs_to_train
from pinas_mm.ranking.ranking_report import RankingReport, write_scores
from pinas_mm.ranking.score_corrections import joined, macs_corrected, smoothed
from pinas_mm.ranking.truth import SAMPLINGS, TruthTable
from pinas_mm.search.search import Failure
from pinas_mm.spaces import Arch
from pinas_mm.visualization import plot_rankings

MOST_ARCHS = 120


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        'checkpoint',
        nargs='?',
        help='the supernet with its classifier (default: none, the baselines alone)',
    )
    options.add_argument('--truth', required=True, help='table of true accuracies: JSON or CSV')
    options.add_argument(
        '--archs',
        type=int,
        help=f'archs to compare (default: {MOST_ARCHS}, or all where the table has fewer networks)',
    )
    options.add_argument(
        '--seed',
        type=non_negative,
        default=0,
        help='seed of the archs, the calibration samples and the intervals (default: 0)',
    )
    options.add_argument(
        '--sampling',
        choices=(*SAMPLINGS, 'both'),
        default='both',
        help='how archs are drawn (default: both)',
    )
    options.add_argument(
        '--scores',
        nargs='+',
        metavar='NAME',
        help='metrics to rank by, higher is better (default: all measured)',
    )
    options.add_argument(
        '--few-truths',
        type=int,
        default=30,
        metavar='N',
        help='true accuracies of other archs that the row few_truths learns from, 0 for none '
        '(default: 30)',
    )
    options.add_argument(
        '--plot', help='PNG to write: true accuracies against the scores of every ranker'
    )
    args = options.parse_args()
    if args.few_truths != 0 and args.few_truths < LEAST_TRUTHS:
        raise InputError(
            f'--few-truths {args.few_truths}: expected at least {LEAST_TRUTHS}, or 0 for none'
        )
    if args.scores and not args.checkpoint:
        raise InputError(f'--scores {" ".join(args.scores)}: there are none without a checkpoint')
    config = read_config(args)
    check_ranking_config(config)
    config.load_from, config.resume = None, False
    config.log_level = 'WARNING'  # the table is what one wants to read
    runner = build_runner(config)
    table = TruthTable.read(args.truth, supernet_of(runner.model).space)
    count = min(MOST_ARCHS, len(table.networks())) if args.archs is None else args.archs
    samples = {
        sampling: table.sample(count, args.seed, sampling)
        for sampling in SAMPLINGS
        if args.sampling in (sampling, 'both')
    }
    ranked = sorted({arch for archs in samples.values() for arch in archs})
    trained = trained_archs(table, ranked, args.few_truths, args.seed)
    scores, learned = {}, None
    if args.checkpoint:
        load_strict(runner.model, args.checkpoint)
        scores = measured(runner, [*ranked, *trained], args.seed, args.scores)
        learned = dsnas_scores(args.checkpoint, table.space, [*ranked, *trained])
    if not is_main_process():
        return
    rankers, macs = all_rankers(runner, table, ranked, trained, scores, args.seed)
    if learned is not None:
        rankers['dsnas'] = dict(zip([*ranked, *trained], learned))
    reports = {}
    for sampling, archs in samples.items():
        title = (
            f'{len(archs)} archs of {args.truth}, {sampling} (seed {args.seed}), '
            f'{args.checkpoint or "no checkpoint"}'
        )
        reports[sampling] = RankingReport.measure(
            title,
            archs,
            table,
            {name: np.array([values[arch] for arch in archs]) for name, values in rankers.items()},
            args.seed,
        )
    text = '\n'.join(report.text() for report in reports.values())
    print(text)
    work_dir = Path(config.work_dir)
    write_atomic(work_dir / 'ranking.md', lambda file: file.write(text.encode()))
    write_scores(
        work_dir / 'ranking.json',
        reports,
        table,
        macs,
        dict(
            config=args.config,
            checkpoint=args.checkpoint,
            truth=args.truth,
            seed=args.seed,
            trained=[table.space.encode(arch) for arch in trained],
        ),
    )
    if args.plot:
        report = next(iter(reports.values()))
        plot_rankings(
            report.scores,
            {name: ranking.tau.value for name, ranking in report.rankings.items()},
            report.truth,
            [macs[arch] for arch in report.archs],
            args.plot,
        )


def trained_archs(table: TruthTable, ranked: list[Arch], count: int, seed: int) -> list[Arch]:
    """Archs of the table whose true accuracy a ranker may know: none of those that are ranked, or
    none where the table has too few."""
    others = sorted(set(table.networks()) - set(ranked))
    if count > len(others):
        print(
            f'few_truths is left out: {len(others)} networks of the table are not ranked, {count} '
            f'asked'
        )
        return []
    drawn = np.random.default_rng(seed).permutation(len(others))[: max(POOL, count)]
    return archs_to_train(table.space, [others[i] for i in drawn], count)


def measured(
    runner: Runner, archs: list[Arch], seed: int, names: list[str] | None
) -> dict[str, np.ndarray]:
    """The supernet's scores of archs by metric, ``(len(archs), )`` each.

    Raises:
        InputError: An arch could not be evaluated, there is no such metric, or one is not finite.
    """
    space = supernet_of(runner.model).space
    results = supernet_scores(runner, archs, seed)
    failed = [
        (arch, result.error) for arch, result in zip(archs, results) if isinstance(result, Failure)
    ]
    if failed:
        arch, error = failed[0]
        raise InputError(
            f'{len(failed)} of {len(archs)} archs could not be evaluated, the first is '
            f'{space.encode(arch)}: {error}'
        )
    known = list(results[0])
    for name in names or []:
        if name not in known:
            raise InputError(f'--scores {name}: expected one of {known}')
    for name in names or known:
        wrong = [arch for arch, result in zip(archs, results) if not np.isfinite(result[name])]
        if wrong:
            raise InputError(
                f'{name} of {len(wrong)} of {len(archs)} archs is not a finite number, the first '
                f'is '
                f'{space.encode(wrong[0])}: the supernet has diverged; --scores names other metrics'
            )
    return {name: np.array([result[name] for result in results]) for name in names or known}


def all_rankers(
    runner: Runner,
    table: TruthTable,
    ranked: list[Arch],
    trained: list[Arch],
    scores: dict[str, np.ndarray],
    seed: int,
) -> tuple[dict[str, dict[Arch, float]], dict[Arch, float]]:
    """Every ranker's scores by arch, and MACs by arch."""
    archs, space = [*ranked, *trained], table.space
    costs, baselines = baseline_scores(runner, archs, seed)
    macs = costs.array('macs', archs).astype(float)
    rankers = dict(scores)
    smooth = {name: smoothed(space, archs, values) for name, values in scores.items()}
    rankers |= {f'{name}, smoothed': values for name, values in smooth.items()}
    rankers |= {
        f'{name}, MACs corrected': macs_corrected(values, macs) for name, values in scores.items()
    }
    rankers |= {
        f'{name}, smoothed + naswot': joined(values, baselines['naswot'])
        for name, values in smooth.items()
    }
    rankers |= baselines
    if trained:
        features = np.stack([*scores.values(), *baselines.values()], axis=1)
        model = FewTruths(
            space, trained, [table.mean(arch) for arch in trained], features[len(ranked) :]
        )
        rankers[f'few_truths ({len(trained)})'] = model.predict(archs, features)
    return {name: dict(zip(archs, values)) for name, values in rankers.items()}, dict(
        zip(archs, macs)
    )


if __name__ == '__main__':
    run_tool(main)
