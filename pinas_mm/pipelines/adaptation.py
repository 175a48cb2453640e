"""Architecture and weights adapted together to a new task, and the same budget spent in other ways.

Wang et al., Joint Learning of Neural Transfer and Architecture Adaptation for Image Recognition,
2021: a supernet trained on a source is fine-tuned on the target with sampled archs, searched by the
target's own metric, and the found subnet fine-tuned from the weights it has. The source may also be
one pretrained network: an elastic backbone is a supernet made of it."""

import copy
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.logging import MMLogger, print_log
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset
from typing_extensions import TypedDict

from ..checkpoint import checksum, load_checkpoint, load_strict, save_checkpoint
from ..costs import Constraints, CostTable, measure_costs
from ..costs.latency import read_latency
from ..costs.shared_parts import macs_together
from ..datasets.shared_images import shared_images
from ..engine.data_settings import fill_in_from_data
from ..engine.hooks.arch_sampling_hook import ArchSamplingHook
from ..engine.hooks.training_time_hook import TrainingTimeHook, training_seconds
from ..engine.loaders import arch_evaluation, built_dataset, calibration_loader
from ..engine.metric_check import check_metrics, check_search
from ..engine.runner import build_runner, build_supernet, checked_pretrained, init_ranks
from ..engine.search_config import search_config
from ..engine.search_loop import SearchLoop
from ..engine.settings_check import check_settings
from ..errors import InputError, warn_once
from ..fileio import write_atomic
from ..models.backbones import ArchBackbone, pretrained_files
from ..models.backbones.elastic import ElasticBackbone
from ..registry import HOOKS, MODELS, class_of
from ..schema import Measured, NotNegative, Positive, shown
from ..scoring.arch_metrics import numbers
from ..scoring.bn_recalibration import recalibrated_bn
from ..searching.history import Record, read_history
from ..spaces import Arch
from ..spaces.elastic import ElasticSpace
from ..spaces.subnet_file import SubnetFile, read_arch
from ..strategies.base import DrawnArchsStrategy
from ..subnets.state_dict import subnet_state_dict
from ..tasks.domains import UnlabelledDomain
from ..unwrap import unwrapped
from ..visualization.adaptation_report import write_adaptation_report
from ..visualization.report_page import report_after_run
from ..visualization.run_facts import (
    RunFacts,
    command_line,
    costliest_arch,
    data_text,
    drawn_arch,
    package_versions,
)
from .schedule import lengthened
from .stages import is_done, run_once, saved_checkpoint


class Searched(TypedDict):
    """The result of a search."""

    seconds: NotNegative
    operations: Positive


class Trained(Searched):
    """The result of a training: ``passes`` are those of a step, in forward passes."""

    passes: Positive


class Tested(Trained):
    """The result of a training and its test."""

    metrics: dict[str, Measured]
    arch: str
    costs: dict[str, NotNegative]


STEPS = ('supernet', 'search', 'subnet', 'compare')
# What a search may be scored on.
HELD_OUT_PART = (
    'a held-out part of the training set: held_out = 0.1 at the top of the config, or splits of '
    "your own (type='pinas_mm.SeededSplit')"
)
# What the budget is spent on instead: the names of the rows, and of the folders.
COMPARISONS = dict(
    fixed='(a) fixed source arch',
    scratch='(b) found arch from scratch',
    other_weights="(c) found arch, source arch's weights",
)
JOINT = 'joint adaptation'
# Forward passes that a training pass of one image is worth: forward, and backward to inputs and to
# weights.
TRAINING, FORWARD = 3, 1


