#!/usr/bin/env python
"""Compares how a supernet, and what needs no supernet, order archs with their true accuracies;
writes ranking.json, ranking.md and report.html.

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

# As in pinas_mm.pipelines.arch_ranking, which takes seconds to import.
MOST_ARCHS, CLASS_ARCHS, FEW_TRUTHS = 120, 40, 30
SAMPLINGS = ('uniform', 'stratified', 'equal-cost', 'all')


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
        choices=SAMPLINGS,
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
        default=FEW_TRUTHS,
        metavar='N',
        help='true accuracies of other archs that the row few_truths learns from, 0 for none '
        f'(default: {FEW_TRUTHS})',
    )
    options.add_argument(
        '--plot', help='PNG to write: true accuracies against the scores of every ranker'
    )
    args = options.parse_args()
    quiet_terminal(args)

    from pinas_mm.console import say
    from pinas_mm.engine.run_notes import noted_warnings
    from pinas_mm.engine.runner import build_runner
    from pinas_mm.errors import InputError
    from pinas_mm.pipelines.arch_ranking import check_ranking_config, rank_archs
    from pinas_mm.ranking.few_truths import LEAST_TRUTHS
    from pinas_mm.ranking.ranking_report import SHORT_TITLES, RankingReport
    from pinas_mm.visualization import plot_rankings
    from pinas_mm.visualization.ranking_report_page import write_ranking_report
    from pinas_mm.visualization.report_page import report_after_run
    from pinas_mm.visualization.run_facts import RunFacts, command_line, package_versions, unique

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
    with noted_warnings(runner.logger) as warned:
        found = rank_archs(
            runner,
            args.truth,
            args.checkpoint,
            archs=args.archs,
            class_archs=args.class_archs,
            sampling=args.sampling,
            scores=args.scores,
            few_truths=args.few_truths,
            seed=args.seed,
        )
    if found is None:
        return
    for note in found.notes:
        say(note)
    for report in found.reports.values():
        short = isinstance(report, RankingReport)
        say(report.text(SHORT_TITLES) if short else report.text())
    found.write(config.work_dir, args.config)
    facts = RunFacts(
        kind='ranking',
        space=found.table.space.name,
        command=command_line(),
        config=args.config,
        versions=package_versions(),
        warnings=unique([*warned, *found.notes]),
    )

    def write_report(folder: Path) -> Path:
        facts.write(folder)
        return write_ranking_report(folder)

    report_after_run(write_report, Path(config.work_dir), runner.logger)
    if args.plot:
        report = next(iter(found.reports.values()))
        plot_rankings(
            report.scores,
            {name: ranking.tau.value for name, ranking in report.rankings.items()},
            report.truth,
            [found.macs[arch] for arch in report.archs],
            args.plot,
        )
    written = ['report.html', 'ranking.md, with all statistics', 'ranking.json']
    written += [args.plot] if args.plot else []
    steps = (
        [('search the supernet', ['search', 'CONFIG_OF_THE_SEARCH', args.checkpoint])]
        if args.checkpoint
        else []
    )
    say_what_is_next(f'wrote {shown_path(config.work_dir)}: {", ".join(written)}', *steps)


if __name__ == '__main__':
    run_tool(main)
