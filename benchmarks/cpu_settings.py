#!/usr/bin/env python
"""What channels-last and malloc settings do to a supernet training step on a CPU; the tools'
defaults rest on it.

    python benchmarks/cpu_settings.py

Each malloc setting runs in its own process (glibc's thresholds cannot be put back), the two in
turn; the memory formats take turns within it. Figures are CPU seconds of the process and page
faults per step, which other load on the machine moves less than the clock."""

import argparse
import ctypes
import resource
import subprocess
import sys
import time

import numpy as np
import torch

from pinas_mm.child_processes import exit_at_sigterm
from pinas_mm.models import SearchableMacroNet, SearchableResNeSt

CASES = {
    'nasbench_macro, width 0.25, 128 x 32x32': (SearchableMacroNet, 0.25, 128, 32),
    'nasbench_macro, width 1, 64 x 32x32': (SearchableMacroNet, 1.0, 64, 32),
    'resnest50, width 0.25, 32 x 64x64': (SearchableResNeSt, 0.25, 32, 64),
}


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('--rounds', type=int, default=8)
    options.add_argument('--malloc', choices=('default', 'tuned'), help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.malloc:
        if args.malloc == 'tuned':
            keep_freed_memory()
        for name, case in CASES.items():
            (contiguous, _), (channels_last, faults) = measure(*case, args.rounds)
            print(
                f'{name:42s} malloc {args.malloc:8s} contiguous {contiguous:6.3f} s   '
                f'channels-last {channels_last:6.3f} s   '
                f'ratio {contiguous / channels_last:.2f}   page faults {faults:8.0f}',
                flush=True,
            )
        return
    for malloc in ('default', 'tuned', 'default', 'tuned'):
        subprocess.run(
            [sys.executable, __file__, '--malloc', malloc, '--rounds', str(args.rounds)], check=True
        )


def keep_freed_memory() -> None:
    """Tells glibc to serve large tensors from the heap and never to trim it."""
    libc = ctypes.CDLL(None)
    trim_threshold, mmap_max = -1, -4
    libc.mallopt(trim_threshold, 1 << 30)
    libc.mallopt(mmap_max, 0)


def measure(
    backbone: type, width: float, batch: int, size: int, rounds: int
) -> list[tuple[float, float]]:
    """Median CPU seconds and page faults of forward and backward, contiguous and channels-last,
    over the same archs."""
    formats = (torch.contiguous_format, torch.channels_last)
    nets = [
        backbone(widen_factor=width).to(memory_format=memory_format) for memory_format in formats
    ]
    images = torch.randn(batch, 3, size, size)
    rng = np.random.default_rng(0)
    costs: list[list[tuple[float, int]]] = [[], []]
    for _ in range(rounds + 2):
        arch = nets[0].space.sample(rng)
        for net, cost in zip(nets, costs):
            net.set_arch(arch)
            net.zero_grad()
            started, faults = (
                time.process_time(),
                resource.getrusage(resource.RUSAGE_SELF).ru_minflt,
            )
            net(images)[0].mean().backward()
            cost.append(
                (
                    time.process_time() - started,
                    resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults,
                )
            )
    return [tuple(np.median(cost[2:], axis=0).tolist()) for cost in costs]


if __name__ == '__main__':
    exit_at_sigterm()
    main()
