#!/usr/bin/env python
"""How much faster archs are evaluated together than one at a time: exactly, and with each faster
mode.

    # data/cifar10, decoding included
    python benchmarks/evaluator.py macro --checkpoint work_dirs/linear/epoch_3.pth
    # full-size resnest50 at 64x64, random images
    python benchmarks/evaluator.py resnest

Everything is timed in CPU seconds of one process with one thread; each mode is timed in the same
run as evaluation one at a time, by the same code with nothing shared, and only ratios are reported.
"""

import argparse
import copy
import json
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS, MODELS, init_default_scope
from torch.utils.data import DataLoader

import pinas_mm  # noqa: F401
from pinas_mm.checkpoint import load_strict
from pinas_mm.costs import measure_costs
from pinas_mm.engine.config import load_config
from pinas_mm.engine.loaders import calibration_loader, whole_set_loader
from pinas_mm.models.backbones import SearchableBackbone
from pinas_mm.scoring.evaluator import ArchEvaluator
from pinas_mm.scoring.race import Race
from pinas_mm.spaces import Arch, SearchSpace

# Without half precision, whose differences change places in the top 10.
FASTEST = dict(
    channels_last=True, fold_bn=True, cache=True, race=Race('accuracy/top1', top_k=10), shuffle=True
)
TOP = Path(__file__).resolve().parents[1]


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('space', choices=('macro', 'resnest'))
    options.add_argument('--skip-modes', action='store_true', help='only exact sharing')
    options.add_argument('--skip-exact', action='store_true')
    options.add_argument(
        '--checkpoint',
        help='a trained supernet with its classifier; scores of an untrained one are chance',
    )
    options.add_argument('--archs', type=int, default=64)
    options.add_argument(
        '--repeats', type=int, default=3, help='rounds; each times every mode once'
    )
    options.add_argument('--samples', type=int, default=1000)
    options.add_argument('--calibration-batches', type=int, default=8)
    options.add_argument(
        '--top10-seeds',
        type=int,
        default=0,
        help='also compare the top 10 of the fastest mode over so many seeds',
    )
    options.add_argument('--out', type=Path)
    args = options.parse_args()
    torch.set_num_threads(1)
    init_default_scope('mmpretrain')
    setting = (Macro if args.space == 'macro' else ResNeSt)(args)
    report: dict[str, Any] = dict(
        space=args.space,
        samples=args.samples,
        calibration_batches=args.calibration_batches,
        exact=[],
        modes=[],
    )
    kinds = dict(
        random=random_archs(setting.space, args.archs),
        evolved=evolved_archs(setting.space, args.archs),
    )
    for name, archs in kinds.items() if not args.skip_exact else ():
        report['exact'].append(exact(setting, name, archs, args.repeats))
        print(json.dumps(report['exact'][-1]), flush=True)
    if args.space == 'macro' and not args.skip_modes:
        for row in modes(setting, random_archs(setting.space, args.archs), args.repeats):
            report['modes'].append(row)
            print(json.dumps(row), flush=True)
    if args.top10_seeds and args.space == 'macro':
        report['top10'] = top10(setting, args.archs, args.top10_seeds)
        print(json.dumps(report['top10']), flush=True)
    if args.out:
        args.out.write_text(json.dumps(report, indent=1))


