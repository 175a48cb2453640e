#!/usr/bin/env python
"""Measures how consistent a trained supernet is over its paths: feature shift and parameter shift
per position (Pi-NAS, section 3).

Feature shift is how far a position's input, its statistics and the position's output move with the
other choices; parameter shift is how far the gradients of what paths share point apart. CONFIG is
that of a model with labels over the supernet, such as a linear or a search config; its learning
images are used. Two checkpoints of it are compared.

    python tools/consistency.py configs/pinas/pinas_nasbench-macro-search_cifar10.py \\
        work_dirs/linear/epoch_3.pth
    python tools/consistency.py CONFIG uniform.pth pinas.pth --names uniform pinas \\
        --plot consistency.png
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from command_line import (
    check_files,
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
        'checkpoints', nargs='+', help='one or two supernets with their classifiers'
    )
    options.add_argument('--names', nargs='+', help='what to call them (default: their paths)')
    options.add_argument(
        '--archs',
        type=whole_number(2),
        default=24,
        help='paths to compare, each with each (default: 24)',
    )
    options.add_argument(
        '--images',
        type=whole_number(1),
        default=64,
        help='images they are run on, one batch (default: 64)',
    )
    options.add_argument(
        '--seed', type=seed, default=0, help='seed of the paths, the images and their augmentation'
    )
    options.add_argument('--plot', help='PNG to write')
    args = options.parse_args()
    quiet_terminal(args)

    from pinas_mm.checkpoint import load_strict
    from pinas_mm.engine.loaders import seeded_loader
    from pinas_mm.engine.runner import build_runner
    from pinas_mm.errors import InputError
    from pinas_mm.fileio import write_atomic
    from pinas_mm.models.backbones import supernet_of
    from pinas_mm.ranking.consistency import draw_archs, measure_consistency
    from pinas_mm.visualization import plot_consistency

    names = args.names or args.checkpoints
    if len(args.checkpoints) > 2 or len(set(names)) != len(args.checkpoints):
        raise InputError(
            f'{" ".join(args.checkpoints)} --names {" ".join(names)}: expected one or two '
            'checkpoints, and a name of its own for each'
        )
    config = read_config(args)
    check_files(*args.checkpoints)
    hold_work_dir(config)
    if args.plot:
        hold_file(args.plot)
    config.load_from, config.resume = None, False
    if not config.get('train_dataloader'):
        raise InputError(f'{args.config}: no train_dataloader, from which the images come')
    runner = build_runner(config)
    space = supernet_of(runner.model).space
    (batch,) = seeded_loader(
        config.train_dataloader.to_dict()
        | dict(batch_size=args.images, num_workers=0, persistent_workers=False),
        1,
        args.seed,
        'train_dataloader',
        min_batch=args.images,  # the shifts are those of so many images
    )
    archs = draw_archs(space, args.archs, args.seed)
    supernets = {}
    for name, checkpoint in zip(names, args.checkpoints):
        load_strict(runner.model, checkpoint)
        supernets[name] = measure_consistency(runner.model, batch, archs)
    positions = {name: list(map(asdict, shifts)) for name, shifts in supernets.items()}
    for name in names:
        show(name, positions[name])
    out = Path(config.work_dir) / 'consistency.json'
    result = dict(
        config=Path(args.config).name,
        space=space.name,
        seed=args.seed,
        images=args.images,
        archs=archs,
        supernets=[
            dict(name=name, checkpoint=checkpoint, positions=positions[name])
            for name, checkpoint in zip(names, args.checkpoints)
        ],
    )
    write_atomic(out, lambda file: file.write(json.dumps(result, indent=1).encode()))
    if args.plot:
        plot_consistency(supernets, args.plot)
    plot = f', {shown_path(args.plot)}' if args.plot else ''
    say_what_is_next(f'wrote {shown_path(out)}{plot}')


def show(name: str, shifts: list[dict[str, Any]]) -> None:
    """Prints the table of a supernet, a row per position; the last row has the means over the
    positions."""
    from rich.console import Console
    from rich.table import Table

    columns = [column for column in shifts[0] if column not in ('position', 'stage')]
    table = Table(title=name)
    for title in ('position', *columns):
        table.add_column(title.replace('_', ' ').replace('cka', 'CKA'), justify='right')
    for shift in shifts:
        table.add_row(str(shift['position']), *(_number(shift[column]) for column in columns))
    table.add_section()
    known = [[shift[column] for shift in shifts if shift[column] is not None] for column in columns]
    table.add_row(
        'mean', *(_number(sum(values) / len(values) if values else None) for values in known)
    )
    Console(width=120).print(table)


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'


if __name__ == '__main__':
    run_tool(main)
