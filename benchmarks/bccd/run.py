#!/usr/bin/env python
"""Detection of blood cells: the searched subnet against mmdet's ResNet and ResNeSt of its MACs,
from random and from learned weights.

    # learns and searches
    python benchmarks/cifar10_table.py --work-dir work_dirs/cifar10 --seeds 0 1
    # data/bccd, data/cifar10
    python benchmarks/bccd/run.py --searched work_dirs/cifar10 --work-dir work_dirs/bccd

Everything is trained by tools/train.py with one schedule, evaluated on val after each epoch and on
test once, after the last. What is finished is not run again. Writes table.md and curves.png."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from pinas_mm.child_processes import exit_at_sigterm
from pinas_mm.fileio import write_atomic

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
DETECTORS = dict(
    searched=TOP / 'configs/mmdet/faster-rcnn_pinas-macro_fpn_1xb8-6e_bccd.py',
    resnet18=HERE / 'faster-rcnn_resnet18.py',
    resnest50=HERE / 'faster-rcnn_resnest50.py',
)
COLOURS = dict(searched='#D55E00', resnet18='#0072B2', resnest50='#009E73')


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        '--searched', type=Path, required=True, help='work dir of benchmarks/cifar10_table.py'
    )
    options.add_argument('--work-dir', type=Path, required=True)
    options.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    args = options.parse_args()
    runs = []
    for seed in args.seeds:
        for start in ('random', 'learned'):
            for name in DETECTORS:
                runs.append(
                    dict(
                        network=name,
                        start=start,
                        seed=seed,
                        **size(args, name, seed),
                        **train(args, name, start, seed),
                    )
                )
                print(json.dumps(runs[-1]), flush=True)
    text = table(runs)
    write_atomic(args.work_dir / 'table.md', lambda file: file.write(text.encode()))
    write_atomic(
        args.work_dir / 'results.json', lambda file: file.write(json.dumps(runs, indent=1).encode())
    )
    plot(runs, args.work_dir / 'curves.png')
    print(text)


def size(args: argparse.Namespace, name: str, seed: int) -> dict[str, int]:
    """MACs at 320x240, by mmengine's count (BN included), and params of a backbone."""
    backbone = Config.fromfile(DETECTORS[name]).model.backbone
    if name == 'searched':
        backbone.update(
            arch=str(args.searched.resolve() / f'seed{seed}/search/subnet.yaml'), init_cfg=None
        )
    init_default_scope('mmdet')
    net = MODELS.build(backbone)
    net.eval()  # of mmdet's it returns None
    found = get_model_complexity_info(net, (3, 240, 320), show_table=False, show_arch=False)
    return dict(macs=found['flops'], params=found['params'])


def train(args: argparse.Namespace, name: str, start: str, seed: int) -> dict[str, Any]:
    """Trains one detector; its box mAP per epoch on val, and the last one's on test."""
    work_dir = args.work_dir.resolve() / f'{name}-{start}-{seed}'
    finished = work_dir / 'finished.json'
    if finished.exists():
        return json.loads(finished.read_text())
    searched = args.searched.resolve() / f'seed{seed}/search'
    overrides = [f'model.backbone.arch={searched}/subnet.yaml'] if name == 'searched' else []
    if start == 'random':
        overrides += ['model.backbone.init_cfg=None']
    elif name == 'searched':
        overrides += [f'model.backbone.init_cfg.checkpoint={searched}/subnet.pth']
    else:
        overrides += [
            'model.backbone.init_cfg.type=Pretrained',
            'model.backbone.init_cfg.prefix=backbone.',
            f'model.backbone.init_cfg.checkpoint={learn(args, name, seed)}',
        ]
    run('train.py', DETECTORS[name], work_dir, seed, overrides)
    val = [line['coco/bbox_mAP'] for line in scalars(work_dir) if 'coco/bbox_mAP' in line]
    run(
        'test.py',
        DETECTORS[name],
        work_dir / 'test',
        seed,
        overrides,
        work_dir / f'epoch_{len(val)}.pth',
    )
    metrics = json.loads(
        sorted((work_dir / 'test').glob('*/*.json'))[-1].read_text()
    )  # the last, if one before was stopped
    result = dict(val=val, test=metrics['coco/bbox_mAP'], test_50=metrics['coco/bbox_mAP_50'])
    write_atomic(finished, lambda file: file.write(json.dumps(result).encode()))
    return result


def learn(args: argparse.Namespace, name: str, seed: int) -> Path:
    """The checkpoint of a network without paths that learned from the same images; trains it if it
    is not there."""
    work_dir = args.work_dir.resolve() / f'learn-{name}-{seed}'
    checkpoint = work_dir / 'epoch_4.pth'
    if not checkpoint.exists():
        run('train.py', HERE / f'moco_{name}_cifar10.py', work_dir, seed, [])
    return checkpoint


def run(
    tool: str, config: Path, work_dir: Path, seed: int, overrides: list[str], *arguments: Path
) -> None:
    overrides = [*overrides, f'randomness.seed={seed}']
    subprocess.run(
        [
            sys.executable,
            TOP / 'tools' / tool,
            config,
            *arguments,
            '--work-dir',
            work_dir,
            '--cfg-options',
            *overrides,
        ],
        check=True,
        cwd=TOP,
        stdout=subprocess.DEVNULL,
    )


def scalars(work_dir: Path) -> list[dict[str, Any]]:
    """What mmengine logged in the last run in a work dir."""
    path = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1]
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown: per network and start the box mAP in points, every seed and the mean."""
    lines = [
        '| network | params (M) | MACs (M) | start | val mAP, each seed | test mAP, each seed | '
        'mean | mean at IoU 0.5 |',
        '|' + ' --- |' * 8,
    ]
    for start in ('random', 'learned'):
        for name in DETECTORS:
            mine = [run for run in runs if (run['network'], run['start']) == (name, start)]
            if not mine:
                continue
            val, test, half = (
                [100 * value for value in values]
                for values in zip(*((run['val'][-1], run['test'], run['test_50']) for run in mine))
            )
            sizes = [
                ' to '.join(
                    f'{number / 1e6:.{digits}f}' for number in sorted({run[key] for run in mine})
                )
                for key, digits in (('params', 2), ('macs', 0))
            ]
            cells = [
                name,
                *sizes,
                start,
                each(val),
                each(test),
                f'{np.mean(test):.1f}',
                f'{np.mean(half):.1f}',
            ]
            lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def each(values: list[float]) -> str:
    return ' '.join(f'{value:.1f}' for value in values)


def plot(runs: list[dict[str, Any]], path: Path) -> None:
    """Box mAP on val per epoch, every run."""
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axes = figure.subplots()
    for run in runs:
        epochs = range(1, 1 + len(run['val']))
        label = f'{run["network"]}, {run["start"]}' if run['seed'] == runs[0]['seed'] else None
        axes.plot(
            epochs,
            100 * np.array(run['val']),
            color=COLOURS[run['network']],
            label=label,
            linestyle='-' if run['start'] == 'learned' else ':',
        )
    axes.set(xlabel='epoch', ylabel='box mAP on val (%)', title='BCCD, Faster R-CNN at 320x240')
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(color='#eeeeee')
    axes.legend(frameon=False)
    write_atomic(path, lambda file: figure.savefig(file, format='png', dpi=120))


if __name__ == '__main__':
    exit_at_sigterm()
    main()
