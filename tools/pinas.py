#!/usr/bin/env python
"""Runs the whole Pi-NAS method from four configs, and what the found subnet is put to from more,
and prints tables.

Learn without labels, train the linear classifier, search, fine-tune the found subnet with its
inherited weights, and fine-tune archs of equal cost (MACs within 5 %) the same way: the
median-scored of nine drawn at random, and the first of the others.

    python tools/pinas.py configs/quickstart/{learn,linear,search,finetune}.py \\
        --work-dir work_dirs/quickstart
    python tools/pinas.py configs/quickstart/{learn,linear,search,finetune}.py \\
        --work-dir work_dirs/quickstart \
        --transfer configs/quickstart/detect.py configs/quickstart/segment.py

Each --transfer is a training config of any mm package whose model has a searchable backbone; it is
trained with the found subnet and its inherited weights, then tested. Its data must be there: for
the two above, python tools/digit_scenes.py data/digit_scenes.

Run again with the same work dir, it goes on where it stopped: finished stages are kept, the search
and a stage that was training resume. To change one stage alone, pass a config of your own that
inherits it. """

import argparse
import json
import time
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint
from rich.console import Console
from rich.table import Table

from pinas_mm.checkpoint import load_strict
from pinas_mm.engine import SearchLoop
from pinas_mm.engine.command_line import KeyValues, build_runner, load_config, run_tool
from pinas_mm.engine.search_config import search_config
from pinas_mm.errors import InputError
from pinas_mm.fileio import write_atomic
from pinas_mm.pipelines.stages import into_folder, run_once
from pinas_mm.search.history import Record
from pinas_mm.search.search import ranked, to_record
from pinas_mm.spaces import Arch

STAGES = ('learn', 'linear', 'search', 'finetune')
EQUAL = 0.05
DRAWN = 9
# What is shown of a transfer's metrics; results.json has all.
HEADLINES = ('mAP', 'mIoU', 'accuracy/top1')


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for stage in STAGES:
        options.add_argument(stage, type=Path, help=f'config of the {stage} stage')
    options.add_argument('--work-dir', type=Path, required=True)
    options.add_argument('--seed', type=int, default=0)
    options.add_argument(
        '--random', type=int, default=1, help='random archs of equal cost to fine-tune (default: 1)'
    )
    options.add_argument(
        '--transfer',
        type=Path,
        nargs='+',
        default=[],
        help='configs that put the found subnet to use',
    )
    options.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeyValues,
        default={},
        help="overrides for all configs but the transfers'",
    )
    args = options.parse_args()
    configs = {stage: getattr(args, stage) for stage in STAGES} | {
        path.stem: path for path in args.transfer
    }
    if len(configs) < len(STAGES) + len(args.transfer):
        raise InputError(
            f'--transfer {" ".join(map(str, args.transfer))}: names of files that differ from '
            f'each other and from {STAGES} '
            'expected, since each has its folder in the work dir'
        )
    started = time.time()
    pipeline = Pipeline(configs, args.work_dir, args.seed, args.cfg_options)
    results = dict(
        seed=args.seed,
        configs={stage: str(path) for stage, path in configs.items()},
        rows=pipeline.run(args.random),
    )
    show(results['rows'], args.work_dir)
    for path in args.transfer:
        results.setdefault('transfers', {})[path.stem] = pipeline.transfer(path.stem)
    write_atomic(
        args.work_dir / 'results.json',
        lambda file: file.write(json.dumps(results, indent=1).encode()),
    )
    if args.transfer:
        show(results['rows'], args.work_dir)
        show_transfers(results['transfers'])
    print(f'whole run: {(time.time() - started) / 60:.1f} minutes')


