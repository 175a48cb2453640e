#!/usr/bin/env python
"""Adapts architecture and weights of a supernet together to the task of a config, and compares with
other ways to spend the same budget.

Fine-tunes the supernet on the target with sampled archs, searches it by the target's metric on a
held-out part of its training set, and fine-tunes the found subnet from the weights it has. Then the
same number of operations goes into (a) the source's best arch, (b) the found arch from scratch, (c)
the found arch started from the source arch's weights.

    # an elastic backbone: from the pretrained network that its init_cfg names
    python tools/adapt.py configs/adapt/CONFIG.py --until subnet
    # any other: from a supernet trained on the source
    python tools/adapt.py CONFIG --supernet source/epoch_100.pth --until subnet
    # with the comparison
    python tools/adapt.py CONFIG --supernet source/epoch_100.pth --source-arch source/subnet.yaml

Run the same command again to resume: what is done is kept, and a changed config is refused. The
work dir has a folder per step, search/subnet.yaml, the adapted network's checkpoint in subnet/, and
adapt.json."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from command_line import (
    add_data_check,
    check_files,
    hold_work_dir,
    parser,
    quiet_terminal,
    read_config,
    run_tool,
    say_what_is_next,
    seed,
    shown_path,
)

if TYPE_CHECKING:
    from rich.table import Table

# As the table shows them: their title, their name and their unit.
COSTS = (
    ('MACs (M)', 'macs', 1e6),
    ('backbone MACs (M)', 'backbone_macs', 1e6),
    ('params (M)', 'params', 1e6),
    ('latency by its table (ms)', 'latency', 1),
)
STEPS = ('supernet', 'search', 'subnet', 'compare')


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        '--supernet',
        help="checkpoint of the source's supernet, trained with or without labels (default: an "
        'elastic backbone with the weights of its own init_cfg)',
    )
    options.add_argument(
        '--source-arch',
        help="the source's best arch: a subnet.yaml, or the arch as text (default without "
        '--supernet: the whole network)',
    )
    options.add_argument(
        '--until',
        choices=STEPS,
        default=STEPS[-1],
        help='the last step to run (default: %(default)s)',
    )
    options.add_argument('--seed', type=seed, help="seed of every step (default: the config's)")
    options.add_argument('--amp', action='store_true', help='train in mixed precision')
    add_data_check(options)
    args = options.parse_args()
    quiet_terminal(args)

    from mmengine.dist import is_main_process

    from pinas_mm.engine.config import use_amp
    from pinas_mm.engine.data_check import check_data
    from pinas_mm.pipelines.adaptation import Adaptation

    config = read_config(args)
    if args.supernet is not None:
        check_files(args.supernet)
    hold_work_dir(config)
    if args.amp:
        use_amp(config)
    if args.check_data:
        check_data(config)
    report = Adaptation(config, args.supernet, args.source_arch, args.seed).run(args.until)
    if is_main_process():
        show(report, config.work_dir)
    say_what_came_out(args.until, config.work_dir)


def show(report: dict[str, Any], work_dir: str) -> None:
    """Prints the report."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=100)
    steps = Table(title=f'Adaptation: {work_dir}')
    for title in ('step', 'minutes', 'operations (1e9 MACs)'):
        steps.add_column(title, justify='left' if title == 'step' else 'right')
    for name, step in report['steps'].items():
        steps.add_row(name, f'{step["seconds"] / 60:.1f}', f'{step["operations"] / 1e9:,.1f}')
    console.print(steps)
    if 'slots' in report:
        changed = [slot for slot in report['slots'] if slot['source'] != slot['found']]
        console.print(
            f'{report["source_arch"]} -> {report["arch"]}: {len(changed)} of '
            f'{len(report["slots"])} slots differ'
        )
        if 'rows' in report:
            found = next(iter(report['rows'].values()))['costs']
            for title, cost, unit in COSTS:
                if cost in found:
                    before, now = report['source_costs'][cost] / unit, found[cost] / unit
                    console.print(f'{title}: {before:,.2f} -> {now:,.2f} ({now / before:.0%})')
        slots = Table()
        for title in ('slot', 'source', 'found'):
            slots.add_column(title)
        for slot in changed:
            slots.add_row(str(slot['slot']), slot['source'], slot['found'])
        console.print(slots)
    if 'rows' in report:
        console.print(test_table(report['rows']))


def say_what_came_out(until: str, work_dir: str) -> None:
    """Names the adapted network, and what takes it."""
    from pinas_mm.engine.latest_checkpoint import last_checkpoint

    folder = Path(work_dir)
    if until in STEPS[:2]:
        following = STEPS[STEPS.index(until) + 1]
        say_what_is_next(
            f'wrote {shown_path(folder)}: {until}/, adapt.json; run the same command again with '
            f'--until {following}, or without, to go on'
        )
        return
    checkpoint, subnet = last_checkpoint(folder / 'subnet'), folder / 'search/subnet.yaml'
    say_what_is_next(
        f'wrote {shown_path(folder)}: adapt.json, report.html, and the adapted network: '
        f'{shown_path(str(checkpoint))}, its model.backbone.arch: {shown_path(subnet)}',
        ('export its backbone', ['export', subnet, '--checkpoint', checkpoint, '--formats', 'mm']),
    )


def test_table(rows: dict[str, Any]) -> 'Table':
    """A column for every trained network: what it costs, what was spent on it, its metrics."""
    from rich.table import Table

    columns = list(rows.values())
    table = Table('', title='On the test set')
    for name in rows:
        table.add_column(name, justify='right')
    for title, cost, unit in COSTS:
        if cost in columns[0]['costs']:
            values = [row['costs'][cost] / unit for row in columns]
            table.add_row(title, *(f'{value:,.2f}' for value in values))
    table.add_row('minutes', *(f'{row["seconds"] / 60:.1f}' for row in columns))
    table.add_row('operations (1e9 MACs)', *(f'{row["operations"] / 1e9:,.1f}' for row in columns))
    table.add_section()
    for metric in dict.fromkeys(name for row in columns for name in row['metrics']):
        table.add_row(metric, *(f'{row["metrics"][metric]:.3f}' for row in columns))
    return table


if __name__ == '__main__':
    run_tool(main)
