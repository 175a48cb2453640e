#!/usr/bin/env python
"""Pi-NAS on a CPU in single precision and in bfloat16 (--amp), side by side.

    python benchmarks/amp_cpu.py --plot docs/images/amp_cpu.png     # curves, about 5 minutes
    python benchmarks/amp_cpu.py --full                             # a full-size step at 224

The curves are of the quick start's learning stage (digits, macro supernet) for 200 steps, the same
weights, batches and archs in both precisions. The full-size step takes turns within one process;
times are CPU seconds of the process, which other load on the machine moves less than the clock."""

import argparse
import copy
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

from pinas_mm.engine.config import load_config, use_amp
from pinas_mm.engine.runner import build_runner

ROOT = Path(__file__).parents[1]
PRECISIONS = ('float32', 'bfloat16')
# How well a supernet has learned is told by its losses, and by these.
WATCHED = ('loss', 'positive_similarity', 'feature_spread')


class Curves(Hook):
    """Keeps what is logged of every step, and the CPU seconds of the steps."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = defaultdict(list)
        self.seconds: list[float] = []

    def before_train_iter(self, runner: Runner, *unused: Any, **kwargs: Any) -> None:
        self.started = time.process_time()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.seconds.append(time.process_time() - self.started)
        for name in WATCHED:
            self.values[name].append(outputs[name].item())


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--steps', type=int, default=200)
    options.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    options.add_argument('--plot', help='PNG to write')
    options.add_argument('--full', action='store_true', help='a full-size step at 224 instead')
    options.add_argument('--batch', type=int, default=4, help='images of the full-size step')
    args = options.parse_args()
    if args.full:
        print(json.dumps(full_size_steps(args.batch), indent=1))
        return
    curves = {
        (seed, precision): learn(seed, precision, args.steps)
        for seed in args.seeds
        for precision in PRECISIONS
    }
    for (seed, precision), curve in curves.items():
        ends = {name: np.mean(values[-20:]) for name, values in curve.values.items()}
        print(
            f'seed {seed}  {precision:8s}  {np.median(curve.seconds):.3f} CPU s a step  '
            + '  '.join(f'{name} {value:.3f}' for name, value in ends.items())
            + '  (means of the last 20 steps)'
        )
    if args.plot:
        plot(curves, args.plot)


def learn(seed: int, precision: str, steps: int) -> Curves:
    """Trains the quick start's supernet."""
    config = load_config(
        ROOT / 'configs/quickstart/learn.py',
        {'randomness.seed': seed, 'model.arch_seed': seed, 'log_level': 'WARNING'},
    )
    if precision == 'bfloat16':
        use_amp(config)
    config.custom_hooks = []
    config.default_hooks.checkpoint = None
    curves = Curves()
    with tempfile.TemporaryDirectory() as folder:
        config.work_dir, config.experiment_name = folder, f'{precision}{seed}{time.time_ns()}'
        config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=steps)
        config.param_scheduler = [dict(type='CosineAnnealingLR', T_max=steps, by_epoch=False)]
        runner = build_runner(config)
        runner.register_hook(curves)
        runner.train()
    return curves


def full_size_steps(batch: int, rounds: int = 4) -> dict[str, Any]:
    """The published model at 224: losses from the same weights, and CPU seconds of a step."""
    init_default_scope('mmpretrain')
    config = Config.fromfile(ROOT / 'configs/_base_/models/pinas_resnest50.py').model
    torch.manual_seed(0)
    model = MODELS.build(config).train().to(memory_format=torch.channels_last)
    views = [
        torch.randn(batch, 3, 224, 224).contiguous(memory_format=torch.channels_last)
        for _ in range(4)
    ]
    seconds, losses = defaultdict(list), defaultdict(list)
    state = copy.deepcopy(model.state_dict())
    for number in range(rounds + 1):  # the first warms up
        archs = model.draw_archs()
        for precision in PRECISIONS:
            model.load_state_dict(state)
            model.zero_grad()
            started = time.process_time()
            with torch.autocast('cpu', torch.bfloat16, enabled=precision == 'bfloat16'):
                found = model.loss(views, archs=archs)
            loss = found['loss_path0'] + found['loss_path1']
            loss.backward()
            if number:
                seconds[precision].append(time.process_time() - started)
                losses[precision].append(float(loss.detach()))
    single, half = (np.array(seconds[precision]) for precision in PRECISIONS)
    return dict(
        batch=batch,
        threads=torch.get_num_threads(),
        seconds={
            precision: round(float(np.median(seconds[precision])), 2) for precision in PRECISIONS
        },
        ratios=np.round(half / single, 2).tolist(),
        losses={precision: np.round(losses[precision], 4).tolist() for precision in PRECISIONS},
    )


def plot(curves: dict[tuple[int, str], Curves], path: str) -> None:
    """Draws the curves, means of 10 steps."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(WATCHED), figsize=(12, 3.4), layout='constrained')
    for axis, name in zip(axes, WATCHED):
        for (seed, precision), curve in curves.items():
            values = np.convolve(curve.values[name], np.ones(10) / 10, mode='valid')
            axis.plot(
                np.arange(len(values)) + 9,
                values,
                color=f'C{seed}',
                linestyle='-' if precision == 'float32' else ':',
                linewidth=1.5 if precision == 'float32' else 2.2,
                label=f'{precision}, seed {seed}',
            )
        axis.set_title(name.replace('_', ' '))
        axis.set_xlabel('step')
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=110)


if __name__ == '__main__':
    main()
