"""Stages of a pipeline: each has a folder, runs once, and goes on after a stop."""

import copy
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier, broadcast_object_list, is_main_process
from mmengine.logging import print_log

from ..console import say, short_path
from ..engine.latest_checkpoint import last_checkpoint
from ..engine.run_data import data_of, without_roots
from ..errors import InputError
from ..fileio import PART, read_json, write_atomic
from ..folder_lock import LOCK, held
from ..registry import with_type_names
from ..schema import check
from ..settings import changed_settings, plain_settings

STAGE = 'stage.json'


@dataclass(frozen=True)
class Stage:
    """What ``stage.json`` holds.

    Args:
        config: The stage's config, as :func:`run_once` compares it.
        data: What its data are.
        result: Its result, once it is done.
    """

    config: dict[str, Any]
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    result: dict[str, Any] | None = None


# What a stage that was stopped can go on from: mmengine's checkpoints, the history of a search.
KEPT = ('last_checkpoint', 'history.jsonl')


def run_once(
    config: Config,
    folder: Path,
    run: Callable[[Config], dict[str, Any]],
    inputs: dict[str, str] | None = None,
    kind: Any = dict[str, Any],
) -> dict[str, Any]:
    """Runs a stage, unless ``stage.json`` in its folder has its result.

    Args:
        config: The stage's config. It is kept beside the result, with what its data are
            (:func:`~pinas_mm.engine.run_data.data_of`).
        folder: The stage's own folder.
        inputs: Paths of what earlier stages wrote, by dotted key of the config that is run. They
            are not part of the config that is kept and compared: a work dir may be moved.
        run: Takes the config, in its folder and set to go on from the checkpoint there, and returns
            the result: plain data without paths.
        kind: The type of the result, for :func:`~pinas_mm.schema.check`.

    Returns:
        The result, of this run or of the one before.

    Raises:
        InputError: The folder has the stage of another config or of other data, and the message
            names the keys that differ, with both values; or files of another run. A stage that
            failed before it had anything to keep does not count: its config may be corrected. Or
            ``stage.json`` is none, or another process writes the folder.
    """
    with held(folder):
        return _run_once(config, folder, run, inputs or {}, kind)


def _run_once(
    config: Config,
    folder: Path,
    run: Callable[[Config], dict[str, Any]],
    inputs: dict[str, str],
    kind: Any,
) -> dict[str, Any]:
    path = folder / STAGE
    scope = config.get('default_scope')
    wanted = plain_settings(without_roots(with_type_names(config.to_dict(), scope), config))
    wanted.pop('work_dir', None)
    data: list[Any] = [data_of(config) if is_main_process() else None]
    broadcast_object_list(data)
    found = _read(path)
    # The part of a stage.json that a killed process did not finish says nothing.
    foreign = found is None and any(
        each.name != LOCK and not each.name.endswith(PART) for each in folder.iterdir()
    )
    kept = any((folder / name).exists() for name in KEPT) or bool(last_checkpoint(folder))
    barrier()  # every rank has looked before one writes
    if foreign:
        raise InputError(
            f'{folder}: has files, but no {STAGE} that says how they were made; choose another '
            '--work-dir'
        )
    if found is not None and (kept or found.result is not None):
        if changes := changed_settings(_as_written(found.config), _as_written(wanted)):
            raise InputError(
                f'{folder}: made with another config: {changes}; choose another --work-dir, or '
                f'delete this folder and those of later steps'
            )
        # Data that are gone cannot be compared; what needs them will say so.
        both = data[0].keys() & found.data
        if changes := changed_settings(
            {key: found.data[key] for key in both}, {key: data[0][key] for key in both}
        ):
            raise InputError(
                f'{folder}: its data changed since it began: {changes}; put them back, or choose '
                f'another --work-dir'
            )
    done = found is not None and found.result is not None
    say(f'step {folder.name}: {"done before, in" if done else "writes"} {short_path(folder)}')
    if found is not None and found.result is not None:
        result: dict[str, Any] = check(kind, found.result, str(path), 'result')
        return result
    _write(path, Stage(wanted, data[0]))
    config = copy.deepcopy(config)
    config.merge_from_dict(inputs)
    results = [run(into_folder(config, folder, resume=found is not None))]
    _write(path, Stage(wanted, data[0], plain_settings(results[0])))
    broadcast_object_list(results)  # seconds differ between ranks
    return results[0]


def _as_written(config: dict[str, Any]) -> dict[str, Any]:
    """A search stands in ``test_cfg`` of the config that runs, and in ``search_loop`` of the one
    that people write."""
    loop = config.get('test_cfg')
    searches = isinstance(loop, dict) and 'searcher' in loop
    return {
        'search_loop' if searches and key == 'test_cfg' else key: value
        for key, value in config.items()
    }


def is_done(folder: Path) -> bool:
    """Whether the stage of a folder has its result, so that :func:`run_once` would run nothing."""
    found = _read(folder / STAGE)
    return found is not None and found.result is not None


def saved_checkpoint(folder: str | os.PathLike, config: str | os.PathLike) -> str:
    """The last checkpoint of a finished training in a folder.

    Raises:
        InputError: It has none; the message names the config.
    """
    checkpoint = last_checkpoint(folder)
    if checkpoint is None:
        raise InputError(
            f'{config}: default_hooks.checkpoint keeps no checkpoint: expected a CheckpointHook '
            f'that saves the last'
        )
    return checkpoint


def into_folder(config: Config, folder: Path, resume: bool) -> Config:
    """Sets a stage's work dir, and to go on from the latest checkpoint in it that can be read,
    where there is any."""
    config.work_dir = str(folder)
    # mmengine takes one name for one run
    config.experiment_name = f'{folder.parent.name}_{folder.name}_{time.time_ns()}'
    # By default it has the experiment's name; where a config names it, as mmdet's do, the runners
    # of all stages would share one.
    (config.get('visualizer') or {}).pop('name', None)
    config.resume = resume and last_checkpoint(folder) is not None
    if config.resume:
        config.load_from = None  # mmengine would resume from that one
    elif resume and config.get('train_cfg'):
        print_log(
            f'{folder}: no checkpoint to resume from, starts from the beginning '
            f'(default_hooks.checkpoint.interval)',
            'current',
        )
    return config


def _read(path: Path) -> Stage | None:
    return check(Stage, read_json(path), str(path)) if path.exists() else None


def _write(path: Path, stage: Stage) -> None:
    if is_main_process():
        data = asdict(stage)
        if stage.result is None:
            del data['result']
        write_atomic(path, lambda file: file.write(json.dumps(data, indent=1).encode()))
