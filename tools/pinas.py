#!/usr/bin/env python
"""Runs the whole Pi-NAS method from four configs, trains the found subnet in further ones, and
prints tables.

Learn without labels, train the linear classifier, search, fine-tune the found subnet with its
inherited weights, and fine-tune archs of equal cost (MACs within 5 %) the same way: the
median-scored of nine drawn at random, and the first --random of the others. With two or more of
these the table ends with their mean and standard deviation, which is what to compare with. Where
the fine-tuning config has model.backbone.init_cfg=None, as the quick start's, all of them start
from random weights instead.

    python tools/pinas.py configs/quickstart/{learn,linear,search,finetune}.py \\
        --work-dir work_dirs/quickstart
    python tools/pinas.py configs/quickstart/{learn,linear,search,finetune}.py \\
        --work-dir work_dirs/quickstart \\
        --transfer configs/quickstart/detect.py configs/quickstart/segment.py

Each --transfer is a training config of any mm package whose model has a searchable backbone; it is
trained with the found subnet and its inherited weights, then tested. Its data must be there: for
the two above, python tools/digit_scenes.py data/digit_scenes.

Values of a config are changed for one stage with --STAGE.KEY=VALUE, and for all four with
--cfg-options KEY=VALUE:

    python tools/pinas.py ... --learn.train_cfg.max_epochs=1 --search.search_loop.num_archs=48

Run the same command again to resume: what is done is kept, and a changed config is refused.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from command_line import (
    add_data_check,
    add_overrides,
    add_verbose,
    plain_parser,
    quiet_terminal,
    run_tool,
    say_what_is_next,
    seed,
    shown_path,
    whole_number,
)

STAGES = ('learn', 'linear', 'search', 'finetune')
# What is shown of a transfer's metrics; results.json has all.
HEADLINES = ('mAP', 'mIoU', 'accuracy/top1')


def main() -> None:
    options = plain_parser(__doc__)
    for stage in STAGES:
        options.add_argument(stage, type=Path, help=f'config of the {stage} stage')
    options.add_argument('--work-dir', type=Path, required=True)
    options.add_argument('--seed', type=seed, default=0)
    options.add_argument(
        '--random',
        type=whole_number(0),
        default=1,
        help='random archs of equal cost to fine-tune (default: 1)',
    )
    options.add_argument(
        '--transfer',
        type=Path,
        nargs='+',
        default=[],
        help='configs that put the found subnet to use',
    )
    add_overrides(options, "overrides for all configs but the transfers'")
    add_data_check(options)
    add_verbose(options)
    options.add_argument_group(
        'overrides for one stage',
        f'--STAGE.KEY=VALUE, such as --learn.train_cfg.max_epochs=1; STAGE is one of '
        f'{", ".join(STAGES)}; beats --cfg-options',
    )
    rest, changes = stage_options(options, sys.argv[1:])
    args = options.parse_args(rest)
    quiet_terminal(args)

    from pinas_mm.engine.config import option_values
    from pinas_mm.engine.latest_checkpoint import last_checkpoint
    from pinas_mm.errors import InputError
    from pinas_mm.fileio import write_atomic
    from pinas_mm.folder_lock import hold
    from pinas_mm.pipelines.pinas import Pipeline

    configs = {stage: getattr(args, stage) for stage in STAGES} | {
        path.stem: path for path in args.transfer
    }
    if len(configs) < len(STAGES) + len(args.transfer):
        raise InputError(
            f'--transfer {" ".join(map(str, args.transfer))}: names of files that differ from '
            f'each other and from {STAGES} '
            'expected, since each has its folder in the work dir'
        )
    hold(args.work_dir)
    started = time.time()
    pipeline = Pipeline(
        configs,
        args.work_dir,
        args.seed,
        option_values(args.cfg_options),
        {stage: option_values(values) for stage, values in changes.items()},
    )
    if args.check_data:
        pipeline.check_data()
    results = dict(
        seed=args.seed,
        configs={stage: str(path) for stage, path in configs.items()},
        rows=pipeline.run(args.random),
    )
    show(results['rows'], args.work_dir)
    for path in args.transfer:
        results.setdefault('transfers', {})[path.stem] = pipeline.transfer(path.stem)
    write_atomic(
        args.work_dir / 'results.json',
        lambda file: file.write(json.dumps(results, indent=1).encode()),
    )
    if args.transfer:
        show(results['rows'], args.work_dir)
        show_transfers(results['transfers'])
    print(f'whole run: {(time.time() - started) / 60:.1f} minutes')
    subnet = args.work_dir / 'search/subnet.yaml'
    checkpoint = last_checkpoint(args.work_dir / 'finetune/searched')
    weights = ['--checkpoint', checkpoint] if checkpoint else []
    say_what_is_next(
        f'wrote {shown_path(args.work_dir)}: results.json, search/subnet.yaml, and a folder for '
        f'each training',
        ('export the found network', ['export', subnet, *weights, '--config', args.finetune]),
    )


def stage_options(
    options: argparse.ArgumentParser, arguments: Sequence[str]
) -> tuple[list[str], dict[str, list[str]]]:
    """Splits the command line into what argparse knows and the options ``--STAGE.KEY=VALUE``, as
    ``KEY=VALUE`` by stage. A key or stage that is none ends the program as argparse does."""
    rest: list[str] = []
    changes: dict[str, list[str]] = {}
    for argument in arguments:
        if not (found := re.match(r'--(\w+)\.(.*)', argument, re.DOTALL)):
            rest.append(argument)
            continue
        stage, change = found.groups()
        if stage not in STAGES:
            options.error(f'{argument}: unknown stage {stage!r}, expected one of {STAGES}')
        if not re.match(r'[^=\s]+=', change):
            options.error(
                f'{argument}: expected --{stage}.KEY=VALUE, such as '
                f'--{stage}.train_cfg.max_epochs=1'
            )
        changes.setdefault(stage, []).append(change)
    return rest, changes


def show(rows: list[dict], work_dir: Path) -> None:
    """Prints the table."""
    from rich.console import Console
    from rich.table import Table

    from pinas_mm.pipelines.pinas import random_summary

    table = Table(title=f'Pi-NAS: {work_dir}')
    for title in ('', 'arch', 'params (M)', 'MACs (M)', 'search score', 'test accuracy (%)'):
        table.add_column(title, justify='left' if title in ('', 'arch') else 'right')
    for row in rows:
        table.add_row(
            row['name'],
            row['arch'],
            f'{row["params"] / 1e6:.3f}',
            f'{row["macs"] / 1e6:.2f}',
            f'{row["score"]:.2f}',
            f'{row["test"]:.2f}',
        )
    if drawn := random_summary(rows):
        table.add_row(
            f'random (mean of {drawn.number} ± standard deviation)',
            *[''] * 4,
            f'{drawn.mean:.2f} ± {drawn.deviation:.2f}',
        )
    Console(width=120).print(table)


def show_transfers(transfers: dict[str, dict[str, float]]) -> None:
    """Prints the headline metrics of the transfers, as their evaluators give them: COCO's from 0 to
    1, mmseg's in %."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title='The found subnet as backbone, on its test set')
    for title in ('config', 'metric', 'value'):
        table.add_column(title, justify='right' if title == 'value' else 'left')
    for name, metrics in transfers.items():
        headline = [key for key in metrics if key.endswith(HEADLINES)] or list(metrics)
        for key in headline:
            table.add_row(name, key, f'{metrics[key]:.3f}')
    Console(width=120).print(table)


if __name__ == '__main__':
    run_tool(main)
