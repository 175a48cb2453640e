#!/usr/bin/env python
"""Trains archs of a space from scratch under one schedule, and writes their test accuracies: the
truth for rankings.

CONFIG is one that trains a subnet; its arch and pretrained weights are left out, and its test set
gives the accuracies. The archs are drawn uniformly by --seed, one per distinct network. The table
is JSON of {arch: [accuracy of every repeat]} and grows with every training. Run the same command
again to resume, also with more --archs or --repeats: finished trainings are kept, and a changed
config, seed or limit is refused.

    python tools/make_truth.py \\
        configs/pinas/pinas_nasbench-macro-finetune_1xb128-coslr-2e_cifar10.py \\
        --out truth.json --jobs 2
    python tools/make_truth.py CONFIG --out truth.json --archs 80 --repeats 3 \\
        --constraints macs=4e6 --input-size 32
"""

import math
import time
from contextlib import closing
from datetime import timedelta

from command_line import (
    KeyValues,
    hold_file,
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


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        '--out', required=True, help='the table; <name>.meta.json beside it says how it was made'
    )
    options.add_argument(
        '--archs', type=whole_number(1), default=40, help='archs to train (default: 40)'
    )
    options.add_argument(
        '--repeats',
        type=whole_number(1),
        default=2,
        help='trainings of each, with other seeds; two tell the ceiling (default: 2)',
    )
    options.add_argument(
        '--seed', type=seed, default=0, help='seed of the draw and of the trainings'
    )
    options.add_argument(
        '--constraints',
        nargs='+',
        action=KeyValues,
        default=[],
        help='limits on the archs, such as macs=4e6 or macs=1e6,4e6',
    )
    options.add_argument(
        '--input-size',
        type=whole_number(1),
        help='side of the images in pixels, which --constraints are counted at',
    )
    options.add_argument(
        '--score',
        default='accuracy/top1',
        help='the test metric that is the accuracy in %% (default: accuracy/top1)',
    )
    options.add_argument(
        '--jobs',
        type=whole_number(1),
        default=1,
        help='processes that train at a time, sharing the CPU threads (default: 1)',
    )
    args = options.parse_args()
    quiet_terminal(args)

    from pinas_mm.costs import Limits
    from pinas_mm.engine.config import option_values
    from pinas_mm.errors import InputError
    from pinas_mm.pipelines.truth_training import (
        TruthFile,
        constraints_of,
        from_scratch,
        space_of,
        train_all,
    )
    from pinas_mm.ranking.ranking import tau_between_trainings
    from pinas_mm.schema import check
    from pinas_mm.searching.searchers import build_searcher

    constraints = check(Limits, option_values(args.constraints), key='--constraints')
    if constraints and not args.input_size:
        raise InputError(
            f'--constraints {constraints}: --input-size is needed, which costs depend on'
        )
    if args.launcher != 'none':
        raise InputError(
            f'--launcher {args.launcher}: archs are trained in a process each; --jobs says how '
            f'many at a time'
        )
    config = from_scratch(read_config(args))
    hold_file(args.out)
    hold_work_dir(config)  # where the trainings log
    space = space_of(config)
    feasible = constraints_of(config, constraints, args.input_size) if constraints else None
    table = TruthFile(
        args.out,
        config,
        dict(seed=args.seed, score=args.score, constraints=constraints, input_size=args.input_size),
    )
    archs = build_searcher(dict(type='random'), space, feasible, args.seed).ask(args.archs)
    if len(archs) < args.archs:
        print(
            f'the space has no more distinct networks within {feasible}: {len(archs)} instead of '
            f'{args.archs}'
        )
    left = table.left(archs, args.repeats)
    total, started = len(archs) * args.repeats, time.time()
    print(f'{total - len(left)} of {total} trainings are in {args.out}', flush=True)
    # Closed at once after Ctrl-C or an error, and its processes with it.
    with closing(train_all(config, left, args.seed, args.score, args.jobs)) as accuracies:
        for done, ((arch, repeat), accuracy) in enumerate(zip(left, accuracies), start=1):
            table.add(arch, accuracy)
            spent = time.time() - started
            print(
                f'{total - len(left) + done}/{total}  arch {space.encode(arch)}  repeat {repeat}  '
                f'{args.score}: {accuracy:.2f}  '
                f'{spent / done:.1f} s each  ETA '
                f'{timedelta(seconds=round(spent / done * (len(left) - done)))}',
                flush=True,
            )
    tau = tau_between_trainings([table.trainings[arch] for arch in archs])
    print(
        f'tau between repeats: {tau:.3f}, the ceiling'
        if not math.isnan(tau)
        else 'no ceiling: tau between repeats needs at least 10 archs with 2 trainings each, of '
        'unequal accuracies'
    )
    say_what_is_next(
        f'wrote {shown_path(args.out)}',
        (
            'rank a supernet by it',
            ['rank', 'CONFIG_OF_THE_CLASSIFIER', 'CHECKPOINT', '--truth', args.out],
        ),
    )


if __name__ == '__main__':
    run_tool(main)