class Macro:
    """CIFAR-10 as a folder of JPEG files, the shipped search config."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        config = load_config(TOP / 'configs/pinas/pinas_nasbench-macro-search_cifar10.py', {})
        self.config = config
        self.model = MODELS.build(config.model | dict(data_preprocessor=config.data_preprocessor))
        if args.checkpoint:
            load_strict(self.model, args.checkpoint)
        self.space = self.model.backbone.space
        self.input_size = 32
        self.cache_dir = tempfile.mkdtemp()

    def evaluator(
        self,
        channels_last: bool = False,
        samples: int | None = None,
        cache: bool = False,
        shuffle: bool = False,
        seed: int = 0,
        **kwargs: object,
    ) -> ArchEvaluator:
        self.model.to(
            memory_format=torch.channels_last if channels_last else torch.contiguous_format
        )
        loaders = [
            dict(copy.deepcopy(loader), num_workers=0, persistent_workers=False)
            for loader in (
                self.config.arch_evaluation.calibration_dataloader,
                self.config.val_dataloader,
            )
        ]
        for loader in loaders if cache else ():
            loader['dataset']['dataset']['pipeline'][0] = dict(
                type='pinas_mm.LoadCachedImage', cache_dir=self.cache_dir
            )
        calibration = calibration_loader(loaders[0], self.args.calibration_batches, seed)
        scoring = whole_set_loader(loaders[1], samples or self.args.samples, seed, shuffle)
        return ArchEvaluator(
            self.model,
            calibration,
            scoring,
            lambda: Evaluator([METRICS.build(self.config.val_evaluator)]),
            **kwargs,
        )


class ResNeSt:
    """Full-size resnest50 on random images of 64x64 pixels in memory: no decoding."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        torch.manual_seed(0)
        self.model = MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=dict(type='pinas_mm.SearchableResNeSt'),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=10, in_channels=2048),
            )
        )
        self.space = self.model.backbone.space
        self.input_size = 64
        self.images = [
            dict(
                inputs=torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8), data_samples=sample(i)
            )
            for i in range(64)
        ]

    def evaluator(self, **kwargs: object) -> ArchEvaluator:
        kwargs.pop('channels_last', None)
        loader = DataLoader(self.images, batch_size=32, collate_fn=_collate)
        return ArchEvaluator(
            self.model,
            loader,
            loader,
            lambda: Evaluator([METRICS.build(dict(type='Accuracy'))]),
            **kwargs,
        )


def sample(index: int) -> object:
    from mmpretrain.structures import DataSample

    return DataSample().set_gt_label(index % 10)


def _collate(items: list) -> dict:
    return dict(
        inputs=[item['inputs'] for item in items],
        data_samples=[item['data_samples'] for item in items],
    )


def random_archs(space: SearchSpace, n: int, seed: int = 0) -> list[Arch]:
    rng, archs = np.random.default_rng(seed), {}
    while len(archs) < n:
        archs[space.canonical(space.sample(rng))] = None
    return list(archs)


def evolved_archs(space: SearchSpace, n: int, seed: int = 0) -> list[Arch]:
    """Mutants of 10 parents, 0.1 per slot."""
    rng, archs = np.random.default_rng(seed), {}
    parents = [space.sample(rng) for _ in range(10)]
    while len(archs) < n:
        archs[space.canonical(space.mutate(parents[rng.integers(10)], 0.1, rng))] = None
    return list(archs)


def cpu_seconds(run: Callable[..., Any], *args: Any) -> tuple[float, Any]:
    """CPU seconds of this process, and the result of ``run(*args)``."""
    start = time.process_time()
    result = run(*args)
    return time.process_time() - start, result


def one_at_a_time(evaluator: ArchEvaluator, archs: list[Arch]) -> list[dict[str, float]]:
    return [evaluator.evaluate([arch])[0] for arch in archs]


def read(evaluator: ArchEvaluator) -> None:
    for loader in (evaluator.calibration_loader, evaluator.loader):
        for batch in loader:
            evaluator.model.data_preprocessor(batch, False)


