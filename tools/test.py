#!/usr/bin/env python
"""Tests a subnet, or any arch of a supernet (its BN is recalibrated first).

python tools/test.py configs/quickstart/finetune.py work_dirs/finetune/epoch_15.pth
python tools/test.py configs/quickstart/linear.py work_dirs/linear/epoch_10.pth \\
    --arch 22212220 --arch subnet.yaml
"""

from command_line import check_files, parser, quiet_terminal, read_config, run_tool


def main() -> None:
    options = parser(__doc__)
    options.add_argument('checkpoint', help='the trained model')
    options.add_argument(
        '--arch',
        action='append',
        help='an arch of the supernet: 22212220, 3,0,1,3 or subnet.yaml; may be given again',
    )
    args = options.parse_args()
    quiet_terminal(args)

    from pinas_mm.checkpoint import load_strict
    from pinas_mm.engine import ArchTestLoop
    from pinas_mm.engine.runner import build_runner
    from pinas_mm.errors import InputError
    from pinas_mm.registry import LOOPS, class_of
    from pinas_mm.unwrap import unwrapped

    config = read_config(args)
    check_files(args.checkpoint)
    config.load_from = None
    config.resume = False
    if args.arch:
        if 'arch_evaluation' not in config:
            raise InputError(
                f'{args.config}: --arch needs arch_evaluation = dict(calibration_dataloader=..., '
                f'calibration_batches=...)'
            )
        config.test_cfg = dict(type='pinas_mm.ArchTestLoop', archs=args.arch)
    if config.get('test_cfg') is None:
        raise InputError(f'{args.config}: test_cfg is missing, expected a config that tests')
    runner = build_runner(config)
    supernet = getattr(getattr(unwrapped(runner.model), 'backbone', None), 'is_supernet', False)
    loop = class_of(config.test_cfg, LOOPS, config.get('default_scope'))
    if supernet and not issubclass(loop, ArchTestLoop):
        raise InputError(f'{args.config}: its model is a supernet; name an arch of it with --arch')
    load_strict(runner.model, args.checkpoint)
    runner.test()


if __name__ == '__main__':
    run_tool(main)
