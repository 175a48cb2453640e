#!/usr/bin/env python
"""A pretrained EfficientNet-Lite0 made cheaper for a target: by hand in the three usual ways, and
by search within the same limit. The tables of docs/results/cheaper.md.

    # data/bccd, data/cifar10, data/efficientnet_lite0.pth (docs/tutorials/pretrained_supernet.md)
    python tools/latency.py \\
        configs/adapt/faster-rcnn_elastic-efficientnet-lite0_fpn_1xb8-6e_bccd.py \\
        --images 1 3 256 320 --threads 1 --backbone --out latency.json
    python benchmarks/cheaper.py detection --latency latency.json --work-dir work_dirs/cheaper
    python benchmarks/cheaper.py detection ... --longer              # and the row `longer`
    python benchmarks/cheaper.py classification --work-dir work_dirs/cheaper

Ways: `full`, the whole network; `shallow`, fewer blocks in every stage; `narrow`, one smaller
expansion everywhere; `small`, the whole network on smaller images; `searched`, tools/adapt.py
within the limit; `again`, its arch trained from the pretrained weights, as all others are;
with `--longer` also `longer`, the best way by hand, trained for as many operations as the whole
search took. All others are trained by one schedule, and all are tested once, after the last epoch;
the best way by hand is the one ahead on the images that the search is scored on. What is finished
is not run again.

At the end the backbones are timed side by side, each with its own tensors. Writes the table and all
runs to the work dir: detection.md and detection.json."""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hand_scaled import hand_scaled
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from tool_runs import TOP, ahead, once, side_by_side, tool

from pinas_mm.checkpoint import load_strict, save_checkpoint
from pinas_mm.child_processes import exit_at_sigterm
from pinas_mm.costs import measure_costs
from pinas_mm.costs.latency import read_latency
from pinas_mm.engine.latest_checkpoint import last_checkpoint
from pinas_mm.fileio import write_atomic
from pinas_mm.pipelines.adaptation import JOINT
from pinas_mm.spaces import Arch
from pinas_mm.spaces.subnet_file import SubnetFile

# Training images of a class, a fifth of which the search is scored on.
IMAGES, HELD_OUT = 250, 500
BY_HAND = ('shallow', 'narrow', 'small')
WAYS = ('full', *BY_HAND, 'searched', 'again', 'longer')
SEARCHED = ('searched', 'again')
CONFIGS = dict(
    detection='faster-rcnn_elastic-efficientnet-lite0_fpn_1xb8-6e_bccd',
    classification='classification_elastic-efficientnet-lite0_1xb64-6e_folder',
)
METRICS = dict(detection='coco/bbox_mAP', classification='accuracy/top1')
# Of the whole network's latency, and of its MACs.
LIMITS = dict(detection=0.6, classification=0.4)
SIZES = dict(detection=(256, 320), classification=(96, 96))
# What comes nearest to the limit.
SCALED = dict(
    detection=dict(
        shallow=dict(depth=0.3), narrow=dict(expansion=2.75), small=dict(size=(192, 224))
    ),
    classification=dict(
        shallow=dict(depth=0.3, expansion=5), narrow=dict(expansion=2), small=dict(size=(56, 56))
    ),
)
# Smaller images, with anchors for cells that are as much smaller.
SMALL = dict(
    detection=[
        'train_dataloader.dataset.pipeline.2.scale=(224,168)',
        'val_dataloader.dataset.pipeline.1.scale=(224,168)',
        'test_dataloader.dataset.pipeline.1.scale=(224,168)',
        'model.rpn_head.anchor_generator.scales=[2.8]',
        'model.roi_head.bbox_roi_extractor.finest_scale=19.6',
    ],
    classification=[
        'train_dataloader.dataset.dataset.pipeline.1.scale=56',
        'train_dataloader.dataset.dataset.pipeline.2.crop_size=56',
        'val_dataloader.dataset.dataset.pipeline.1.scale=56',
        'test_dataloader.dataset.pipeline.1.scale=56',
    ],
)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_target(options)
    options.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    options.add_argument('--longer', action='store_true', help='also the row of that name')
    options.add_argument('--rounds', type=int, default=41, help='timings of every backbone')
    args = options.parse_args()
    prepare(args)
    tasks = [(way, seed) for seed in args.seeds for way in ('full', *BY_HAND, 'searched')]
    with side_by_side(args.jobs) as pool:
        found = pool.map(lambda task: run(args, *task), tasks)
        runs = [made for runs in found for made in runs]
        best = max(BY_HAND, key=lambda way: sum(made['val'] for made in runs if made['way'] == way))
        measured = costs(args, runs)
        if args.longer:
            runs += pool.map(lambda seed: longer(args, measured, best, seed), args.seeds)
    text = table(args, runs, measured, best)
    write_atomic(
        args.work_dir.with_suffix('.json'),
        lambda file: file.write(json.dumps(dict(runs=runs, costs=measured), indent=1).encode()),
    )
    write_atomic(args.work_dir.with_suffix('.md'), lambda file: file.write(text.encode()))
    print(text)


