#!/usr/bin/env python
"""Trains what a config says: a supernet without labels, its linear classifier, or a found subnet.

python tools/train.py configs/pinas/pinas_resnest50_8xb24-coslr-100e_in1k.py
python tools/train.py CONFIG --resume                                   # after a stop
torchrun --nproc_per_node 8 tools/train.py CONFIG --launcher pytorch

Without --resume it starts a new training.
"""

from command_line import add_data_check, check_files, hold_work_dir, parser, read_config, run_tool


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
    build_runner(config).train()


if __name__ == '__main__':
    run_tool(main)
