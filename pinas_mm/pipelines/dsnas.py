"""The two stages of DSNAS as two runs of a Runner, and what comes out of them: a trained network,
with no retraining."""

import copy
import gc
import json
from pathlib import Path
from textwrap import indent
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import EMAHook
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..console import short_path
from ..costs import measure_costs
from ..engine.data_settings import fill_in_from_data
from ..engine.hand_over import HAND_OVER, HandOver, check_fits
from ..engine.hooks.arch_sampling_hook import ArchSamplingHook
from ..engine.hooks.dsnas_hook import DSNASHook
from ..engine.hooks.training_time_hook import training_seconds
from ..engine.loaders import arch_evaluation, calibration_loader
from ..engine.metric_check import check_metrics
from ..engine.runner import build_runner, build_supernet, init_ranks
from ..engine.settings_check import check_settings
from ..errors import InputError
from ..fileio import write_atomic
from ..registry import HOOKS, MODELS, OPTIM_WRAPPERS, class_of
from ..scoring.arch_metrics import numbers
from ..scoring.bn_recalibration import recalibrated_bn
from ..scoring.finite_outputs import finite_features
from ..spaces.arch_text import arch_text
from ..spaces.subnet_file import SubnetFile
from ..strategies import DSNASMixin
from ..subnets.state_dict import subnet_state_dict
from ..subnets.subnet_config import ordinary_loops, ordinary_optim_wrapper
from ..subnets.write import write_subnet
from ..unwrap import unwrapped
from ..visualization.arch_drawing import write_arch_svg
from ..visualization.dsnas_report import (
    DSNAS_JSON,
    METRICS_ON,
    DSNASResult,
    metrics_on,
    write_dsnas_report,
)
from ..visualization.report_page import report_after_run
from ..visualization.run_facts import (
    REPORT_JSON,
    RunFacts,
    command_line,
    costliest_arch,
    data_text,
    drawn_arch,
    package_versions,
)
from .stages import is_done, run_once

SECOND_STAGE = 'second_stage'


def run_stages(config: Config) -> dict[str, Any]:
    """Searches and trains: the first stage, the second, BN statistics, the test. A stage that is
    done is not run again, and one that was stopped resumes from its checkpoint.

    Writes ``subnet.yaml``, ``subnet.pth``, ``arch.svg``, ``dsnas.json`` and ``report.html`` (with
    ``report.json``, which it needs beside them) to the work dir; the stages log to
    ``search/`` and ``train/`` in it.

    Args:
        config: A config with ``DSNASOptimWrapper`` and ``DSNASHook``. What its ``second_stage``
            holds is merged into the second stage's, such as
            ``dict(model=dict(head=dict(dropout=0.0)))``.

    Returns:
        What ``dsnas.json`` holds: arch, metrics, costs, seconds of the stages.

    Raises:
        InputError: The config is not one of DSNAS, its metrics cannot be computed, or the work dir
            has a stage of another config; the message names the keys that differ, with both values.
    """
    check_dsnas_config(config)
    fill_in_from_data(config)
    init_ranks(config)
    work_dir = Path(config.work_dir)
    done_before = is_done(work_dir / 'train')
    if not done_before:
        for phase in ('val', 'test'):
            check_metrics(config, phase)
    run_once(first_stage_config(config), work_dir / 'search', search)
    hand_over = work_dir / 'search' / HAND_OVER  # here also where the work dir was moved
    result = run_once(
        second_stage_config(config, hand_over),
        work_dir / 'train',
        lambda config: train(config, hand_over, work_dir),
        kind=DSNASResult,
    )
    if is_main_process():
        text = json.dumps(result, indent=1)
        write_atomic(work_dir / DSNAS_JSON, lambda file: file.write(text.encode()))

        def report(folder: Path) -> Path:
            if not done_before or not (folder / REPORT_JSON).exists():
                write_facts(config, folder)
            return write_dsnas_report(folder)

        report_after_run(report, work_dir, MMLogger.get_current_instance())
    return result


def write_facts(config: Config, work_dir: Path) -> None:
    """Writes ``report.json`` and ``arch.svg`` of a finished run: what the report shows beside the
    other files."""
    subnet = SubnetFile.read(work_dir / 'subnet.yaml')
    with DefaultScope.overwrite_default_scope(config.get('default_scope')):
        model, loader = build_supernet(config), bn_loader(config)
    images = model.data_preprocessor(next(iter(loader)), False)['inputs']
    size = tuple(images[0].shape[-2:])
    costs = measure_costs(model, size)
    archs = {'winner': subnet.arch, 'largest': costliest_arch(costs)}
    drawings = {title: drawn_arch(costs, arch) for title, arch in archs.items() if arch}
    write_arch_svg(work_dir / 'arch.svg', costs.space, drawings['winner'], subnet.widen_factor)
    part = 'test' if config.get('test_dataloader') else 'val'
    tested = (config.get(f'{part}_dataloader') or {}).get('dataset')
    RunFacts(
        kind='dsnas',
        space=subnet.space,
        command=command_line(),
        config=config.filename,
        versions=package_versions(),
        settings={
            'trained on': data_text(config.train_dataloader.get('dataset')),
            metrics_on(METRICS_ON[part]): data_text(tested),
            'costs at': f'{size[0]} x {size[1]} pixels',
            'seed': (config.get('randomness') or {}).get('seed'),
        },
        widen_factor=subnet.widen_factor,
        drawings=drawings,
    ).write(work_dir)


