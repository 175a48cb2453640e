#!/usr/bin/env python
"""Searches a trained supernet; writes subnet.yaml, subnet.pth, history.jsonl, pareto.json and two
plots to the work dir.

python tools/search.py configs/pinas/pinas_resnest50-search_in1k.py work_dirs/linear/epoch_100.pth
python tools/search.py configs/ranking/training-free-search_nasbench-macro_cifar10.py  # no supernet
python tools/search.py CONFIG CHECKPOINT --dry-run                     # what it will cost
python tools/search.py CONFIG CHECKPOINT --resume                      # after a stop
torchrun --nproc_per_node 8 tools/search.py CONFIG CHECKPOINT --launcher pytorch

Without --resume it starts a new search, and refuses a work dir that has one. With --resume it gives
the same result as a search that was not stopped, and refuses changed settings.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from command_line import (
    add_data_check,
    check_files,
    hold_work_dir,
    parser,
    quiet_terminal,
    read_config,
    run_tool,
    say_what_is_next,
    shown_path,
)

if TYPE_CHECKING:
    from mmengine.config import Config


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        'checkpoint',
        nargs='?',
        help='the supernet with its classifier (default: none, for a score that trains nothing)',
    )
    options.add_argument('--resume', action='store_true', help='resume the search in the work dir')
    options.add_argument(
        '--dry-run',
        action='store_true',
        help='forecast time, memory and disk from a short probe, and search nothing',
    )
    add_data_check(options)
    args = options.parse_args()
    quiet_terminal(args)

    from mmengine.dist import is_main_process

    from pinas_mm.engine.data_check import check_data
    from pinas_mm.engine.search_config import build_search, search_config

    config = search_config(read_config(args))
    check_files(args.checkpoint)
    if not args.dry_run:
        hold_work_dir(config)
    if args.check_data:
        check_data(config)
    runner = build_search(config, args.checkpoint, args.resume)
    if args.dry_run:
        loop = runner.build_test_loop(config.test_cfg)
        lines = loop.forecast().lines()
        lines += [f'costs    {loop.costs.range_text(name)}' for name in loop.costs.fixed]
        if is_main_process():
            print('\n'.join(lines))
    else:
        runner.test()
        say_what_came_out(args.config, args.checkpoint, config)


def say_what_came_out(name: str, checkpoint: str | None, config: 'Config') -> None:
    """Names the files of the search, and what takes the found network."""
    folder = Path(config.work_dir)
    files = ('subnet.yaml', 'subnet.pth', 'report.html', 'history.jsonl', 'pareto.json')
    written = [file for file in files if (folder / file).exists()]
    subnet, size = folder / 'subnet.yaml', config.test_cfg.input_size
    options = [f'model.backbone.arch={shown_path(subnet)}']
    if 'subnet.pth' in written:
        weights = shown_path(folder / 'subnet.pth')
        options.append(f'model.backbone.init_cfg.checkpoint={weights}')
    steps: list[tuple[str, list[object]]] = [
        ('train the found network', ['train', 'CONFIG_OF_THE_TRAINING', '--cfg-options', *options])
    ]
    if checkpoint is not None:
        size = [] if isinstance(size, list | tuple) else ['--input-size', size]
        steps += [
            ('test it as it is', ['test', name, checkpoint, '--arch', subnet]),
            ('export it', ['export', subnet, '--config', name, *size]),
        ]
    say_what_is_next(f'wrote {shown_path(folder)}: {", ".join(written)}', *steps)


if __name__ == '__main__':
    run_tool(main)
