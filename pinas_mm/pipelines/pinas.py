"""The Pi-NAS method in four stages, and trainings of other configs with the found subnet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from typing_extensions import TypedDict

from ..checkpoint import load_strict
from ..engine.config import load_config
from ..engine.data_check import check_data
from ..engine.data_settings import compare_splits
from ..engine.metric_check import check_metrics, check_search
from ..engine.runner import build_runner
from ..engine.search_config import search_config
from ..engine.search_loop import SearchLoop
from ..engine.settings_check import check_phases
from ..errors import InputError
from ..schema import Measured
from ..scoring.arch_metrics import numbers
from ..searching.history import Record
from ..searching.search import ranked, to_record
from ..spaces import Arch
from ..spaces.subnet_file import SubnetFile
from .stages import is_done, run_once, saved_checkpoint

STAGES = ('learn', 'linear', 'search', 'finetune')


class Rows(TypedDict):
    """The result of the search: an arch of the table in each row."""

    rows: list[dict[str, Measured | str | None]]


# How far MACs of archs of equal cost may be from the found one's, and how many of them are drawn.
EQUAL, DRAWN = 0.05, 9


class Pipeline:
    """The four stages, each in its own folder of the work dir and done once.

    Args:
        configs: A config file for each of ``STAGES``, and for each transfer under its own name.
        work_dir: Where the folders of the stages are.
        seed: Seed of all stages.
        overrides: Values by dotted key, for the configs of ``STAGES``.
        stage_overrides: The same for the config of one stage, by its name.
    """

    def __init__(
        self,
        configs: dict[str, Path],
        work_dir: Path,
        seed: int,
        overrides: dict[str, Any],
        stage_overrides: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        self.configs, self.work_dir, self.seed, self.overrides = configs, work_dir, seed, overrides
        self.stage_overrides = stage_overrides or {}

    def run(self, num_random: int) -> list[dict[str, Any]]:
        """Runs the stages that are not done yet.

        Args:
            num_random: How many random archs of equal cost are fine-tuned, besides the found one
                and the median-scored one.

        Returns:
            A row for each fine-tuned arch: its name, arch, costs, supernet score and test accuracy
            in %.

        Raises:
            InputError: A config cannot be read, a setting of it does not fit, its search cannot
                be built, its metrics not be computed, stages hold out other parts of the same
                images, a stage was run under another config, or no arch has the cost of the found
                one.
        """
        for stage in self.configs:  # before the first of them takes hours
            config = self.config(stage, {})
            if stage != 'search':
                check_phases(config)
        self.check_splits()
        self.check_metrics()
        learned = self.train('learn', {'model.arch_seed': self.seed})
        linear = self.train(
            'linear',
            {'custom_hooks.0.seed': self.seed},
            {'model.backbone.init_cfg.checkpoint': learned},
        )
        rows = self.search(linear, num_random)
        for row in rows:
            row['test'] = self.finetune(self.work_dir / 'search' / folder_of(row['name']))
        return rows

    def check_data(self) -> None:
        """Reads every image of the configs of all stages and transfers.

        Raises:
            InputError: Some cannot be read; they are listed.
        """
        check_data(*(self.config(stage, {}) for stage in self.configs))

    def check_splits(self) -> None:
        """Whether no stage learns from images that another is scored on. Transfers have data of
        their own."""
        compare_splits({stage: self.config(stage, {}) for stage in STAGES if stage in self.configs})

    def check_metrics(self) -> None:
        """Computes the metrics of every stage and transfer that is not done once, and builds the
        search, before hours of training."""
        searched = self.config('search', {}).model.backbone
        for stage in self.configs:
            folder = 'finetune/searched' if stage == 'finetune' else stage
            if stage == 'learn' or is_done(self.work_dir / folder):
                continue
            config = self.config(stage, {})
            if stage == 'search':
                check_search(config)  # its own test set is read by nothing
                continue
            if stage != 'linear':
                set_searched_size(config, searched)
            for phase in ('val', 'test'):
                check_metrics(config, phase)

    def search(self, linear: str, num_random: int) -> list[dict[str, Any]]:
        """Searches and chooses archs of equal cost, unless that is done; writes a subnet for each.

        Returns:
            A row for each: its name, arch, costs and supernet score.
        """
        print('--- search', flush=True)
        changes = {
            'search_loop.seed': self.seed,
            'search_loop.resume': True,  # from the history, where there is one
            'random_archs': num_random,
        }
        config = search_config(self.config('search', changes))
        for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
            config[key] = None

        def search(config: Config) -> dict[str, Any]:
            runner = build_runner(config)
            load_strict(runner.model, linear)
            runner.test()
            loop: SearchLoop = runner.test_loop
            rows = []
            for name, record in self.chosen(loop, num_random).items():
                loop.save_subnet(record, self.work_dir / 'search' / folder_of(name))
                arch = loop.backbone.space.encode(record.arch)
                rows.append(dict(name=name, arch=arch, **record.costs, score=record.score))
            return dict(rows=rows)

        return run_once(config, self.work_dir / 'search', search, kind=Rows)['rows']

    def chosen(self, loop: SearchLoop, num_random: int) -> dict[str, Record]:
        """The archs to fine-tune by name: the found one, and of those of equal cost the
        median-scored one and the first of the others."""
        drawn = self.equal_cost(loop, loop.winner)
        median = drawn[(len(drawn) - 1) // 2]
        others = sorted(
            (record for record in drawn if record is not median), key=lambda record: record.index
        )
        names = [f'random {i + 1}' if num_random > 1 else 'random' for i in range(num_random)]
        return {'searched': loop.winner, 'median-scored': median} | dict(zip(names, others))

    def config(self, stage: str, changes: dict[str, Any]) -> Config:
        """The stage's config with the seed, the overrides and ``changes``."""
        overrides = self.overrides | self.stage_overrides.get(stage, {}) if stage in STAGES else {}
        config = load_config(self.configs[stage], overrides)
        config.merge_from_dict({'randomness.seed': self.seed} | changes)
        return config

    def train(
        self, stage: str, changes: dict[str, Any], inputs: dict[str, str] | None = None
    ) -> str:
        """Trains a stage, unless it is done, and returns its last checkpoint.

        Args:
            stage: Its name.
            changes: What its config changes, by dotted key.
            inputs: Paths of what earlier stages wrote (:func:`~.stages.run_once`).
        """
        print(f'--- {stage}', flush=True)

        def train(config: Config) -> dict[str, Any]:
            build_runner(config).train()
            return {}

        run_once(self.config(stage, changes), self.work_dir / stage, train, inputs)
        return saved_checkpoint(self.work_dir / stage, self.configs[stage])

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
        """Fine-tunes a subnet; returns its test accuracy in %."""
        return self.train_with_subnet('finetune', folder, f'finetune/{folder.name}')[
            'accuracy/top1'
        ]

    def transfer(self, stage: str) -> dict[str, float]:
        """Trains a config with the found subnet as its backbone; returns its test metrics."""
        return self.train_with_subnet(stage, self.work_dir / 'search', stage)

    def train_with_subnet(self, stage: str, subnet: Path, folder: str) -> dict[str, float]:
        """Trains a stage with a subnet as its backbone, unless it is done; returns its test
        metrics."""
        print(f'--- {folder}', flush=True)
        config = self.config(stage, {})

        def train_and_test(config: Config) -> dict[str, float]:
            runner = build_runner(config)
            runner.train()
            return numbers(runner.test())

        return run_once(
            config,
            self.work_dir / folder,
            train_and_test,
            with_subnet(config, subnet),
            kind=dict[str, Measured],
        )


