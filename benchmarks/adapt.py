#!/usr/bin/env python
"""Joint adaptation against other ways to spend its budget, from a supervised and an unsupervised
supernet: the table of docs/results/adapt.md.

    python benchmarks/adapt_data.py --cifar10 data/cifar10 --bccd data/bccd --out data/adapt
    python benchmarks/adapt.py --data data/adapt --work-dir work_dirs/adapt --jobs 2
    python benchmarks/adapt.py --data data/adapt --work-dir work_dirs/adapt \\
        --targets domains detection --kinds supervised

The learning rates were chosen on other images than the test set's, from a source of another seed:

    python benchmarks/adapt.py --data data/adapt --work-dir work_dirs/adapt --targets objects \\
        --kinds supervised --seeds 9 --dev --lr 0.2

Per seed and kind: a supernet of the source (tools/train.py), the source's best arch by a search on
it, and tools/adapt.py on every target. The target `domains` is noisy digits without labels beside
grey ones with them, `detection` Faster R-CNN on BCCD (data/bccd). What is finished is not run
again. Writes table.md and results.json of the targets, kinds and seeds asked."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from tool_runs import TOP, ahead, once, side_by_side, tool

from pinas_mm.child_processes import exit_at_sigterm
from pinas_mm.engine.config import load_config, option_values
from pinas_mm.fileio import write_atomic
from pinas_mm.pipelines.adaptation import COMPARISONS, JOINT, Adaptation

BATCH = 128
# Image passes per image and step, as benchmarks/ranking.py counts them.
PASSES = {'rare-identity': 1, 'pinas-rare-identity': 2 + 2 / 3, 'pinas-rare-identity-linear': 1 / 3}
MACS = 4e6
# Epochs of the supernet's and of the subnet's fine-tuning: most of the budget is the subnet's.
TARGETS = dict(objects=(15, 60), digits=(4, 20), cells=(6, 30))
# Where the images to choose settings by are.
DEV = dict(objects='dev', domains='noisy_dev')
# What the searches spend: about as much as the supernet's fine-tuning.
SEARCH = ['search_loop.num_archs=40', 'search_loop.calibration_batches=2']
METRICS = dict(detection='coco/bbox_mAP')
# Images of half the config's size, with anchors for cells of half the size.
SMALL_IMAGES = [
    'train_dataloader.dataset.pipeline.2.scale=(160,120)',
    'val_dataloader.dataset.pipeline.1.scale=(160,120)',
    'test_dataloader.dataset.pipeline.1.scale=(160,120)',
    'search_loop.input_size=(120,160)',
    'model.rpn_head.anchor_generator.scales=[2]',
    'model.roi_head.bbox_roi_extractor.finest_scale=14',
]


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--data', type=Path, required=True, help='folder of adapt_data.py')
    options.add_argument('--work-dir', type=Path, required=True)
    options.add_argument(
        '--targets', nargs='+', choices=[*TARGETS, 'domains', 'detection'], default=list(TARGETS)
    )
    options.add_argument(
        '--kinds',
        nargs='+',
        choices=('supervised', 'unsupervised'),
        default=['supervised', 'unsupervised'],
    )
    options.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    options.add_argument(
        '--passes', type=int, default=300_000, help="image passes of a source's supernet"
    )
    options.add_argument(
        '--dev',
        action='store_true',
        help='test on images to choose settings by (targets objects and domains)',
    )
    options.add_argument(
        '--lr', type=float, help="learning rate of all ways (default: the config's)"
    )
    options.add_argument(
        '--jobs', type=int, default=1, help='seeds and kinds side by side, each on one thread'
    )
    args = options.parse_args()
    if args.dev and not set(args.targets) <= DEV.keys():
        options.error(
            f'--dev: --targets {" ".join(args.targets)}, expected some of {" ".join(DEV)}'
        )
    args.work_dir, args.data = args.work_dir.resolve(), args.data.resolve()
    with side_by_side(args.jobs) as pool:
        found = pool.map(
            lambda task: run(args, *task),
            [(kind, seed) for seed in args.seeds for kind in args.kinds],
        )
        rows = [row for rows in found for row in rows]
    text = table(rows)
    print(text)
    if not args.dev and args.lr is None:
        write_atomic(args.work_dir / 'table.md', lambda file: file.write(text.encode()))
        write_atomic(
            args.work_dir / 'results.json',
            lambda file: file.write(json.dumps(rows, indent=1).encode()),
        )


def run(args: argparse.Namespace, kind: str, seed: int) -> list[dict[str, Any]]:
    """All targets from one supernet: a row per target and way."""
    folder = args.work_dir / f'{kind}-{args.passes}-{seed}'
    source = once(
        folder / 'source.json',
        lambda: train_source(folder, args.data / 'source', kind, args.passes, seed),
    )
    rows = []
    for target in args.targets:
        name = target + '-dev' * args.dev + (f'-lr{args.lr}' if args.lr else '')
        once(
            folder / f'{name}.json',
            lambda target=target, name=name: adapt(args, folder / name, source, kind, target, seed),
        )
        report = json.loads((folder / name / 'adapt.json').read_text())
        differ = sum(slot['source'] != slot['found'] for slot in report['slots'])
        rows += [
            dict(
                target=target,
                kind=kind,
                seed=seed,
                way=way,
                metric=row['metrics'][METRICS.get(target, 'accuracy/top1')],
                macs=row['costs']['macs'],
                operations=row['operations'],
                arch=row['arch'],
                differ=differ,
            )
            for way, row in report['rows'].items()
        ]
    return rows


def train_source(folder: Path, data: Path, kind: str, passes: int, seed: int) -> dict[str, Any]:
    """A supernet of the source, and the arch that a search on it finds."""

    def train(stage: str, share: float, *overrides: str) -> Path:
        iterations = int(passes * share / PASSES[stage] / BATCH)
        tool(
            'train.py',
            TOP / f'configs/ranking/{stage}_nasbench-macro_1xb128-200k_cifar10.py',
            '--work-dir',
            folder / stage,
            '--cfg-options',
            f'train_cfg.max_iters={iterations}',
            f'param_scheduler.0.T_max={iterations}',
            f'randomness.seed={seed}',
            *overrides,
            PINAS_DATA=f'{data}/',
        )
        return folder / stage / f'iter_{iterations}.pth'

    if kind == 'supervised':
        supernet = classifier = train('rare-identity', 1.0, f'custom_hooks.0.seed={seed}')
        config, learned = 'ranking/rare-identity-search_nasbench-macro_cifar10.py', []
    else:
        supernet = train('pinas-rare-identity', 0.9, f'model.arch_seed={seed}')
        learned = [f'model.backbone.init_cfg.checkpoint={supernet}']
        classifier = train(
            'pinas-rare-identity-linear', 0.1, f'custom_hooks.0.seed={seed}', *learned
        )
        config = 'pinas/pinas_nasbench-macro-search_cifar10.py'
    tool(
        'search.py',
        TOP / 'configs' / config,
        classifier,
        '--work-dir',
        folder / 'search',
        '--cfg-options',
        f'search_loop.seed={seed}',
        f'search_loop.constraints.macs={MACS}',
        'search_loop.num_archs=80',
        'search_loop.calibration_batches=2',
        *learned,
        PINAS_DATA=f'{data}/',
    )
    return dict(supernet=str(supernet), arch=str(folder / 'search/subnet.yaml'))


def adapt(
    args: argparse.Namespace,
    folder: Path,
    source: dict[str, Any],
    kind: str,
    target: str,
    seed: int,
) -> dict[str, float]:
    """One target; its CPU seconds."""
    data = args.data / target
    overrides = [f'optim_wrapper.optimizer.lr={args.lr}'] if args.lr else []
    if args.dev:
        overrides.append(f'test_dataloader.dataset.data_prefix={DEV[target]}')
    if target in TARGETS:
        supernet_epochs, epochs = TARGETS[target]
        form = 'classification' if kind == 'supervised' else 'classification-linear'
        config = f'{form}_nasbench-macro_1xb64-10e_folder'
        overrides += [
            'search_loop.score_samples=None',
            *lengths(supernet_epochs, epochs),
            *SEARCH,
            f'held_out={held_out(data)}',
        ]
        macs = MACS
    elif target == 'domains':
        config = 'uda-dann_nasbench-macro_1xb64-300i_digit-domains'
        overrides += [*lengths(100, 300, 'max_iters'), *SEARCH]
        macs = MACS
    else:
        config = 'faster-rcnn_nasbench-macro_fpn_1xb8-6e_bccd'
        overrides += [
            *lengths(2, 8, scheduler=1),
            'search_loop.num_archs=16',
            'search_loop.calibration_batches=4',
            *SMALL_IMAGES,
        ]
        # What the source's arch costs here: neck and heads cost more than the backbone.
        macs = detector_macs(config, overrides, source, folder)
    return dict(
        seconds=tool(
            'adapt.py',
            TOP / f'configs/adapt/{config}.py',
            '--supernet',
            source['supernet'],
            '--source-arch',
            source['arch'],
            '--work-dir',
            folder,
            '--seed',
            seed,
            '--cfg-options',
            f'search_loop.constraints.macs={macs}',
            *overrides,
            PINAS_DATA=f'{data}/',
        )
    )


def lengths(supernet: int, subnet: int, unit: str = 'max_epochs', scheduler: int = 0) -> list[str]:
    """How long the supernet and the subnet are trained, annealed by the scheduler of that
    number."""
    return [
        f'{stage}{key}={length}'
        for stage, length in (('', subnet), ('supernet_stage.', supernet))
        for key in (f'train_cfg.{unit}', f'param_scheduler.{scheduler}.T_max')
    ]


def detector_macs(config: str, overrides: list[str], source: dict[str, Any], folder: Path) -> int:
    """MACs of the source's arch as the backbone of a detector."""
    target = load_config(TOP / f'configs/adapt/{config}.py', option_values(overrides))
    target.work_dir = str(folder)
    adaptation = Adaptation(target, source['supernet'], source['arch'])
    return adaptation.macs(adaptation.read_source_arch())


