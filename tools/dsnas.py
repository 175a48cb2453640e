#!/usr/bin/env python
"""Searches and trains in one run (DSNAS): out comes a trained network, subnet.yaml and subnet.pth,
with no retraining.

python tools/dsnas.py configs/dsnas/CONFIG.py
python tools/dsnas.py configs/dsnas/CONFIG.py --resume        # after a stop, in either stage
"""

from command_line import parser, read_config, run_tool


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--resume', action='store_true', help='go on from what is in the work dir')
    options.add_argument('--amp', action='store_true', help='train in mixed precision')
    args = options.parse_args()

    from pinas_mm.engine.config import use_amp
    from pinas_mm.pipelines.dsnas import run_stages

    config = read_config(args)
    if args.amp:
        use_amp(config)
    run_stages(config, args.resume)


if __name__ == '__main__':
    run_tool(main)
