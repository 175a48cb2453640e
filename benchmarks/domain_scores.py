#!/usr/bin/env python
"""Which score that reads no label of the target orders archs by their accuracy on it: Kendall tau
over sampled archs, per adaptation.

    python benchmarks/adapt_data.py --out data/adapt
    python benchmarks/domain_scores.py work_dirs/adapt/supervised-*/domains \\
        --data data/adapt/domains

The folders are adaptations by configs/adapt/uda-dann_nasbench-macro_1xb64-300i_digit-domains.py
(benchmarks/adapt.py --targets domains), of which the fine-tuned supernets are read. Accuracies and
scores are those of subnets with the supernet's weights, BN recalibrated on the domain that they are
scored on."""

import argparse
import os
from pathlib import Path

import numpy as np
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.registry import MODELS, init_default_scope
from tool_runs import TOP

from pinas_mm.checkpoint import load_strict
from pinas_mm.child_processes import exit_at_sigterm
from pinas_mm.engine.config import load_config
from pinas_mm.engine.loaders import calibration_loader, whole_set_loader
from pinas_mm.pipelines.stages import saved_checkpoint
from pinas_mm.ranking.ranking import kendall_tau
from pinas_mm.scoring.evaluator import ArchEvaluator
from pinas_mm.spaces import Arch, arch_rng, get_space

ACCURACY, INFORMATION = 'accuracy/top1', 'information/mutual_information'
SCORES = ('mutual information, held-out target images', 'accuracy, held-out source images')


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument('adaptations', type=Path, nargs='+')
    options.add_argument('--data', type=Path, required=True, help='folder domains of adapt_data.py')
    options.add_argument('--num-archs', type=int, default=60)
    args = options.parse_args()
    os.environ['PINAS_DATA'] = f'{args.data}/'
    config = load_config(
        TOP / 'configs/adapt/uda-dann_nasbench-macro_1xb64-300i_digit-domains.py', {}
    )
    init_default_scope(config.default_scope)
    space = get_space('nasbench_macro')
    archs = [space.sample(arch_rng(0, number)) for number in range(args.num_archs)]
    calibrated = config.arch_evaluation.calibration_dataloader
    target = dict(calibrated, dataset=dict(type='pinas_mm.UnlabelledDomain', dataset=config.target))
    unlabelled = dict(
        config.val_dataloader,
        dataset=dict(target['dataset'], dataset=dict(config.target, part='held_out')),
    )
    # Beside the test set, since a search's score is chosen by it.
    tested = dict(
        config.test_dataloader,
        dataset=dict(config.test_dataloader.dataset, data_prefix='noisy_dev'),
    )
    taus: dict[str, list[float]] = {name: [] for name in SCORES}
    for folder in args.adaptations:
        model = MODELS.build(dict(config.model, data_preprocessor=config.data_preprocessor))
        load_strict(model, saved_checkpoint(folder / 'supernet', config.filename))
        truth = score(model, archs, target, tested, config.test_evaluator, ACCURACY)
        information = dict(type='pinas_mm.InformationMaximisation')
        values = [
            score(model, archs, target, unlabelled, information, INFORMATION),
            score(model, archs, calibrated, config.val_dataloader, config.val_evaluator, ACCURACY),
        ]
        for name, value in zip(SCORES, values):
            taus[name].append(kendall_tau(np.array(value), np.array(truth)))
        print(
            folder, f'target accuracy {np.mean(truth):.1f} ± {np.std(truth, ddof=1):.1f} over archs'
        )
    for name, found in taus.items():
        print(f'{name}: tau', ' '.join(f'{tau:.2f}' for tau in found), f'mean {np.mean(found):.2f}')


def score(
    model: BaseModel, archs: list[Arch], calibration: dict, images: dict, evaluator: dict, key: str
) -> list[float]:
    """A metric of every arch."""
    evaluate = ArchEvaluator(
        model,
        calibration_loader(calibration, 4),
        whole_set_loader(images),
        lambda: Evaluator([dict(evaluator)]),
    )
    return [metrics[key] for metrics in evaluate.evaluate(archs)]


if __name__ == '__main__':
    exit_at_sigterm()
    main()
