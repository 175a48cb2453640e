#!/usr/bin/env python
"""Compares how a supernet, and what needs no supernet, order archs with their true accuracies;
writes ranking.json and ranking.md.

    python tools/rank.py CONFIG CHECKPOINT --truth nas-bench-macro_cifar10.json --archs 120 \\
        --plot ranking.png
    python tools/rank.py CONFIG --truth my_table.csv          # the zero-cost baselines alone

The config is that of the supernet with its classifier, or of its search; scores come from its
held-out split (val_dataloader). An arch takes one or two seconds on a CPU in the small CIFAR-10
configs; all samplings together are at most 600 archs."""

from pathlib import Path

from command_line import (
    check_files,
    hold_work_dir,
    parser,
    quiet_terminal,
    read_config,
    run_tool,
    say_what_is_next,
    seed,
    shown_path,
    whole_number,
)

MOST_ARCHS = 120
CLASS_ARCHS = 40
SAMPLINGS = ('uniform', 'stratified')
EQUAL_COST = 'equal-cost'


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
        type=whole_number(1),
        help='archs of the uniform and of the stratified sample (default: '
        f'{MOST_ARCHS}, or all where the table has fewer networks)',
    )
    options.add_argument(
        '--class-archs',
        type=whole_number(10),
        default=CLASS_ARCHS,
        metavar='N',
        help='archs of each of the nine classes of equal cost (default: '
        f'{CLASS_ARCHS}, or all where a class has fewer)',
    )
    options.add_argument(
        '--seed',
        type=seed,
        default=0,
        help='seed of the archs, the calibration samples and the intervals (default: 0)',
    )
    options.add_argument(
        '--sampling',
        choices=(*SAMPLINGS, EQUAL_COST, 'all'),
        default='all',
        help='how archs are drawn (default: all of these)',
    )
    options.add_argument(
        '--scores',
        nargs='+',
        metavar='NAME',
        help='metrics to rank by, higher is better (default: all measured)',
    )
    options.add_argument(
        '--few-truths',
        type=whole_number(0),
        default=30,
        metavar='N',
        help='true accuracies of other archs that the row few_truths learns from, 0 for none '
        '(default: 30)',
    )
    options.add_argument(
        '--plot', help='PNG to write: true accuracies against the scores of every ranker'
    )
    args = options.parse_args()
    quiet_terminal(args)

    import numpy as np
    from mmengine.dist import is_main_process

    from pinas_mm.checkpoint import load_strict
    from pinas_mm.console import say
    from pinas_mm.engine.runner import build_runner
    from pinas_mm.errors import InputError
    from pinas_mm.fileio import write_atomic
    from pinas_mm.models.backbones import supernet_of
    from pinas_mm.pipelines.arch_ranking import (
        all_rankers,
        arch_costs,
        archs_with_known_truth,
        check_ranking_config,
        dsnas_scores,
        metrics_by_name,
    )
    from pinas_mm.ranking.equal_cost import EqualCost
    from pinas_mm.ranking.few_truths import LEAST_TRUTHS
    from pinas_mm.ranking.ranking_report import (
        SHORT_TITLES,
        EqualCostReport,
        RankingReport,
        write_scores,
    )
    from pinas_mm.ranking.truth import TruthTable
    from pinas_mm.visualization import plot_rankings

    if args.few_truths != 0 and args.few_truths < LEAST_TRUTHS:
        raise InputError(
            f'--few-truths {args.few_truths}: expected at least {LEAST_TRUTHS}, or 0 for none'
        )
    if args.scores and not args.checkpoint:
        raise InputError(f'--scores {" ".join(args.scores)}: there are none without a checkpoint')
    config = read_config(args)
    check_ranking_config(config)
    check_files(args.truth, args.checkpoint)
    hold_work_dir(config)
    config.load_from, config.resume = None, False
    runner = build_runner(config)
    table = TruthTable.read(args.truth, supernet_of(runner.model).space)
    count = min(MOST_ARCHS, len(table.networks())) if args.archs is None else args.archs
    samples = {
        sampling: table.sample(count, args.seed, sampling)
        for sampling in SAMPLINGS
        if args.sampling in (sampling, 'all')
    }
    classes, left_out = [], []
    if args.sampling in (EQUAL_COST, 'all'):
        costs = arch_costs(runner, args.seed).array('macs', table.networks())
        classes, left_out = EqualCost(table, costs).draw(args.class_archs, args.seed)
        if not classes and args.sampling == EQUAL_COST:
            raise InputError(f'{args.truth}: {left_out[0]}')
    groups = [*samples.values(), *(members.archs for members in classes)]
    ranked = sorted({arch for archs in groups for arch in archs})
    trained = archs_with_known_truth(table, ranked, args.few_truths, args.seed)
    scores, learned = {}, None
    if args.checkpoint:
        load_strict(runner.model, args.checkpoint)
        scores = metrics_by_name(runner, [*ranked, *trained], args.seed, args.scores)
        learned = dsnas_scores(args.checkpoint, table.space, [*ranked, *trained])
    if not is_main_process():
        return
    rankers, macs = all_rankers(runner, table, ranked, trained, scores, args.seed)
    if learned is not None:
        rankers['dsnas'] = dict(zip([*ranked, *trained], learned))
    source = f'(seed {args.seed}), {args.checkpoint or "no checkpoint"}'
    reports: dict[str, RankingReport | EqualCostReport] = {}
    for sampling, archs in samples.items():
        title = f'{len(archs)} archs of {args.truth}, {sampling} {source}'
        reports[sampling] = RankingReport.measure(
            title,
            archs,
            table,
            {name: np.array([values[arch] for arch in archs]) for name, values in rankers.items()},
            args.seed,
        )
    if classes:
        title = (
            f'{len({arch for members in classes for arch in members.archs})} archs of '
            f'{args.truth}, in {len(classes)} classes of equal MACs {source}'
        )
        reports[EQUAL_COST] = EqualCostReport.measure(
            title, classes, left_out, table, rankers, args.seed
        )
    elif left_out:
        say(f'{EQUAL_COST} is left out: {left_out[0]}')
    for report in reports.values():
        short = isinstance(report, RankingReport)
        say(report.text(SHORT_TITLES) if short else report.text())
    text = '\n'.join(report.text() for report in reports.values())
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
    written = ['ranking.md, with all statistics', 'ranking.json']
    written += [args.plot] if args.plot else []
    steps = (
        [('search the supernet', ['search', 'CONFIG_OF_THE_SEARCH', args.checkpoint])]
        if args.checkpoint
        else []
    )
    say_what_is_next(f'wrote {shown_path(work_dir)}: {", ".join(written)}', *steps)


if __name__ == '__main__':
    run_tool(main)
