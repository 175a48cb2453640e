#!/usr/bin/env python
"""Searches and trains in one run (DSNAS): out comes a trained network, subnet.yaml and subnet.pth,
with no retraining.

    python tools/dsnas.py configs/dsnas/CONFIG.py

Run the same command again to resume, in either stage: what is done is kept, and a changed config is
refused.
"""

from pathlib import Path

from command_line import (
    add_data_check,
    hold_work_dir,
    parser,
    quiet_terminal,
    read_config,
    run_tool,
    say_what_is_next,
    shown_path,
)


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--amp', action='store_true', help='train in mixed precision')
    add_data_check(options)
    args = options.parse_args()
    quiet_terminal(args)

    from pinas_mm.engine.config import use_amp
    from pinas_mm.engine.data_check import check_data
    from pinas_mm.pipelines.dsnas import run_stages

    config = read_config(args)
    hold_work_dir(config)
    if args.amp:
        use_amp(config)
    if args.check_data:
        check_data(config)
    run_stages(config)
    subnet, weights = (Path(config.work_dir) / f'subnet.{kind}' for kind in ('yaml', 'pth'))
    arch = f'model.backbone.arch={shown_path(subnet)}'
    say_what_is_next(
        f'wrote {shown_path(config.work_dir)}: subnet.yaml, subnet.pth, dsnas.json',
        ('test it again', ['test', args.config, weights, '--cfg-options', arch]),
        ('export it', ['export', subnet, '--config', args.config]),
    )


if __name__ == '__main__':
    run_tool(main)
