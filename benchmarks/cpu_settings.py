#!/usr/bin/env python
"""What channels-last and malloc thresholds do to a supernet training step on a CPU; the tools' defaults rest on it.

    python benchmarks/cpu_settings.py

Each malloc setting runs in its own process (glibc's thresholds cannot be put back); the memory formats are timed in turn within it.
"""
import argparse
import subprocess
import sys
import time

import numpy as np
import torch

from pinas_mm.engine.command_line import tune_cpu
from pinas_mm.models import SearchableMacroNet, SearchableResNeSt

CASES = {
    'nasbench_macro, width 0.25, 128 x 32x32': (SearchableMacroNet, 0.25, 128, 32),
    'resnest50, width 0.25, 32 x 64x64': (SearchableResNeSt, 0.25, 32, 64),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--rounds', type=int, default=8)
    options.add_argument('--malloc', choices=('default', 'tuned'), help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.malloc:
        if args.malloc == 'tuned':
            tune_cpu()
        for name, case in CASES.items():
            contiguous, channels_last = measure(*case, args.rounds)
            print(f'{name:42s} malloc {args.malloc:8s} contiguous {contiguous * 1e3:7.1f} ms   channels-last {channels_last * 1e3:7.1f} ms   '
                  f'ratio {contiguous / channels_last:.2f}', flush=True)
        return
    for malloc in ('default', 'tuned', 'default', 'tuned'):
        subprocess.run([sys.executable, __file__, '--malloc', malloc, '--rounds', str(args.rounds)], check=True)


def measure(backbone: type, width: float, batch: int, size: int, rounds: int) -> list[float]:
    """Median seconds of forward and backward, contiguous and channels-last, over the same archs."""
    nets = [backbone(widen_factor=width).to(memory_format=memory_format) for memory_format in (torch.contiguous_format, torch.channels_last)]
    images = torch.randn(batch, 3, size, size)
    rng = np.random.default_rng(0)
    times: list[list[float]] = [[], []]
    for _ in range(rounds + 2):
        arch = nets[0].space.sample(rng)
        for net, seconds in zip(nets, times):
            net.set_arch(arch)
            net.zero_grad()
            started = time.perf_counter()
            net(images)[0].mean().backward()
            seconds.append(time.perf_counter() - started)
    return [float(np.median(seconds[2:])) for seconds in times]


if __name__ == '__main__':
    main()