def add_target(options: argparse.ArgumentParser) -> None:
    """What :func:`prepare` reads."""
    options.add_argument('target', choices=list(CONFIGS))
    options.add_argument('--work-dir', type=Path, required=True)
    options.add_argument('--weights', type=Path, default=TOP / 'data/efficientnet_lite0.pth')
    options.add_argument('--cifar10', type=Path, default=TOP / 'data/cifar10')
    options.add_argument('--latency', type=Path, help='table of tools/latency.py, for detection')
    options.add_argument('--jobs', type=int, default=1, help='runs side by side')


def prepare(args: argparse.Namespace) -> None:
    """Adds what all runs of a target have in common: config, data, weights and limit."""
    if args.target == 'detection' and args.latency is None:
        raise SystemExit('--latency: the limit of detection is of the table of tools/latency.py')
    args.work_dir = args.work_dir.resolve() / args.target
    args.work_dir.mkdir(parents=True, exist_ok=True)
    # What the tools are run with.
    # By the package of this checkout, wherever another is installed.
    args.given, args.environment = [], dict(PYTHONPATH=f'{TOP / "benchmarks"}{os.pathsep}{TOP}')
    if args.target == 'classification':
        args.given = [f'held_out={HELD_OUT}']
        args.environment['PINAS_DATA'] = str(few_images(args))
    args.config = TOP / f'configs/adapt/{CONFIGS[args.target]}.py'
    args.limit = limit(args)
    args.sorted = sorted_weights(args)
    args.by_hand = args.work_dir / 'by_hand.py'
    args.by_hand.write_text(
        f'_base_ = {str(args.config)!r}\n'
        "custom_imports = dict(imports=['pinas_mm', 'hand_scaled'])\n"
    )


def few_images(args: argparse.Namespace) -> Path:
    """A folder of links to the first training images of every class, and to the test images."""
    folder = args.work_dir / 'images'
    (folder / 'train').mkdir(parents=True, exist_ok=True)
    if not (folder / 'test').exists():
        for images in sorted((args.cifar10.resolve() / 'train').iterdir()):
            (folder / 'train' / images.name).mkdir(exist_ok=True)
            for image in sorted(images.iterdir())[:IMAGES]:
                link = folder / 'train' / images.name / image.name
                link.unlink(missing_ok=True)  # of a run that was killed here
                link.symlink_to(image)
        (folder / 'test').symlink_to(args.cifar10.resolve() / 'test')
    return folder


def limit(args: argparse.Namespace) -> dict[str, float]:
    """The limit of the search: a share of what the whole network costs, as the search counts it."""
    backbone = build(args, None, 'pinas_mm.ElasticEfficientNetLite0')
    table = measure_costs(backbone, SIZES[args.target])
    name = 'backbone_macs'
    if args.target == 'detection':
        read_latency(args.latency, backbone).add_to(table)
        name = 'latency'
    whole = table.arch_costs(backbone.space.largest)[name]
    return {name: LIMITS[args.target] * whole}


def sorted_weights(args: argparse.Namespace) -> Path:
    """The pretrained weights with their channels in order of importance, so that a narrow network
    by hand keeps the channels that one of the search keeps. The network computes the same."""
    path = args.work_dir / 'sorted.pth'
    if not path.exists():
        backbone = build(args, None, 'pinas_mm.ElasticEfficientNetLite0', tail=True)
        load_strict(backbone, args.weights, 'backbone.')
        backbone.sort_channels()
        state = {f'backbone.{key}': value for key, value in backbone.state_dict().items()}
        save_checkpoint(path, state, {})
    return path