class Summary(NamedTuple):
    """Test accuracies of several archs in %: their mean and sample standard deviation."""

    number: int
    mean: float
    deviation: float


def random_summary(rows: Sequence[Mapping[str, Any]]) -> Summary | None:
    """Of the random archs among the rows of :meth:`Pipeline.run`; None with fewer than two."""
    tests = [row['test'] for row in rows if row['name'].startswith('random')]
    if len(tests) < 2:
        return None
    return Summary(len(tests), float(np.mean(tests)), float(np.std(tests, ddof=1)))


def with_subnet(config: Config, folder: Path) -> dict[str, str]:
    """What a config changes for the subnet of a folder: its arch and, unless its backbone has no
    ``init_cfg`` and so starts from random weights, the weights that the subnet inherits."""
    changes = {'model.backbone.arch': str(folder / 'subnet.yaml')}
    if config.model.backbone.get('init_cfg'):
        changes['model.backbone.init_cfg.checkpoint'] = str(folder / 'subnet.pth')
    return changes


def folder_of(name: str) -> str:
    """The folder of an arch of the table."""
    return name.replace(' ', '_')


def set_searched_size(config: Config, searched: Mapping[str, Any]) -> None:
    """Gives a config that takes the found subnet the width and the image channels of the searched
    backbone. It leaves them to the subnet file, which is not there yet.

    Raises:
        InputError: It states others.
    """
    backbone = config.model.backbone
    for key in ('widen_factor', 'in_channels'):
        size = searched.get(key) or getattr(SubnetFile, key)
        if backbone.get(key) not in (size, None):
            raise InputError(
                f'{config.filename}: model.backbone.{key}={backbone[key]}, but the search has '
                f'{size}: leave it out, since the subnet file has it'
            )
        backbone[key] = size
