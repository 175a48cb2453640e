#!/usr/bin/env python
"""What limits a search of benchmarks/cheaper.py: how true the order of the supernet's scores is for
networks that are trained further, and how far these are apart.

    python benchmarks/cheaper_order.py classification --work-dir work_dirs/cheaper --seed 1

Draws archs within the limit at random, scores them as the search does with the supernet of a seed,
and trains each as the found one was: from the weights that it has in the supernet. Prints Kendall's
tau between score and test metric with its interval, that of MACs beside it, and the range of the
test metrics, with the found arch's among them. What is finished is not run again."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from cheaper import METRICS, add_target, prepare, train
from tool_runs import once, side_by_side

from pinas_mm.checkpoint import load_strict
from pinas_mm.child_processes import exit_at_sigterm
from pinas_mm.engine.config import load_config, option_values
from pinas_mm.engine.latest_checkpoint import last_checkpoint
from pinas_mm.engine.loaders import arch_evaluation
from pinas_mm.engine.runner import build_runner
from pinas_mm.engine.search_config import search_config
from pinas_mm.fileio import write_atomic
from pinas_mm.ranking.ranking import measure_ranking
from pinas_mm.searching.history import read_history


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_target(options)
    options.add_argument('--seed', type=int, default=1, help='that of the supernet')
    options.add_argument('--archs', type=int, default=20, help='10 or more')
    args = options.parse_args()
    prepare(args)
    folder = args.work_dir / f'order-{args.seed}'
    drawn = once(folder / 'drawn.json', lambda: dict(archs=score(args, folder)))['archs']

    def tested(index: int) -> float:
        path = folder / str(index)
        made = once(
            path / 'run.json',
            lambda: train(
                args, path, 'again', args.seed, drawn[index]['arch'], start=path / 'subnet.pth'
            ),
        )
        return made['test']

    with side_by_side(args.jobs) as pool:
        metric = np.array(list(pool.map(tested, range(len(drawn)))))
    found = json.loads((args.work_dir / f'searched-{args.seed}/run.json').read_text())['test']
    lines = [f'{len(drawn)} archs within {args.limit}, supernet of seed {args.seed}']
    for name in ('score', 'macs'):
        tau = measure_ranking([arch[name] for arch in drawn], metric).tau
        lines.append(f"Kendall's tau of {name}: {tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}]")
    lines += [
        f'{METRICS[args.target]} of the archs, lowest to highest: '
        + ' '.join(f'{value:.4g}' for value in sorted(metric)),
        f'the found arch: {found:.4g}, above {np.mean(metric < found):.0%} of them',
    ]
    text = '\n'.join(lines) + '\n'
    write_atomic(folder / 'order.txt', lambda file: file.write(text.encode()))
    print(text)


def score(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Draws archs within the limit, scores them and writes ``subnet.pth`` of each."""
    os.environ.update(args.environment)
    overrides: dict[str, Any] = {
        'search_loop.searcher.type': 'random',
        'search_loop.num_archs': args.archs,
        'search_loop.constraints': args.limit,
        'work_dir': str(folder / 'search'),
    }
    if args.latency is not None:
        overrides['search_loop.latency_table'] = str(args.latency.resolve())
    overrides |= option_values(args.given)
    config = search_config(load_config(args.config, overrides))
    config.arch_evaluation = arch_evaluation(config, training_set=True)
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
        config[key] = None
    for key in ('supernet_stage', 'subnet_stage'):
        config.pop(key, None)
    config.custom_hooks = []
    config.model.backbone.pop('init_cfg')
    runner = build_runner(config)
    supernet = last_checkpoint(args.work_dir / f'searched-{args.seed}/adapt/supernet')
    assert supernet is not None
    load_strict(runner.model, supernet)
    runner.test()
    loop = runner.test_loop
    history = read_history(loop.out_dir / 'history.jsonl', loop.backbone.space)[1]
    records = [record for record in history if record.stage == 'search']
    for index, record in enumerate(records):
        loop.save_subnet(record, folder / str(index))
    return [
        dict(arch=list(record.arch), score=record.score, macs=record.costs['macs'])
        for record in records
    ]


if __name__ == '__main__':
    exit_at_sigterm()
    main()