def exact(setting: Macro | ResNeSt, name: str, archs: list[Arch], repeats: int) -> dict:
    """Sharing against one at a time, and what sharing could gain at most."""
    evaluator = setting.evaluator(channels_last=True)
    evaluator.evaluate(archs[:1])  # warm-up
    alone, together, shares, bounds = [], [], [], []
    for _ in range(repeats):
        loaders = evaluator.calibration_loader, evaluator.loader
        evaluator.calibration_loader, evaluator.loader = map(TimedLoader, loaders)
        with timed_parts(setting.model.backbone) as times:
            seconds, expected = cpu_seconds(one_at_a_time, evaluator, archs)
        reading = evaluator.calibration_loader.seconds + evaluator.loader.seconds
        evaluator.calibration_loader, evaluator.loader = loaders
        alone.append(seconds)
        shares.append(reading / seconds)
        # Early parts, which are shared most, take more time per MAC than late ones: the bound by
        # the time that each really took.
        rest = seconds - reading - sum(map(sum, times.values()))
        bounds.append(
            seconds
            / (reading / len(archs) + sum(float(np.mean(runs)) for runs in times.values()) + rest)
        )
        seconds, found = cpu_seconds(evaluator.evaluate, archs)
        together.append(seconds)
    share = np.median(shares)
    nodes, macs = shared_work(setting, archs)
    # Amdahl: reading is done once instead of once per arch; the rest shrinks by as much as its
    # MACs.
    bound = 1 / (share / len(archs) + (1 - share) / macs)
    ratios = np.array(alone) / np.array(together)
    return dict(
        archs=name,
        time_bound=float(np.median(bounds)),
        reached_of_time_bound=float(np.median(ratios) / np.median(bounds)),
        equal=expected == found,
        archs_per_minute_alone=60 * len(archs) / float(np.median(alone)),
        archs_per_minute=60 * len(archs) / float(np.median(together)),
        ratio=float(np.median(ratios)),
        ratios=np.round(ratios, 3).tolist(),
        nodes=nodes,
        macs=macs,
        reading=float(share),
        bound=float(bound),
        reached=float(np.median(ratios) / bound),
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


class TimedLoader:
    """A loader that adds up the CPU seconds it takes to give its batches."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader, self.seconds = loader, 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        start = time.process_time()
        for batch in self.loader:
            self.seconds += time.process_time() - start
            yield batch
            start = time.process_time()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


@contextmanager
def timed_parts(backbone: SearchableBackbone) -> Iterator[dict[Any, list[float]]]:
    """CPU seconds of every part that runs, for each prefix one total per arch that has it."""
    times: dict[Any, dict[Arch, float]] = defaultdict(lambda: defaultdict(float))
    result: dict[Any, list[float]] = {}
    run_part = backbone.run_part

    def timed(part: int, arch: Arch, x: torch.Tensor) -> torch.Tensor:
        start = time.process_time()
        out = run_part(part, arch, x)
        times[backbone.prefix(part, arch)][arch] += time.process_time() - start
        return out

    backbone.run_part = timed
    try:
        yield result
    finally:
        del backbone.run_part
        result.update({prefix: list(runs.values()) for prefix, runs in times.items()})


def shared_work(setting: Macro | ResNeSt, archs: list[Arch]) -> tuple[float, float]:
    """Parts run one at a time over parts run together: their number, and their MACs (stem and tail
    included)."""
    table, space, backbone = (
        measure_costs(setting.model, setting.input_size),
        setting.space,
        setting.model.backbone,
    )
    part_macs = [np.asarray(costs) for costs in table.tables['macs']]

    def macs(part: int, arch: Arch) -> float:
        if not 1 <= part <= len(space.positions):
            return 0.0
        return float(
            part_macs[part - 1][tuple(arch[slot] for slot in space.positions[part - 1].slots)]
        )

    once = {
        backbone.prefix(part, arch): macs(part, arch)
        for arch in archs
        for part in range(1, len(space.positions) + 1)
    }
    stem, tail = fixed_macs(setting)
    everything = sum(
        macs(part, arch) for arch in archs for part in range(1, len(space.positions) + 1)
    ) + len(archs) * (stem + tail)
    count = len(archs) * len(space.positions) / len(once)
    return count, everything / (sum(once.values()) + stem + len(archs) * tail)


def fixed_macs(setting: Macro | ResNeSt) -> tuple[float, float]:
    """MACs of the stem, and of what follows the positions."""
    macs = []
    handles = [
        module.register_forward_hook(
            lambda m, _, out: macs.append(out.numel() * m.weight[0].numel())
        )
        for module in setting.model.backbone.stem.modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    size = setting.input_size
    backbone = setting.model.backbone
    backbone.stem(torch.zeros(1, backbone.in_channels, size, size))
    for handle in handles:
        handle.remove()
    return float(sum(macs)), float(measure_costs(setting.model, size).fixed['macs'] - sum(macs))


def modes(setting: Macro, archs: list[Arch], repeats: int) -> list[dict]:
    """Each faster mode against one at a time, contiguous and in full precision."""
    race = Race('accuracy/top1', top_k=10)
    table = {
        'shared': {},
        'shared, channels-last': dict(channels_last=True),
        'shared, bfloat16': dict(autocast=torch.bfloat16),
        'shared, channels-last, bfloat16': dict(channels_last=True, autocast=torch.bfloat16),
        'shared, race': dict(race=race, shuffle=True),
        'shared, subset of 250': dict(samples=250),
        'shared, folded BN': dict(fold_bn=True),
        'shared, cached images': dict(cache=True),
        'shared, channels-last, bfloat16, folded BN, race': FASTEST | dict(autocast=torch.bfloat16),
        'shared, channels-last, folded BN, race, cached images': FASTEST,
    }
    times: dict[str, list[float]] = {name: [] for name in ['alone', *table]}
    scores = {}
    for _ in range(repeats):
        evaluator = setting.evaluator()
        evaluator.evaluate(archs[:1])  # warm-up
        seconds, results = cpu_seconds(one_at_a_time, evaluator, archs)
        times['alone'].append(seconds)
        scores['alone'] = np.array([result['accuracy/top1'] for result in results])
        for name, options in table.items():
            evaluator = setting.evaluator(**options)
            if options.get('cache'):
                read(evaluator)  # fills it
            seconds, results = cpu_seconds(evaluator.evaluate, archs)
            times[name].append(seconds)
            print(
                f'{name}: {seconds:.1f} s, {times["alone"][-1] / seconds:.2f} times as fast',
                flush=True,
            )
            scores[name] = np.array([result['accuracy/top1'] for result in results])
    top = set(np.argsort(-scores['alone'], kind='stable')[:10].tolist())
    rows = []
    for name in table:
        ratios = np.array(times['alone']) / np.array(times[name])
        difference = np.abs(scores[name] - scores['alone'])
        rows.append(
            dict(
                mode=name,
                ratio=float(np.median(ratios)),
                ratios=np.round(ratios, 2).tolist(),
                mean_difference=float(difference.mean()),
                largest_difference=float(difference.max()),
                same_top10=len(top & set(np.argsort(-scores[name], kind='stable')[:10].tolist())),
            )
        )
    return rows


def top10(setting: Macro, num_archs: int, seeds: int) -> dict:
    """How many of the top 10 by exact scores the fastest mode has too, and its ratio to exact
    sharing, over seeds of archs and samples."""
    same, ratios = [], []
    for seed in range(seeds):
        archs = random_archs(setting.space, num_archs, seed)
        # Together: bit-equal to one at a time, and several times as fast.
        exact_seconds, results = cpu_seconds(
            setting.evaluator(seed=seed, shuffle=True).evaluate, archs
        )
        exact_scores = np.array([result['accuracy/top1'] for result in results])
        evaluator = setting.evaluator(**FASTEST, seed=seed)
        fast, results = cpu_seconds(evaluator.evaluate, archs)
        scores = np.array([result['accuracy/top1'] for result in results])
        best = [
            set(np.argsort(-values, kind='stable')[:10].tolist())
            for values in (exact_scores, scores)
        ]
        same.append(len(best[0] & best[1]))
        ratios.append(exact_seconds / fast)
        print(seed, same[-1], ratios[-1], flush=True)
    return dict(same=same, ratios=ratios)


if __name__ == '__main__':
    main()