class Adaptation:
    """The steps of one adaptation, each in its own folder of the work dir and done once.

    The config is an ordinary one that trains and tests a model with a searchable backbone on the
    target. Three keys say what differs in a step: ``supernet_stage`` (merged for the supernet's
    fine-tuning), ``search_loop`` (the ``SearchLoop``, scored on ``val_dataloader``) and
    ``subnet_stage`` (merged for the subnet's fine-tuning and all comparisons). The supernet's hooks
    hold ``ArchSamplingHook``; or ``supernet_stage.strategy`` is the config of a strategy, without
    its ``model``, which is the config's own.

    Args:
        config: That config, with its ``work_dir``.
        supernet: Checkpoint of the source's supernet, trained with or without labels: of its
            tensors those below ``backbone.`` are used. None: the config's elastic backbone with the
            weights of its ``init_cfg``, a network trained on the source.
        source_arch: The source's best arch, for the comparisons: a list, text or a subnet file
            (:func:`~pinas_mm.spaces.subnet_file.read_arch`). Without a ``supernet`` it defaults to
            the largest arch, which is the pretrained network.
        seed: Seed of all steps; None leaves the config's own.

    Raises:
        InputError: A key is missing, or the search would be scored on the test set.
    """

    def __init__(
        self,
        config: Config,
        supernet: str | None = None,
        source_arch: Sequence[int] | str | PathLike | None = None,
        seed: int | None = None,
    ) -> None:
        fill_in_from_data(config)
        self.name = config.filename or 'config'
        self.config, self.supernet, self.work_dir = (
            copy.deepcopy(config),
            supernet,
            Path(config.work_dir),
        )
        init_default_scope(config.get('default_scope', 'mmengine'))
        check_adaptation_config(config)
        self.stages: dict[str, Any] = {
            key: self.config.pop(key, None) or {}
            for key in ('supernet_stage', 'search_loop', 'subnet_stage')
        }
        self.strategy: dict[str, Any] = self.stages['supernet_stage'].pop('strategy', None) or {}
        self.config.arch_evaluation = arch_evaluation(config, training_set=True)
        if seed is not None:
            self.config.merge_from_dict({'randomness.seed': seed})
            self.stages['search_loop']['seed'] = seed
            for hook in sampling_hooks(self.stages['supernet_stage'].get('custom_hooks')):
                hook['seed'] = seed
            if self.strategy:
                self.strategy['arch_seed'] = seed
        self.source_arch = source_arch
        init_ranks(config)

    def run(self, until: str = STEPS[-1]) -> dict[str, Any]:
        """Runs the steps that are not done yet and writes ``adapt.json``, and of it and the other
        files ``report.html``.

        Args:
            until: The last step, one of ``STEPS``.

        Returns:
            What ``adapt.json`` holds: seconds and operations of every step, the found arch and how
            it differs from the source's, and for every way to a trained network a row with test
            metrics and costs.

        Raises:
            InputError: No supernet, or one of another space, or no source arch to compare with;
                before anything is written.
        """
        config = copy.deepcopy(self.config)
        merge_changes(config, dict(model=self.stages['supernet_stage'].get('model') or {}))
        backbone = build_supernet(config).backbone
        self.load_source(backbone)
        if self.supernet is None and self.source_arch is None:
            self.source_arch = backbone.space.largest
        if until == 'compare' and self.source_arch is None:
            raise InputError(
                "the comparison needs the source's best arch (--source-arch): the subnet.yaml of "
                'a search on the source, or '
                'the arch as text; without it, --until subnet'
            )
        self.check_later_steps()
        done = STEPS[: 1 + STEPS.index(until)]
        results = {'supernet': self.fine_tune_supernet()}
        if 'search' in done:
            results['search'] = self.search()
        if 'subnet' in done:
            results['subnet'] = self.fine_tune_subnet()
        report: dict[str, Any] = dict(
            config=Path(self.name).name,
            supernet=self.supernet and str(self.supernet),
            steps={
                name: {key: found[key] for key in ('seconds', 'operations')}
                for name, found in results.items()
            },
        )
        if 'search' in done:
            report |= self.differences()
        if 'subnet' in done:
            report['rows'] = {JOINT: report_row(results['subnet'], *results.values())}
        if 'compare' in done:
            budget = sum(found['operations'] for found in results.values())
            for name, title in COMPARISONS.items():
                result = self.compare(name, budget, results['subnet'])
                report['rows'][title] = report_row(result, result)
        if is_main_process():
            write_atomic(
                self.work_dir / 'adapt.json',
                lambda file: file.write(json.dumps(report, indent=1).encode()),
            )

            def write_report(folder: Path) -> Path:
                self.write_facts(report)
                return write_adaptation_report(folder)

            report_after_run(write_report, self.work_dir, MMLogger.get_current_instance())
        return report

    def write_facts(self, report: dict[str, Any]) -> None:
        """Writes ``report.json``: what the report shows beside the other files.

        Args:
            report: What ``adapt.json`` holds.
        """
        space, loop = self.costs.space, self.stages['search_loop']
        archs = {'winner': report.get('arch'), 'source': report.get('source_arch')}
        drawn = {title: space.decode(text) for title, text in archs.items() if text}
        largest = costliest_arch(self.costs)
        if largest is not None and largest not in drawn.values():
            drawn['largest'] = largest
        RunFacts(
            kind='adaptation',
            space=space.name,
            command=command_line(),
            config=self.config.filename,
            versions=package_versions(),
            settings={
                'started from': str(self.supernet or 'the weights of the pretrained network'),
                **{
                    title: data_text(self.config[f'{part}_dataloader'].get('dataset'))
                    for title, part in (
                        ('trained on', 'train'),
                        ('searched on, held out', 'val'),
                        ('tested on', 'test'),
                    )
                },
                'costs at': f'{loop.get("input_size")} pixels',
                'seed': (self.config.get('randomness') or {}).get('seed'),
            },
            widen_factor=self.config.model.backbone.get('widen_factor') or 1.0,
            drawings={title: drawn_arch(self.costs, arch) for title, arch in drawn.items()},
        ).write(self.work_dir)

    def check_later_steps(self) -> None:
        """Builds what later steps read, so that what is wrong with it shows before hours of
        training; nothing for steps that are done."""
        if self.source_arch is not None:
            self.warn_if_within(self.read_source_arch())
        searched, tested = (is_done(self.work_dir / step) for step in ('search', 'subnet'))
        if searched and tested:
            return
        # Each once: the annotations of a large set take minutes.
        train, scored, test = (
            built_dataset(self.config[f'{part}_dataloader'].dataset)
            for part in ('train', 'val', 'test')
        )
        self.check_held_out(scored, train, 'train')
        # The stage that the search chooses by may have data of its own.
        own = self.training_config('supernet_stage').train_dataloader.dataset
        if own != self.config.train_dataloader.dataset:
            self.check_held_out(scored, built_dataset(own), 'train', 'supernet_stage.')
        # Images without labels may be tested on: that is how unsupervised domain adaptation is.
        if not isinstance(scored, UnlabelledDomain):
            self.check_held_out(scored, test, 'test')
        calibration = self.calibration_loader(train)
        supernet = build_supernet(self.config)
        if not searched:
            check_search(self.searching_config(), supernet, calibration, scored, self.costs)
        if not tested:
            check_metrics(self.config, 'test', supernet, calibration, test)

    def warn_if_within(self, source: Arch) -> None:
        """Says so where the source's arch keeps the limits of the search: an arch of the target
        then need not be cheaper."""
        limits = Constraints(self.costs, **self.stages['search_loop'].get('constraints') or {})
        if limits.limits and limits.mask([source])[0]:
            costs = self.costs.arch_costs(source)
            has = ', '.join(f'{name}={costs[name]:.4g}' for name in limits.limits)
            warn_once(
                f"{self.name}: the source's arch {self.costs.space.encode(source)} has {has} and "
                f'keeps search_loop.constraints ({limits.text()}): nothing will be gained in cost; '
                f'expected a limit below it'
            )

    def check_held_out(self, scored: Dataset, other: Dataset, part: str, stage: str = '') -> None:
        """Whether what the search is scored on is left out of another part, of the config or of a
        stage."""
        if shared := shared_images(scored, other):
            raise InputError(
                f'{self.name}: {len(shared)} images of val_dataloader are also in '
                f'{stage}{part}_dataloader, such as {shared[0]}: the search would '
                f'choose by images that are {dict(train="learned from", test="tested on")[part]}. '
                f'Expected {HELD_OUT_PART} in both'
            )

    # ----------------------------------------------------------------------------------------------

    def fine_tune_supernet(self) -> dict[str, Any]:
        """Trains the source's supernet on the target with sampled archs; the target's neck and head
        start from random weights."""
        inputs: dict[str, str] = {}
        if self.supernet is None:
            weights = self.config.model.backbone.get('init_cfg')
            config = self.training_config('supernet_stage', init_cfg=weights)
        else:
            config = self.training_config('supernet_stage', init_cfg=pretrained())
            # In place of its path, which may change.
            config.supernet_checksum = checksum(load_checkpoint(self.supernet)['state_dict'])
            inputs['model.backbone.init_cfg.checkpoint'] = str(self.supernet)
        if self.strategy:
            config.model = dict(self.strategy, model=config.model)
            inputs = {f'model.{key}': path for key, path in inputs.items()}

        def train(config: Config) -> dict[str, Any]:
            runner = build_runner(config)
            model = unwrapped(runner.model)
            if self.supernet is not None:
                self.load_source(model.backbone)
            if isinstance(model, DrawnArchsStrategy):
                return self.train(runner, model.draw_archs)
            # The one that trains: with cost_bins it draws by what it has measured there.
            hook = next(hook for hook in runner.hooks if isinstance(hook, ArchSamplingHook))
            return self.train(runner, lambda iteration: [hook.arch(self.costs.space, iteration)])

        return run_once(config, self.work_dir / 'supernet', train, inputs, Trained)

    def search(self) -> dict[str, Any]:
        """Searches the fine-tuned supernet by the target's metric on the held-out part."""
        supernet = saved_checkpoint(self.work_dir / 'supernet', self.name)
        config = search_config(self.searching_config())
        merge_changes(config, dict(model=self.stages['supernet_stage'].get('model') or {}))
        for key in ('arch', 'init_cfg'):
            config.model.backbone.pop(key, None)
        for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
            config[key] = None
        config.custom_hooks, config.load_from = [], None

        def search(config: Config) -> dict[str, Any]:
            started = time.monotonic()
            config.test_cfg.resume = (
                True  # from a history, where there is one; not from a checkpoint
            )
            runner = build_runner(config)
            load_strict(runner.model, supernet)
            runner.test()
            barrier()  # the first rank has written the history
            loop = runner.test_loop
            records = read_history(loop.out_dir / 'history.jsonl', self.costs.space)[1]
            return dict(
                seconds=time.monotonic() - started, operations=self.operations(loop, records)
            )

        return run_once(config, self.work_dir / 'search', search, kind=Searched)

    def operations(self, loop: SearchLoop, records: Sequence[Record]) -> int:
        """What a search has spent: of archs that were scored side by side, what they share is
        counted once. On several ranks, as if one had run all of them."""
        searched = [record.arch for record in records if record.stage == 'search']
        first = max(loop.ask_size, loop.score.reference(loop.num_archs))
        edges = [0, *range(first, len(searched), loop.ask_size), len(searched)]
        asked = [
            (searched[start:end], loop.quick_evaluator) for start, end in zip(edges, edges[1:])
        ]
        rescored = [record.arch for record in records if record.stage != 'search']
        calibrated = num_images(loop.whole_evaluator.calibration_loader)
        total = 0
        for archs, evaluator in [*asked, (rescored, loop.whole_evaluator)]:
            macs = (
                macs_together(self.costs, loop.backbone, archs)
                if evaluator.share_prefixes
                else int(self.costs.array('macs', archs).sum())
            )
            total += macs * FORWARD * (calibrated + num_images(evaluator.loader))
        return total

    def searching_config(self) -> Config:
        """The config with its search."""
        config = copy.deepcopy(self.config)
        config.search_loop = self.stages['search_loop']
        return config

    def fine_tune_subnet(self) -> dict[str, Any]:
        """Trains the found subnet on from the weights it has in the fine-tuned supernet, neck and
        head included, and tests it."""
        weights = self.work_dir / 'search/subnet.pth'
        config = self.training_config('subnet_stage', arch=list(self.found_arch()))

        def train(config: Config) -> dict[str, Any]:
            runner = build_runner(config)
            load_strict(
                runner.model, weights
            )  # says what is missing; mmengine would go on without it
            return self.train_and_test(runner)

        inputs = dict(load_from=str(weights))
        return run_once(config, self.work_dir / 'subnet', train, inputs, Tested)

    def compare(self, name: str, budget: int, joint: dict[str, Any]) -> dict[str, Any]:
        """Spends a budget on training one network on the target, and tests it.

        Args:
            name: ``'fixed'``: the source arch from the source's weights. ``'scratch'``: the found
                arch from none. ``'other_weights'``: the found arch; what it shares with the source
                arch starts from the source's weights, all else from random ones. The source's
                weights come with BN statistics of the source arch on the search's calibration
                images, as a found subnet's do. In an elastic space all is shared: the found arch
                starts from its part of the source's weights, with BN statistics of its own.
            budget: Operations of the whole joint adaptation.
            joint: Result of :meth:`fine_tune_subnet`, whose schedule is lengthened to the budget.
        """
        found, source = self.found_arch(), self.read_source_arch()
        arch = source if name == 'fixed' else found
        config = self.training_config('subnet_stage', arch=list(arch))
        if name != 'fixed':
            # What mm's configs freeze is pretrained; here not all is, or nothing.
            for key in ('frozen_stages', 'frozen_norm_eval', 'norm_eval'):
                config.model.backbone.pop(key, None)
        if name == 'scratch':
            for key, options in (
                (config.optim_wrapper.get('paramwise_cfg') or {}).get('custom_keys', {}).items()
            ):
                if key.startswith('backbone'):
                    options.pop('lr_mult', None)
        passes = joint['passes'] if name == 'fixed' else TRAINING
        config = lengthened(
            config,
            budget
            * joint['passes']
            * self.macs(found)
            / (joint['operations'] * passes * self.macs(arch)),
        )

        # What archs of an elastic space share are parts of the same tensors, and the source arch's
        # need not be the larger ones: there the found arch has its own part of the source's.
        shared = isinstance(self.costs.space, ElasticSpace)

        def train(config: Config) -> dict[str, Any]:
            if name != 'scratch' and not config.resume:
                config.load_from = self.write_source_weights(
                    Path(config.work_dir), arch if shared else source
                )
            return self.train_and_test(build_runner(config))

        return run_once(config, self.work_dir / name, train, kind=Tested)

    # ----------------------------------------------------------------------------------------------

    def training_config(self, stage: str, **backbone: Any) -> Config:
        """The config of a training: the stage's changes, what its backbone is given, and no
        validation, which nothing is chosen by."""
        config = copy.deepcopy(self.config)
        merge_changes(config, self.stages[stage])
        for key in ('arch', 'init_cfg'):
            config.model.backbone.pop(key, None)
        config.model.backbone.update(backbone)
        config.load_from = None
        config.val_dataloader = config.val_evaluator = config.val_cfg = None
        if stage == 'supernet_stage':
            config.test_dataloader = config.test_evaluator = config.test_cfg = None
        return config

    def train(self, runner: Runner, archs: Callable[[int], Sequence[Arch]]) -> dict[str, Any]:
        """Trains; ``archs`` tells those of an iteration."""
        runner.register_hook(TrainingTimeHook())
        runner.train()
        barrier()  # the first rank has written the checkpoint
        saved_checkpoint(runner.work_dir, self.name)
        frozen = not any(
            parameter.requires_grad for parameter in unwrapped(runner.model).backbone.parameters()
        )
        passes, images = (
            FORWARD if frozen else TRAINING,
            runner.cfg.train_dataloader.batch_size * get_world_size(),
        )
        run = [arch for iteration in range(runner.max_iters) for arch in archs(iteration)]
        macs = self.costs.array('macs', run)
        operations = int(macs.sum()) * images * passes
        return dict(seconds=training_seconds(runner), passes=passes, operations=operations)

    def train_and_test(self, runner: Runner) -> dict[str, Any]:
        """Trains a subnet and tests it on the test set, read for nothing else."""
        arch = unwrapped(runner.model).backbone.arch
        result = self.train(runner, lambda iteration: [arch])
        metrics = numbers(runner.test())
        return result | dict(
            metrics=metrics, arch=self.costs.space.encode(arch), costs=self.costs.arch_costs(arch)
        )

    def write_source_weights(self, folder: Path, source: Arch) -> str:
        """Writes ``start.pth``: the backbone of the source arch with its weights. Another arch
        takes of it what it has too."""
        model = build_supernet(self.config)
        self.load_source(model.backbone)
        with recalibrated_bn(model, source, self.calibration_loader()):
            state = {
                key: value
                for key, value in subnet_state_dict(model, source).items()
                if key.startswith('backbone.')
            }
            if is_main_process():
                save_checkpoint(folder / 'start.pth', state, dict(arch=list(source)))
        barrier()
        return str(folder / 'start.pth')

    def calibration_loader(self, train: Dataset | None = None) -> DataLoader:
        """The batches that the search recalibrates BN with.

        Args:
            train: The dataset of ``train_dataloader``, where it is built already.
        """
        loop = self.stages['search_loop']
        settings = arch_evaluation(
            self.config,
            calibration_dataloader=loop.get('calibration_dataloader'),
            calibration_batches=loop.get('calibration_batches'),
        )
        data = settings['calibration_dataloader']
        if train is not None and data['dataset'] == self.config.train_dataloader.dataset:
            data = dict(data, dataset=train)
        return calibration_loader(data, settings['calibration_batches'])

    def load_source(self, backbone: ArchBackbone) -> None:
        """Gives a backbone the weights of the source's supernet, or of its own ``init_cfg``.

        Raises:
            InputError: There is no such checkpoint, it has no backbone, or one of another space or
                width.
        """
        if self.supernet is None:
            self.load_pretrained(backbone)
            return
        try:
            state = load_checkpoint(self.supernet)['state_dict']
        except InputError as error:
            raise InputError(f'--supernet: {error}') from error
        if not any(key.startswith('backbone.') for key in state):
            raise InputError(
                f'--supernet: {self.supernet}: none of its {len(state)} tensors is below '
                f"'backbone.': expected a checkpoint of a training of the source's supernet"
            )
        try:
            load_strict(backbone, self.supernet, 'backbone.')
        except InputError as error:
            raise InputError(
                f'--supernet: expected space {backbone.space.name!r}, as wide as in {self.name}: '
                f'{error}'
            ) from error

    def load_pretrained(self, backbone: ArchBackbone) -> None:
        """Gives an elastic backbone the weights that the config's ``init_cfg`` names.

        Raises:
            InputError: The backbone is not elastic, or the checkpoint is not of its network.
        """
        if not isinstance(backbone, ElasticBackbone):
            raise InputError(
                f'{self.name}: a {type(backbone).__name__} needs a trained supernet: give its '
                f'checkpoint by --supernet. An elastic backbone starts without one, from '
                f"model.backbone.init_cfg, such as dict(type='pinas_mm.ElasticResNet', depth=50, "
                f"init_cfg=dict(type='Pretrained', checkpoint='resnet50.pth', prefix='backbone.'))"
            )
        backbone.init_cfg = self.config.model.backbone.get('init_cfg')
        if not pretrained_files(backbone):
            print_log(
                f'{self.name}: no checkpoint in model.backbone.init_cfg: the supernet starts from '
                f'random weights',
                'current',
                logging.WARNING,
            )
        with checked_pretrained(backbone):
            backbone.init_weights()

    # ----------------------------------------------------------------------------------------------

    @cached_property
    def costs(self) -> CostTable:
        """Costs of the archs in the target's model, with the latencies of the search's table."""
        loop = self.stages['search_loop']
        model = build_supernet(self.config)
        costs = measure_costs(model, loop['input_size'])
        for note in costs.notes:
            print_log(note, 'current')
        if (table := loop.get('latency_table')) is not None:
            read_latency(table, model.backbone).add_to(costs)
        return costs

    def macs(self, arch: Arch) -> int:
        return int(self.costs.arch_costs(arch)['macs'])

    def found_arch(self) -> Arch:
        return SubnetFile.read(self.work_dir / 'search/subnet.yaml').arch

    def read_source_arch(self) -> Arch:
        """The source's best arch.

        Raises:
            InputError: A subnet file of another space, or not an arch of this one.
        """
        assert self.source_arch is not None
        return read_arch(self.source_arch, self.costs.space, '--source-arch')[0]

    def differences(self) -> dict[str, Any]:
        """The found arch beside the source's: for every slot both candidates' names."""
        space, found = self.costs.space, self.found_arch()
        result: dict[str, Any] = dict(arch=space.encode(found))
        if self.source_arch is not None:
            source = self.read_source_arch()
            result['source_arch'] = space.encode(source)
            result['source_costs'] = self.costs.arch_costs(source)
            result['slots'] = [
                dict(slot=slot, source=names[theirs].name, found=names[ours].name)
                for slot, (names, theirs, ours) in enumerate(zip(space.candidates, source, found))
            ]
        return result


