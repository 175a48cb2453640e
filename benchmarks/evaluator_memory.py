#!/usr/bin/env python
"""How much memory the metrics of archs hold that are evaluated together.

    python benchmarks/evaluator_memory.py  # 256 archs, 1,000 images, 1,000 classes

Random images in memory, and a small untrained supernet: what a metric keeps of a prediction does
not depend on the backbone. Printed are the growth of this process's memory during one evaluation
and after it, and what they are of the bytes of all predictions (archs x images x classes x 4).
Calibration comes first in the same evaluation, so its memory is not in the growth.
"""

import argparse
import gc
import json

import numpy as np
import psutil
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS, MODELS, init_default_scope
from mmpretrain.structures import DataSample
from torch.utils.data import DataLoader

import pinas_mm  # noqa: F401
from pinas_mm.scoring.evaluator import ArchEvaluator


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (('archs', 256), ('images', 1000), ('classes', 1000), ('batch', 50)):
        options.add_argument(f'--{name}', type=int, default=default)
    options.add_argument('--metrics', nargs='+', default=['Accuracy'])
    args = options.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    init_default_scope('mmpretrain')
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.125),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=args.classes, in_channels=160),
        )
    )
    rng = np.random.default_rng(0)
    images = [
        dict(
            inputs=torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8),
            data_samples=DataSample().set_gt_label(int(rng.integers(args.classes))),
        )
        for _ in range(args.images)
    ]
    archs = {model.backbone.space.sample(rng): None for _ in range(2 * args.archs)}
    process, used = psutil.Process(), []

    def watch(done: int, total: int) -> None:
        if done >= args.archs:  # calibrated
            used.append(process.memory_info().rss)

    evaluator = ArchEvaluator(
        model,
        loader(images[:32], 32),
        loader(images, args.batch),
        lambda: Evaluator([METRICS.build(dict(type=name)) for name in args.metrics]),
        on_progress=watch,
    )
    evaluator.evaluate(list(archs)[: args.archs])
    gc.collect()
    grown, kept = max(used) - used[0], process.memory_info().rss - used[0]
    predictions = args.archs * args.images * args.classes * 4
    print(
        json.dumps(
            dict(
                predictions_mb=round(predictions / 2**20, 1),
                grown_mb=round(grown / 2**20, 1),
                kept_mb=round(kept / 2**20, 1),
                grown_ratio=round(grown / predictions, 4),
                kept_ratio=round(kept / predictions, 4),
            )
        )
    )


def loader(images: list, batch_size: int) -> DataLoader:
    return DataLoader(
        images,
        batch_size,
        collate_fn=lambda items: {key: [item[key] for item in items] for key in items[0]},
    )


if __name__ == '__main__':
    main()
