#!/usr/bin/env python
"""Trains what a config says: a supernet without labels, its linear classifier, or a found subnet.

python tools/train.py configs/pinas/pinas_resnest50_8xb24-coslr-100e_in1k.py
python tools/train.py CONFIG --resume                                   # after a stop
torchrun --nproc_per_node 8 tools/train.py CONFIG --launcher pytorch

Without --resume it starts a new training.
"""

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
    from mmengine.runner import Runner


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from a checkpoint (default: the latest)',
    )
    options.add_argument('--amp', action='store_true', help='train in mixed precision')
    options.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the actual total batch size',
    )
    add_data_check(options)
    args = options.parse_args()
    quiet_terminal(args)

    from pinas_mm.engine.config import use_amp, use_auto_scale_lr
    from pinas_mm.engine.data_check import check_data
    from pinas_mm.engine.runner import build_runner
    from pinas_mm.errors import InputError

    config = read_config(args)
    if not config.get('train_cfg'):
        raise InputError(f'{args.config}: train_cfg is missing, expected a config that trains')
    if args.resume:
        check_files(None if args.resume == 'auto' else args.resume)
        config.resume = True
        config.load_from = None if args.resume == 'auto' else args.resume
    hold_work_dir(config)
    if args.amp:
        use_amp(config)
    if args.auto_scale_lr:
        use_auto_scale_lr(config)
    if args.check_data:
        check_data(config)
    runner = build_runner(config)
    runner.train()
    say_what_came_out(args.config, config, runner)


def say_what_came_out(name: str, config: 'Config', runner: 'Runner') -> None:
    """Names the last checkpoint, and the tool that takes it."""
    from pinas_mm.engine.latest_checkpoint import last_checkpoint
    from pinas_mm.models.selfsup import PiNAS
    from pinas_mm.unwrap import unwrapped

    checkpoint = last_checkpoint(config.work_dir)
    if checkpoint is None:
        say_what_is_next(f'wrote {shown_path(config.work_dir)}: logs, and no checkpoint')
        return
    model = unwrapped(runner.model)
    backbone = getattr(model, 'backbone', None)
    steps: list[tuple[str, list[object]]] = []
    if isinstance(model, PiNAS):
        weights = f'model.backbone.init_cfg.checkpoint={shown_path(checkpoint)}'
        words = ['train', 'CONFIG_OF_THE_CLASSIFIER', '--cfg-options', weights]
        steps.append(('train its classifier', words))
    elif getattr(backbone, 'is_supernet', False):
        own = name if config.get('search_loop') else 'CONFIG_OF_THE_SEARCH'
        steps.append(('search the supernet', ['search', own, checkpoint]))
    elif config.get('test_cfg') is not None:
        steps.append(('test it', ['test', name, checkpoint]))
    say_what_is_next(f'wrote {shown_path(checkpoint)}', *steps)


if __name__ == '__main__':
    run_tool(main)