def run(args: argparse.Namespace, way: str, seed: int) -> list[dict[str, Any]]:
    """Trains one way; of a search also its arch from the pretrained weights."""
    folder = args.work_dir / f'{way}-{seed}'
    made = once(
        folder / 'run.json',
        lambda: search(args, folder, seed) if way == 'searched' else train(args, folder, way, seed),
    )
    runs = [dict(made, way=way, seed=seed)]
    if way == 'searched':
        again = args.work_dir / f'again-{seed}'
        made = once(again / 'run.json', lambda: train(args, again, 'again', seed, made['arch']))
        runs.append(dict(made, way='again', seed=seed))
    return runs


def search(args: argparse.Namespace, folder: Path, seed: int) -> dict[str, Any]:
    ((cost, most),) = args.limit.items()
    table = [f'search_loop.latency_table={args.latency.resolve()}'] if cost == 'latency' else []
    seconds = tool(
        'adapt.py',
        args.config,
        '--work-dir',
        folder / 'adapt',
        '--until',
        'subnet',
        '--seed',
        seed,
        '--cfg-options',
        f'search_loop.constraints.{cost}={most}',
        f'model.backbone.init_cfg.checkpoint={args.weights}',
        *args.given,
        *table,
        **args.environment,
    )
    report = json.loads((folder / 'adapt/adapt.json').read_text())
    row = report['rows'][JOINT]
    arch = SubnetFile.read(folder / 'adapt/search/subnet.yaml').arch
    return dict(
        test=row['metrics'][METRICS[args.target]],
        arch=list(arch),
        seconds=seconds,
        steps=report['steps'],
    )


def longer(
    args: argparse.Namespace, measured: dict[str, dict[str, float]], best: str, seed: int
) -> dict[str, Any]:
    """Trains the best way by hand for as many operations as the search of a seed took, all its
    steps together."""
    report = json.loads((args.work_dir / f'searched-{seed}/adapt/adapt.json').read_text())
    steps, spent = report['steps'], report['rows'][JOINT]['costs']
    # Neck and heads, which are the same but for the size of the images.
    around = spent['macs'] - spent['backbone_macs']
    size = SCALED[args.target][best].get('size', SIZES[args.target])
    around *= np.prod(size) / np.prod(SIZES[args.target])
    share = (around + measured[best]['macs']) / spent['macs']
    budget = sum(step['operations'] for step in steps.values())
    factor = budget / (steps['subnet']['operations'] * share)
    folder = args.work_dir / f'longer-{seed}'
    made = once(folder / 'run.json', lambda: train(args, folder, best, seed, factor=factor))
    return dict(made, way='longer', seed=seed)


def train(
    args: argparse.Namespace,
    folder: Path,
    way: str,
    seed: int,
    arch: list[int] | None = None,
    factor: float = 1,
    start: Path | None = None,
) -> dict[str, Any]:
    """Trains a network from the pretrained weights, or from the checkpoint ``start``, and tests it;
    the last validation's metric too. ``factor`` lengthens the schedule."""
    arch = arch or list(arch_by_hand(args.target, way))
    config = Config.fromfile(args.config)
    epochs = round(factor * config.train_cfg.max_epochs)
    annealed = len(config.param_scheduler) - 1
    overrides = [
        f'train_cfg.max_epochs={epochs}',
        f'param_scheduler.{annealed}.T_max={epochs}',
        f'model.backbone.type={kind_of(way)}',
        f'model.backbone.arch={json.dumps(arch).replace(" ", "")}',
        'model.backbone.sort_channels=False',
        f'model.backbone.init_cfg.checkpoint={args.sorted}',
        f'load_from={start}',
        f'train_cfg.val_interval={epochs}',
        f'randomness.seed={seed}',
        *args.given,
        *(SMALL[args.target] if way == 'small' else []),
    ]
    given = ('--work-dir', folder, '--cfg-options', *overrides)
    seconds = tool('train.py', args.by_hand, *given, **args.environment)
    val = [line for line in scalars(folder) if METRICS[args.target] in line]
    given = ('--work-dir', folder / 'test', '--cfg-options', *overrides)
    tool('test.py', args.by_hand, last_checkpoint(folder), *given, **args.environment)
    test = json.loads(sorted((folder / 'test').glob('*/*.json'))[-1].read_text())
    return dict(
        val=val[-1][METRICS[args.target]],
        test=test[METRICS[args.target]],
        arch=arch,
        seconds=seconds,
    )