def check_dsnas_config(config: Config) -> None:
    """Whether a config is one of DSNAS.

    Raises:
        InputError: It has another optimiser wrapper, no hook that ends the first stage, one that
            draws archs too, or a setting that does not fit.
    """
    name, scope = config.filename or 'config', config.get('default_scope')
    wrapper = config.get('optim_wrapper') or {}
    found = wrapper.get('type')
    if not issubclass(class_of(wrapper, OPTIM_WRAPPERS, scope), DSNASMixin):
        raise InputError(
            f"{name}: optim_wrapper of type {found}: expected 'pinas_mm.DSNASOptimWrapper' or "
            f"'pinas_mm.DSNASAmpOptimWrapper'"
        )
    hooks = [class_of(hook, HOOKS, scope) for hook in config.get('custom_hooks') or []]
    if not any(issubclass(hook, DSNASHook) for hook in hooks):
        raise InputError(
            f"{name}: custom_hooks without dict(type='pinas_mm.DSNASHook', search=...): nothing "
            f'would end the search'
        )
    if any(issubclass(hook, ArchSamplingHook) for hook in hooks):
        raise InputError(
            f'{name}: custom_hooks has ArchSamplingHook, but {found} draws the archs itself: '
            f'leave the hook out'
        )
    check_settings(config)


def first_stage_config(config: Config) -> Config:
    """The config of the first stage: that of DSNAS without what is for the second alone."""
    config = copy.deepcopy(config)
    config.pop(SECOND_STAGE, None)
    return config


def search(config: Config) -> dict[str, Any]:
    """The first stage: trains the supernet and its logits until ``hand_over.pth`` is written, and
    releases the memory of both."""
    build_runner(config).train()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return {}


def second_stage_config(config: Config, hand_over: Path) -> Config:
    """The config of the second stage: the subnet, an ordinary optimiser wrapper with the same
    settings, and mm's own loops.

    Args:
        config: The config of DSNAS.
        hand_over: What the first stage wrote.
    """
    config = copy.deepcopy(config)
    config.merge_from_dict(config.pop(SECOND_STAGE, None) or {})
    scope = config.get('default_scope')
    found, _ = HandOver.read(hand_over)
    check_fits(found, hand_over, class_of(config.model.backbone, MODELS, scope))
    config.model.backbone.arch = list(found.arch)
    config.load_from = None
    for loop, ordinary in ordinary_loops(config).items():
        config[loop] = ordinary  # update() would merge it
    config.optim_wrapper = ordinary_optim_wrapper(config.optim_wrapper, scope)
    config.custom_hooks = [
        hook
        for hook in config.get('custom_hooks') or []
        if not issubclass(class_of(hook, HOOKS, scope), DSNASHook)
    ]
    return config


def train(config: Config, hand_over: Path, work_dir: Path) -> dict[str, Any]:
    """The second stage: trains the found arch to the end, recomputes its BN statistics, tests it,
    and writes the subnet to ``work_dir``."""
    # Not in the stage's config, which is compared: a work dir may be moved.
    config.custom_hooks.append(dict(type='pinas_mm.HandOverHook', checkpoint=str(hand_over)))
    runner = build_runner(config)
    # Built before training, so that what is wrong with it shows before.
    loader = bn_loader(config)
    runner.train()
    for hook in runner.hooks:
        if isinstance(hook, EMAHook) and hook.ema_model.steps > 0:
            # The averaged weights, which mm would test, are the result.
            hook.before_test_epoch(runner)
    found, _ = HandOver.read(hand_over)
    model = unwrapped(runner.model)
    check_fits(found, hand_over, model.backbone)  # a resumed training did not read it
    arch = found.arch
    images = model.data_preprocessor(next(iter(loader)), False)['inputs']
    costs = measure_costs(model, tuple(images[0].shape[-2:])).arch_costs(arch)
    with recalibrated_bn(model, arch, loader):
        with finite_features(model.backbone):
            metrics = final_metrics(runner)
        if is_main_process():
            subnet = SubnetFile(
                space=found.space,
                arch=arch,
                widen_factor=found.widen_factor,
                in_channels=model.backbone.in_channels,
                arguments=model.backbone.file_arguments,
                scores=metrics,
                costs=costs,
                config=Path(config.filename or '').name,
            )
            write_subnet(work_dir / 'subnet.pth', subnet, subnet_state_dict(model, arch))
    seconds = dict(search=found.train_seconds, train=training_seconds(runner))
    seconds['total'] = sum(seconds.values())
    result = dict(
        arch=model.backbone.space.encode(arch),
        metrics=metrics,
        costs=costs,
        seconds=seconds,
        search_epochs=found.epoch,
        search_iterations=found.iter,
        probabilities=found.probabilities,
    )
    runner.logger.info(
        '  '.join(
            [
                f'subnet {result["arch"]}',
                *(f'{name}: {value:.4f}' for name, value in metrics.items()),
                f'{seconds["total"]:.0f} s of training in all',
                f'-> {short_path(work_dir / "subnet.yaml")}',
            ]
        )
    )
    runner.logger.info(indent(arch_text(model.backbone.space, arch), '    '))
    return result


def bn_loader(config: Config) -> DataLoader:
    """The batches that the result's BN statistics are of: those of ``arch_evaluation`` where a
    config has it, else of the training set."""
    settings = arch_evaluation(config, training_set=True)
    return calibration_loader(settings['calibration_dataloader'], settings['calibration_batches'])


def final_metrics(runner: Runner) -> dict[str, float]:
    """The metrics of the test set, or, where a config has none, of the validation set."""
    if runner.cfg.get('test_dataloader') is not None:
        return numbers(runner.test())
    return numbers(runner.val()) if runner.cfg.get('val_dataloader') is not None else {}
