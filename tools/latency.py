#!/usr/bin/env python
"""Measures the latency of every (position, candidate) of a supernet on this device, and checks the
sums on whole subnets.

python tools/latency.py configs/pinas/pinas_resnest50-search_in1k.py --images 1 3 224 224 \\
    --out latency.json
python tools/search.py CONFIG CHECKPOINT \\
    --cfg-options search_loop.latency_table=latency.json search_loop.constraints.latency=12.5
"""

import sys

from command_line import (
    hold_file,
    parser,
    quiet_terminal,
    read_config,
    run_tool,
    seed,
    whole_number,
)

# Of predictions as a whole, before a limit has to make up for it.
MOST_BIAS = 0.05
DTYPES = ('float32', 'bfloat16', 'float16')


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        '--images',
        type=whole_number(1),
        nargs=4,
        metavar=('N', 'C', 'H', 'W'),
        required=True,
        help='shape of a batch to be served',
    )
    options.add_argument(
        '--backbone', action='store_true', help='time the backbone alone, without neck and heads'
    )
    options.add_argument('--dtype', choices=DTYPES, default='float32')
    options.add_argument(
        '--threads', type=whole_number(1, 1024), help='CPU threads (default: those torch takes)'
    )
    options.add_argument(
        '--rounds',
        type=whole_number(3),
        default=31,
        help='timings per entry, of which the median counts (default: 31)',
    )
    options.add_argument(
        '--check',
        type=whole_number(3),
        default=20,
        help='whole subnets to check the table on (default: 20)',
    )
    options.add_argument('--seed', type=seed, default=0, help='seed of those subnets')
    options.add_argument('--out', required=True, help='file to write')
    args = options.parse_args()
    quiet_terminal(args)

    import torch
    from rich.progress import Progress

    from pinas_mm.costs.latency import measure_latency
    from pinas_mm.engine.runner import build_runner

    if args.threads:
        torch.set_num_threads(args.threads)
    config = read_config(args)
    hold_file(args.out)
    config.load_from, config.resume = None, False
    model = build_runner(config).model
    images = torch.randn(args.images, device=next(model.parameters()).device)
    if not torch.cuda.is_available():
        images = images.to(memory_format=torch.channels_last)
    with Progress(transient=True) as progress:
        task = progress.add_task('measuring')
        latency = measure_latency(
            model.backbone if args.backbone else model,
            images,
            getattr(torch, args.dtype),
            args.rounds,
            args.check,
            args.seed,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    latency.write(args.out)
    check = latency.check
    print('  predicted   measured (ms), on subnets the table was not made from')
    for subnet in check['subnets']:
        print(
            f'  {subnet["predicted"]:9.3f}  {subnet["measured"]:9.3f}  '
            f'{model.backbone.space.encode(subnet["arch"])}'
        )
    print(
        f'median error {check["median_error"]:.1%}, largest {check["largest_error"]:.1%}, '
        f'rank correlation {check["rank_correlation"]:.3f}  -> {args.out}'
    )
    if abs(bias := latency.bias) > MOST_BIAS:
        slower, change = ('more', 'lower') if bias > 0 else ('less', 'higher')
        print(
            f'warning: {args.out}: whole subnets take {abs(bias):.0%} {slower} than the table '
            f'says: set a limit that much {change}',
            file=sys.stderr,
        )
    if doubt := latency.doubt():
        print(f'warning: {args.out}: {doubt}', file=sys.stderr)


if __name__ == '__main__':
    run_tool(main)