class Pipeline:
    """The four stages, each in its own folder of the work dir."""

    def __init__(
        self, configs: dict[str, Path], work_dir: Path, seed: int, overrides: dict
    ) -> None:
        self.configs, self.work_dir, self.seed, self.overrides = configs, work_dir, seed, overrides

    def run(self, num_random: int) -> list[dict]:
        """All stages; returns one row per fine-tuned arch."""
        learned = self.train('learn', {'model.arch_seed': self.seed})
        linear = self.train(
            'linear',
            {'model.backbone.init_cfg.checkpoint': learned, 'custom_hooks.0.seed': self.seed},
        )
        print('--- search', flush=True)
        config = self.config(
            'search',
            {
                'search_loop.seed': self.seed,
                'search_loop.resume': True,
                'model.backbone.init_cfg.checkpoint': learned,
            },
        )
        config = into_folder(search_config(config), self.work_dir / 'search', resume=False)
        runner = build_runner(config)
        load_strict(runner.model, linear)
        runner.test()
        loop: SearchLoop = runner.test_loop
        drawn = self.equal_cost(loop, loop.winner)
        median = drawn[(len(drawn) - 1) // 2]
        chosen = {'searched': loop.winner, 'median-scored': median}
        drawn = sorted(
            (record for record in drawn if record is not median), key=lambda record: record.index
        )
        chosen |= {
            f'random {i + 1}' if num_random > 1 else 'random': record
            for i, record in enumerate(drawn[:num_random])
        }
        rows = []
        for name, record in chosen.items():
            folder = self.work_dir / 'search' / name.replace(' ', '_')
            loop.save_subnet(record, folder)
            accuracy = self.finetune(folder)
            rows.append(
                dict(
                    name=name,
                    arch=loop.backbone.space.encode(record.arch),
                    **record.costs,
                    score=record.score,
                    test=accuracy,
                )
            )
        return rows

    def config(self, stage: str, changes: dict) -> Config:
        """The stage's config with the seed, the overrides and ``changes``."""
        config = load_config(self.configs[stage], self.overrides if stage in STAGES else {})
        config.merge_from_dict({'randomness.seed': self.seed} | changes)
        return config

    def train(self, stage: str, changes: dict) -> str:
        """Trains a stage, unless that is done, and returns its last checkpoint."""
        print(f'--- {stage}', flush=True)

        def train(config: Config) -> dict[str, str]:
            build_runner(config).train()
            return dict(checkpoint=find_latest_checkpoint(config.work_dir))

        return run_once(self.config(stage, changes), self.work_dir / stage, train)['checkpoint']

    def equal_cost(self, loop: SearchLoop, winner: Record) -> list[Record]:
        """Random archs whose MACs are within 5 % of the winner's, by supernet score on the whole
        held-out split, best first."""
        rng, space = np.random.default_rng((self.seed, 1)), loop.backbone.space
        archs: dict[Arch, None] = {}
        for _ in range(200):
            pool = space.sample_array(rng, 1000)
            near = np.abs(loop.costs.array('macs', pool) / winner.costs['macs'] - 1) <= EQUAL
            archs |= {
                space.canonical(tuple(arch)): None
                for arch in pool[near].tolist()
                if space.canonical(tuple(arch)) != winner.arch
            }
            if len(archs) >= DRAWN:
                break
        chosen = list(archs)[:DRAWN]
        if not chosen:
            raise InputError(
                f"no other arch within {EQUAL:.0%} of the found one's "
                f'{winner.costs["macs"] / 1e6:.1f} M MACs'
            )
        return ranked(
            [
                to_record(index, arch, result, loop.score, loop.costs.arch_costs(arch))
                for index, (arch, result) in enumerate(
                    zip(chosen, loop.whole_evaluator.evaluate(chosen))
                )
            ]
        )

    def finetune(self, folder: Path) -> float:
        """Fine-tunes a subnet from its inherited weights; returns its test accuracy in %."""
        return self.put_to_use('finetune', folder, f'finetune/{folder.name}')['accuracy/top1']

    def transfer(self, stage: str) -> dict[str, float]:
        """Trains a config with the found subnet as its backbone; returns its test metrics."""
        return self.put_to_use(stage, self.work_dir / 'search', stage)

    def put_to_use(self, stage: str, subnet: Path, folder: str) -> dict[str, float]:
        """Trains a stage with a subnet and its inherited weights as backbone, unless that is done;
        returns its test metrics."""
        print(f'--- {folder}', flush=True)

        def train_and_test(config: Config) -> dict[str, float]:
            runner = build_runner(config)
            runner.train()
            return {key: float(value) for key, value in runner.test().items()}

        return run_once(
            self.config(stage, self.with_subnet(subnet)), self.work_dir / folder, train_and_test
        )

    def with_subnet(self, folder: Path) -> dict[str, str]:
        """What a config changes for the subnet of a folder."""
        return {
            'model.backbone.arch': str(folder / 'subnet.yaml'),
            'model.backbone.init_cfg.checkpoint': str(folder / 'subnet.pth'),
        }


def show(rows: list[dict], work_dir: Path) -> None:
    """Prints the table."""
    table = Table(title=f'Pi-NAS: {work_dir}')
    for title in ('', 'arch', 'params (M)', 'MACs (M)', 'supernet score (%)', 'test accuracy (%)'):
        table.add_column(title, justify='left' if title in ('', 'arch') else 'right')
    for row in rows:
        table.add_row(
            row['name'],
            row['arch'],
            f'{row["params"] / 1e6:.3f}',
            f'{row["macs"] / 1e6:.2f}',
            f'{row["score"]:.2f}',
            f'{row["test"]:.2f}',
        )
    Console(width=120).print(table)


def show_transfers(transfers: dict[str, dict[str, float]]) -> None:
    """Prints the headline metrics of the transfers, as their evaluators give them: COCO's from 0 to
    1, mmseg's in %."""
    table = Table(title='The found subnet as backbone, on its test set')
    for title in ('config', 'metric', 'value'):
        table.add_column(title, justify='right' if title == 'value' else 'left')
    for name, metrics in transfers.items():
        headline = [key for key in metrics if key.endswith(HEADLINES)] or list(metrics)
        for key in headline:
            table.add_row(name, key, f'{metrics[key]:.3f}')
    Console(width=120).print(table)


if __name__ == '__main__':
    run_tool(main)
