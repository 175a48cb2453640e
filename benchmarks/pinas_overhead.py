#!/usr/bin/env python
"""What a Pi-NAS step costs beyond the network passes it needs: 4 forwards and 2 backwards on the
same archs.

    # full-size ResNeSt, batch 8, 64x64, published queue and head
    python benchmarks/pinas_overhead.py

Both run in turn within one process; the figure is the share of the step that is not network passes,
in CPU seconds of the process, which other load on the machine moves less than the clock."""

import argparse
import time

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor

from pinas_mm.models import PiNAS
from pinas_mm.spaces import Arch


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--rounds', type=int, default=15)
    options.add_argument('--batch', type=int, default=8)
    options.add_argument('--size', type=int, default=64)
    args = options.parse_args()
    init_default_scope('mmpretrain')
    model: PiNAS = MODELS.build(
        Config.fromfile('configs/_base_/models/pinas_resnest50.py').model
    ).train()
    model.to(memory_format=torch.channels_last)
    views = [torch.randn(args.batch, 3, args.size, args.size) for _ in range(4)]
    times: dict[str, list[float]] = {'passes': [], 'step': []}
    for index in range(args.rounds + 2):  # two to warm up
        archs = model.draw_archs()
        for name, run in sorted({'passes': passes, 'step': step}.items(), reverse=bool(index % 2)):
            model.zero_grad()
            started = time.process_time()
            run(model, views, archs)
            times[name].append(time.process_time() - started)
    shares = 1 - np.array(times['passes'][2:]) / np.array(times['step'][2:])
    medians = {name: np.median(values[2:]) for name, values in times.items()}
    low, high = np.percentile(shares, (25, 75))
    print(
        f'step {medians["step"]:.3f} CPU s, its network passes {medians["passes"]:.3f} CPU s: '
        f'overhead '
        f'{1 - medians["passes"] / medians["step"]:.1%} of the step (per round: median '
        f'{np.median(shares):.1%}, quartiles {low:.1%} to '
        f'{high:.1%}, {args.rounds} rounds, {torch.get_num_threads()} threads)'
    )


def step(model: PiNAS, views: list[Tensor], archs: list[Arch]) -> None:
    losses = model.loss(views, archs=archs)
    (losses['loss_path0'] + losses['loss_path1']).backward()


def passes(model: PiNAS, views: list[Tensor], archs: list[Arch]) -> None:
    queries = []
    for arch, query_view, key_view in zip(archs, views[::2], views[1::2]):
        model.backbone.set_arch(arch)
        model.teacher.backbone.set_arch(arch)
        queries.append(model.neck(model.backbone(query_view))[0])
        with torch.no_grad():
            model.teacher(key_view)
    sum(query.sum() for query in queries).backward()


if __name__ == '__main__':
    main()
