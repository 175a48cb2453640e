#!/usr/bin/env python
"""What a run of DSNAS costs, forecast from a few steps of both stages at full size on made-up
images.

    python benchmarks/dsnas_cost.py configs/dsnas/dsnas_shufflenetv2_8xb128-coslr-240e_in1k.py \\
        --images 1281167 --input-size 224 \\
        --arch 00303200332333200330

Multiplications are exact, seconds are of this machine: the median over rounds of a step, the stages
in turns. """

import argparse
import statistics
import time

import numpy as np
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample

from pinas_mm.costs import measure_costs
from pinas_mm.engine.hooks.dsnas_hook import DSNASHook
from pinas_mm.registry import HOOKS, class_of
from pinas_mm.spaces.subnet_file import read_arch
from pinas_mm.strategies import DSNASMixin


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('config')
    options.add_argument('--images', type=int, required=True, help='images of an epoch')
    options.add_argument(
        '--input-size', type=int, required=True, help='side of the images in pixels'
    )
    options.add_argument(
        '--arch', required=True, help='the arch that the second stage is taken to train'
    )
    options.add_argument('--batch-size', type=int, default=16, help='images of a step here')
    options.add_argument('--rounds', type=int, default=9)
    args = options.parse_args()
    config = Config.fromfile(args.config)
    init_default_scope(config.default_scope)
    (hook,) = (
        hook
        for hook in config.custom_hooks
        if issubclass(class_of(hook, HOOKS, config.default_scope), DSNASHook)
    )
    epochs = dict(search=hook.search, train=config.train_cfg.max_epochs - hook.search)
    steps = {stage: Step(config, args, stage == 'search') for stage in epochs}
    seconds: dict[str, list[float]] = {stage: [] for stage in epochs}
    for _ in range(args.rounds):
        for stage, step in steps.items():
            seconds[stage].append(step() / args.batch_size)
    print(
        '| stage | epochs at most | MACs per image (M) | ms per image | operations in all (1e18) '
        '| days here |\n|' + ' --- |' * 6
    )
    for stage, step in steps.items():
        images, median = epochs[stage] * args.images, statistics.median(seconds[stage])
        # A multiplication and an addition, forward once and backward twice.
        print(
            f'| {stage} | {epochs[stage]} | {step.macs / 1e6:.1f} | {median * 1e3:.1f} | '
            f'{6 * step.macs * images / 1e18:.2f} | '
            f'{median * images / 86400:.0f} |'
        )


class Step:
    """One training step of a stage."""

    def __init__(self, config: Config, args: argparse.Namespace, search: bool) -> None:
        model = config.model.to_dict()
        if not search:
            model['backbone']['arch'] = args.arch
        self.model = MODELS.build(
            model | dict(data_preprocessor=config.data_preprocessor.to_dict())
        ).train()
        self.model.init_weights()
        self.model.to(memory_format=torch.channels_last)
        wrapper = config.optim_wrapper.to_dict()
        if not search:
            wrapper = dict(optimizer=wrapper['optimizer'])
        self.wrapper = build_optim_wrapper(self.model, wrapper)
        self.wrapper.initialize_count_status(self.model, 0, -1)
        assert isinstance(self.wrapper, DSNASMixin) == search
        size = (args.batch_size, self.model.backbone.in_channels, args.input_size, args.input_size)
        self.data = dict(
            inputs=list(torch.randint(0, 256, size, dtype=torch.uint8)),
            data_samples=[DataSample().set_gt_label(i % 10) for i in range(args.batch_size)],
        )
        costs, space = measure_costs(self.model, args.input_size), self.model.backbone.space
        # The search runs archs as likely as each other at its start: their mean.
        archs = (
            space.sample_array(np.random.default_rng(0), 1000)
            if search
            else [read_arch(args.arch, space, '--arch')[0]]
        )
        self.macs = float(costs.array('macs', archs).mean())

    def __call__(self) -> float:
        """Runs it; its seconds."""
        start = time.perf_counter()
        self.model.train_step(self.data, self.wrapper)
        return time.perf_counter() - start


if __name__ == '__main__':
    main()