def held_out(data: Path) -> int:
    """A fifth of a target's training images for the search."""
    return len(list((data / 'train').glob('*/*'))) // 5


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a line per target and kind: of each way the metric over seeds, and how far the
    joint adaptation is ahead, paired."""
    ways = (JOINT, *COMPARISONS.values())
    lines = [
        '| target | supernet | '
        + ' | '.join(ways)
        + ' | MACs (M), source and found | slots that differ | spent (1e12 MACs) |',
        '|' + ' --- |' * 9,
    ]
    for target, kind in dict.fromkeys((row['target'], row['kind']) for row in rows):
        group = {
            way: [
                row
                for row in rows
                if (row['target'], row['kind'], row['way']) == (target, kind, way)
            ]
            for way in ways
        }
        factor = 100 if target in METRICS else 1
        values = {
            way: np.array([row['metric'] * factor for row in found]) for way, found in group.items()
        }
        cells = [
            over_seeds(values[JOINT]),
            *(
                f'{over_seeds(values[way])} ({ahead(values[JOINT] - values[way])})'
                for way in ways[1:]
            ),
        ]
        macs = ', '.join(
            f'{np.mean([row["macs"] for row in group[way]]) / 1e6:.2f}' for way in (ways[1], JOINT)
        )
        differ = ', '.join(str(row['differ']) for row in group[JOINT])
        spent = ' to '.join(
            f'{edge([row["operations"] for row in sum(group.values(), [])]) / 1e12:.2f}'
            for edge in (min, max)
        )
        lines.append(
            f'| {target} | {kind} | ' + ' | '.join(cells) + f' | {macs} | {differ} | {spent} |'
        )
    return '\n'.join(lines) + '\n'


def over_seeds(values: np.ndarray) -> str:
    """Mean and standard deviation."""
    return f'{np.mean(values):.1f}' + (
        f' ± {np.std(values, ddof=1):.1f}' if len(values) > 1 else ''
    )


if __name__ == '__main__':
    exit_at_sigterm()
    main()
