#!/usr/bin/env python
"""Time of a supernet training step on two ranks: ActiveGradientDataParallel against
DistributedDataParallel with find_unused_parameters.

    python benchmarks/ddp.py

Two gloo processes with one thread each train the same supernet on the same archs with both wrappers
in turn within one run; the ratio of their medians is reported per round."""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample

import pinas_mm  # noqa: F401
from pinas_mm.engine import ActiveGradientDataParallel
from pinas_mm.spaces import arch_rng

BACKBONES = dict(
    macro=(dict(type='pinas_mm.SearchableMacroNet'), 1280, 32, 16),
    resnest50=(dict(type='pinas_mm.SearchableResNeSt'), 2048, 64, 8),
)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--rounds', type=int, default=5)
    options.add_argument('--steps', type=int, default=6, help='steps per round and wrapper')
    args = options.parse_args()
    for name in BACKBONES:
        with tempfile.TemporaryDirectory() as folder:
            mp.spawn(run, (name, args.rounds, args.steps, folder), nprocs=2)
            print((Path(folder) / 'report.json').read_text(), flush=True)


def run(rank: int, name: str, rounds: int, steps: int, folder: str) -> None:
    torch.set_num_threads(1)
    init_default_scope('mmpretrain')
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    backbone, channels, size, batch = BACKBONES[name]
    images = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(rank)).to(
        memory_format=torch.channels_last
    )
    data = dict(
        inputs=images, data_samples=[DataSample().set_gt_label(i % 10) for i in range(batch)]
    )
    wrappers = {}
    for kind in ('active', 'find_unused'):
        torch.manual_seed(0)
        model = MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=backbone,
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=10, in_channels=channels),
            )
        ).to(memory_format=torch.channels_last)
        wrapped = (
            ActiveGradientDataParallel(model)
            if kind == 'active'
            else MMDistributedDataParallel(
                model, find_unused_parameters=True, broadcast_buffers=False
            )
        )
        wrappers[kind] = (
            wrapped.train(),
            OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-4)),
        )
    times: dict[str, list[float]] = {kind: [] for kind in wrappers}
    for number in range(rounds + 1):  # the first round warms up
        for kind, (wrapped, optimiser) in wrappers.items():
            dist.barrier()
            start = time.perf_counter()
            for step in range(steps):
                wrapped.module.backbone.set_arch(
                    wrapped.module.backbone.space.sample(arch_rng(0, step))
                )
                wrapped.train_step(data, optimiser)
            if number:
                times[kind].append((time.perf_counter() - start) / steps)
    if rank == 0:
        ratios = np.array(times['find_unused']) / np.array(times['active'])
        report = dict(
            model=name,
            batch=batch,
            size=size,
            active=float(np.median(times['active'])),
            find_unused=float(np.median(times['find_unused'])),
            ratio=float(np.median(ratios)),
            ratios=np.round(ratios, 2).tolist(),
        )
        (Path(folder) / 'report.json').write_text(json.dumps(report))
    dist.destroy_process_group()


if __name__ == '__main__':
    main()