def check_adaptation_config(config: Config) -> None:
    """Whether a config says what each step needs.

    Raises:
        InputError: A key or the sampling hook is missing, a loader of a stage cannot be built, or
            the search's data are the test's.
    """
    name, scope = config.filename or 'config', config.get('default_scope')
    needed = (
        'model',
        'train_dataloader',
        'train_cfg',
        'optim_wrapper',
        'val_dataloader',
        'val_evaluator',
        'test_dataloader',
        'test_evaluator',
    )
    missing = [key for key in needed if not config.get(key)]
    if missing:
        raise InputError(
            f'{name}: no {", ".join(missing)}: expected a config that trains on the target, '
            f'validates on a held-out part of '
            'its training set, and tests'
        )
    backbone = config.model.get('backbone')
    if not issubclass(class_of(backbone, MODELS, scope), ArchBackbone):
        raise InputError(
            f'{name}: model.backbone.type={shown((backbone or {}).get("type"))} is no supernet: '
            f"expected one of pinas_mm, such as dict(_delete_=True, type='pinas_mm.ElasticResNet', "
            f'depth=50, ...)'
        )
    stage = config.get('supernet_stage') or {}
    sampling = sampling_hooks(stage.get('custom_hooks'), scope)
    if strategy := stage.get('strategy'):
        if not isinstance(strategy, Mapping):
            raise InputError(
                f'{name}: supernet_stage.strategy={shown(strategy)}: expected a dict, such as '
                f"dict(type='pinas_mm.FeatureSandwichStrategy')"
            )
        if not issubclass(class_of(strategy, MODELS, scope), DrawnArchsStrategy):
            raise InputError(
                f'{name}: supernet_stage.strategy.type={shown(strategy.get("type"))}: expected a '
                f'strategy that draws archs for any training, such as '
                f"'pinas_mm.FeatureSandwichStrategy'"
            )
        if sampling or 'model' in strategy:
            raise InputError(
                f"{name}: supernet_stage.strategy draws the archs of the config's own model: "
                f'expected no strategy.model, and no ArchSamplingHook in '
                f'supernet_stage.custom_hooks'
            )
    elif not sampling:
        raise InputError(
            f"{name}: supernet_stage.custom_hooks without dict(type='pinas_mm.ArchSamplingHook'), "
            f'and no supernet_stage.strategy: one path would be trained'
        )
    search_config(config)
    check_settings(config)
    sets = [
        {
            key: value
            for key, value in loader.dataset.to_dict().items()
            if key not in ('pipeline', 'test_mode')
        }
        for loader in (config.val_dataloader, config.test_dataloader)
    ]
    if sets[0] == sets[1]:
        raise InputError(
            f'{name}: val_dataloader reads the same images as test_dataloader: the search would '
            f'choose by the test set. Expected {HELD_OUT_PART}'
        )


def merge_changes(config: Config, changes: dict[str, Any]) -> None:
    """Merges the changes of a stage into a config: a copy of them, since mmengine takes
    ``_delete_`` out of what it merges, and a stage is merged more than once."""
    config.merge_from_dict(copy.deepcopy(changes))


def sampling_hooks(hooks: Sequence[dict] | None, scope: str | None = None) -> list[dict]:
    """Those of a config's hooks that draw archs."""
    return [
        hook for hook in hooks or [] if issubclass(class_of(hook, HOOKS, scope), ArchSamplingHook)
    ]


def pretrained() -> dict[str, str]:
    return dict(type='Pretrained', prefix='backbone.')


def num_images(loader: Any) -> int:
    """The images that a loader reads in a pass."""
    return len(loader.sampler)


def report_row(step: dict[str, Any], *spent: dict[str, Any]) -> dict[str, Any]:
    """A row of the report: a network's metrics and costs, and all that was spent on it."""
    return {key: step[key] for key in ('arch', 'metrics', 'costs')} | {
        key: sum(found[key] for found in spent) for key in ('seconds', 'operations')
    }