def kind_of(way: str) -> str:
    """The backbone whose arch a way is."""
    prefix = 'Elastic' if way in SEARCHED else 'HandScaled'
    return f'pinas_mm.{prefix}EfficientNetLite0'


def arch_by_hand(target: str, way: str) -> Arch:
    scaled = {key: value for key, value in SCALED[target].get(way, {}).items() if key != 'size'}
    return hand_scaled(**scaled)


def scalars(work_dir: Path) -> list[dict[str, Any]]:
    """What mmengine logged in the last run in a work dir."""
    path = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1]
    return [json.loads(line) for line in path.read_text().splitlines()]


def build(
    args: argparse.Namespace, arch: list[int] | None, kind: str, tail: bool = False
) -> torch.nn.Module:
    """The backbone of the config, with random weights."""
    init_default_scope('mmdet')
    config = Config.fromfile(args.config).model.backbone
    config.update(type=kind, arch=arch, init_cfg=None)
    if tail:
        config.pop('out_indices', None)
    return MODELS.build(config)


def costs(args: argparse.Namespace, runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of every network its MACs, its parameters and its latency in ms, the median of rounds in
    which all of them run, one after the other."""
    torch.set_num_threads(1)
    nets, images, found = {}, {}, {}
    for made in runs:
        name = network(made)
        if name in nets:
            continue
        kind = kind_of(made['way'])
        size = SCALED[args.target].get(made['way'], {}).get('size', SIZES[args.target])
        nets[name] = build(args, made['arch'], kind)
        nets[name].eval()
        images[name] = torch.randn(1, 3, *size).contiguous(memory_format=torch.channels_last)
        whole = build(args, None, kind)
        counted = measure_costs(whole, size).arch_costs(tuple(made['arch']))
        found[name] = dict(macs=counted['backbone_macs'], params=counted['params'])
    took: dict[str, list[float]] = {name: [] for name in nets}
    with torch.no_grad():
        for _ in range(args.rounds + 3):
            for name, net in nets.items():
                start = time.perf_counter()
                net(images[name])
                took[name].append(1000 * (time.perf_counter() - start))
    for name, values in took.items():
        found[name]['latency'] = float(np.median(values[3:]))
    return found


def network(made: dict[str, Any]) -> str:
    """The searched arch and the same one again are one network."""
    return f'searched-{made["seed"]}' if made['way'] in SEARCHED else made['way']


def table(
    args: argparse.Namespace,
    runs: list[dict[str, Any]],
    costs: dict[str, dict[str, float]],
    best: str,
) -> str:
    """Markdown: of each way its metric over seeds, and how far the search is ahead, paired."""
    factor = 100 if args.target == 'detection' else 1
    scores = {
        way: {
            part: factor
            * np.array([made[part] for made in runs if made['way'] == way and part in made])
            for part in ('val', 'test')
        }
        for way in WAYS
    }
    notes = {best: ' (best by hand)', 'longer': f' ({best})'}
    lines = [
        '| network | latency (ms) | of full | MACs (M) | params (M) | val | test, each seed | '
        'mean | searched is ahead by |',
        '|' + ' --- |' * 9,
    ]
    for way in (way for way in WAYS if len(scores[way]['test'])):
        same = best if way == 'longer' else way
        mine = [costs[network(made)] for made in runs if made['way'] == same]
        mean = {key: np.mean([cost[key] for cost in mine]) for key in mine[0]}
        test = scores[way]['test']
        val = f'{scores[way]["val"].mean():.1f}' if len(scores[way]['val']) else ''
        lines.append(
            f'| {way}{notes.get(way, "")} | {mean["latency"]:.1f} | '
            f'{mean["latency"] / costs["full"]["latency"]:.0%} | {mean["macs"] / 1e6:.0f} | '
            f'{mean["params"] / 1e6:.2f} | {val} | '
            f'{" ".join(f"{value:.1f}" for value in test)} | {test.mean():.1f} | '
            f'{"" if way == "searched" else ahead(scores["searched"]["test"] - test)} |'
        )
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    exit_at_sigterm()
    main()
