"""Whether the settings of a config fit what they are for, before anything is built from them."""

import copy
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import mmengine.registry as roots
from mmengine.config import Config
from mmengine.dist import is_distributed
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import Registry
from pydantic import BeforeValidator, Field, with_config
from typing_extensions import TypedDict

from ..errors import InputError
from ..registry import close_names, is_own, member_of, own_member
from ..schema import (
    STRICT,
    Count,
    Expected,
    NotNegative,
    Number,
    Positive,
    Probability,
    Seed,
    Switch,
    WholeNumber,
    check,
    check_arguments,
    is_known,
    shown,
    some_keys,
)
from ..scoring.evaluator import Autocast
from ..scoring.race import Race
from ..searching.searchers import GIVEN, get_searcher
from .loader_settings import check_loaders

# What stages of a pipeline change in the config that has them.
STAGES = ('supernet_stage', 'subnet_stage', 'second_stage')
# What a launcher tells its ranks by the environment, and how it is called.
LAUNCHERS = dict(
    pytorch=(('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'), 'torchrun --nproc_per_node 2'),
    slurm=(('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'), 'srun'),
    mpi=(
        ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK')
        + ('MASTER_ADDR',),
        'mpirun -x MASTER_ADDR=127.0.0.1',
    ),
)

# ----------------------------------------------------------------------------------------------
# Keys that mmengine and torch read in every config. Others are free here.


def _as_whole(value: Any) -> Any:
    """Some configs compute whole numbers: 57300.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Times = Annotated[Count, BeforeValidator(_as_whole)]
Interval = Annotated[
    int,
    Field(ge=-1, le=2**53),
    Expected('a whole number of at least 1, or -1 for never', '1'),
    BeforeValidator(_as_whole),
]
Kept = Annotated[
    int, Field(ge=-1, le=2**53), Expected('a whole number of at least 1, or -1 for all', '1')
]
LogLevel = Annotated[
    int | Literal['CRITICAL', 'ERROR', 'WARNING', 'WARN', 'INFO', 'DEBUG', 'NOTSET'],
    Expected('the name of a level of logging', "'INFO'"),
]
Milestones = Annotated[
    list[Annotated[WholeNumber, BeforeValidator(_as_whole)]],
    BeforeValidator(lambda value: value.tolist() if hasattr(value, 'tolist') else value),
    Expected('a list of whole numbers of at least 0', '[60, 80]'),
]
# Without an end, or without a limit: mmengine logs the norm of gradients that are clipped to it.
PositiveOrInf = Annotated[
    float, Field(gt=0, allow_inf_nan=True), Expected('a number above 0', '0.5')
]
NotNegativeOrInf = Annotated[
    float, Field(ge=0, allow_inf_nan=True), Expected('a number of at least 0', '0.5')
]


@some_keys
class _Randomness(TypedDict, total=False):
    seed: Seed | None
    diff_rank_seed: Switch
    deterministic: Switch


@some_keys
class _AutoScaleLR(TypedDict, total=False):
    base_batch_size: Times
    enable: Switch


@some_keys
class _Processes(TypedDict, total=False):
    mp_start_method: Literal['fork', 'spawn', 'forkserver']
    opencv_num_threads: WholeNumber


@some_keys
class _Group(TypedDict, total=False):
    backend: str
    timeout: Positive | None


@some_keys
class _Environment(TypedDict, total=False):
    cudnn_benchmark: bool
    mp_cfg: _Processes
    dist_cfg: _Group
    resource_limit: Count


@some_keys
class _Visualizer(TypedDict, total=False):
    vis_backends: list[dict] | None


@some_keys
class _LogProcessor(TypedDict, total=False):
    window_size: Count
    by_epoch: bool
    num_digits: Count


@some_keys
class _Top(TypedDict, total=False):
    load_from: str | os.PathLike | None
    resume: Switch | None
    work_dir: str | os.PathLike | None
    default_scope: str | None
    log_level: LogLevel
    channels_last: bool
    randomness: _Randomness | None
    auto_scale_lr: _AutoScaleLR | None
    env_cfg: _Environment


@some_keys
class _Loop(TypedDict, total=False):
    by_epoch: Switch
    max_epochs: Times | None
    max_iters: Times | None
    val_begin: Annotated[WholeNumber, BeforeValidator(_as_whole)]
    val_interval: Times
    fp16: Switch


@some_keys
class _ClipGrad(TypedDict, total=False):
    max_norm: NotNegativeOrInf
    clip_value: NotNegative


@some_keys
class _OptimWrapper(TypedDict, total=False):
    accumulative_counts: Count
    clip_grad: _ClipGrad | None
    paramwise_cfg: dict | None


@some_keys
class _Optimizer(TypedDict, total=False):
    lr: NotNegative
    weight_decay: NotNegative
    momentum: NotNegative
    nesterov: Switch
    betas: tuple[Probability, Probability]


@some_keys
class _Scheduler(TypedDict, total=False):
    by_epoch: Switch
    # Parts of an epoch where it is converted to iterations.
    begin: NotNegative
    end: PositiveOrInf
    T_max: Positive | None
    step_size: Times
    milestones: Milestones
    gamma: Number
    factor: Number
    start_factor: Number
    end_factor: Number
    eta_min: Number | None
    power: Number


@some_keys
class _Hook(TypedDict, total=False):
    interval: Interval
    # Of mmengine's CheckpointHook.
    max_keep_ckpts: Kept
    save_best: str | list[str] | None
    filename_tmpl: str | None
    out_dir: str | os.PathLike | None


@with_config(STRICT)
class _ArchEvaluation(TypedDict, total=False):
    calibration_dataloader: dict | None
    calibration_batches: Count | None
    autocast: Autocast | None


# ----------------------------------------------------------------------------------------------
# What a config builds, and where.


@dataclass(frozen=True)
class Place:
    """What a dict at some place of a config becomes.

    Args:
        registry: Where its ``type`` is looked for; None where the place does not say.
        given: Arguments that its builder gives.
        taken: Keys that its builder takes out.
        schema: Of keys that mmengine or torch reads.
        default: The type of a dict that has none; None where it has to have one.
        inside: Places below it, by the end of their keys.
        is_open: Whether what builds it may give any argument, and need no type. So it is in models.
        find: The class that a type means, where no registry has it; its builder's arguments are
            refused in a config.
    """

    registry: Registry | None = None
    given: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    schema: Any = None
    default: Callable[[Mapping[str, Any]], str] | None = None
    inside: dict[str, 'Place'] = field(default_factory=dict)
    is_open: bool = False
    find: Callable[[Any], Callable[..., Any]] | None = None


def _train_loop(settings: Mapping[str, Any]) -> str:
    return 'EpochBasedTrainLoop' if settings.get('by_epoch') else 'IterBasedTrainLoop'


OTHER = Place(is_open=True)
# Those within a transform may be of another package, as Albumentations' are.
DATASET = Place(roots.DATASETS, inside=dict(pipeline=Place(roots.TRANSFORMS)))
DATASET.inside.update(dict.fromkeys(('dataset', 'datasets', 'source', 'target'), DATASET))
LOADER = Place(
    inside=dict(
        dataset=DATASET,
        batch_sampler=Place(roots.DATA_SAMPLERS, ('sampler', 'batch_size')),
        sampler=Place(roots.DATA_SAMPLERS, ('dataset', 'seed')),
    )
)
METRIC = Place(roots.METRICS)
METRIC.inside['metric'] = METRIC
HOOK = Place(roots.HOOKS, taken=('priority',), schema=_Hook, inside=dict(dataloader=LOADER))
MODEL = Place(roots.MODELS, is_open=True)
MODEL.inside.update(dict.fromkeys(('backbone', 'neck', 'head', 'data_preprocessor'), MODEL))
MODEL.inside['alignment'] = replace(MODEL, given=('in_channels', 'num_classes'))
TRAIN_LOOP = Place(
    roots.LOOPS,
    ('runner', 'dataloader', 'evaluator'),
    ('by_epoch',),
    _Loop,
    _train_loop,
    dict(dataloader=LOADER),
)
OPTIM_WRAPPER = Place(
    roots.OPTIM_WRAPPERS,
    ('optimizer', 'param_settings'),
    ('constructor', 'paramwise_cfg'),
    _OptimWrapper,
    lambda settings: 'OptimWrapper',
    dict(optimizer=Place(roots.OPTIMIZERS, ('params',), schema=_Optimizer)),
)
SCHEDULER = Place(
    roots.PARAM_SCHEDULERS,
    ('optimizer', 'param_name', 'epoch_length'),
    ('convert_to_iter_based',),
    _Scheduler,
)
SEARCH_LOOP = replace(
    TRAIN_LOOP,
    default=lambda settings: 'pinas_mm.SearchLoop',
    inside=dict(
        dataloader=LOADER,
        searcher=Place(given=GIVEN, find=get_searcher),
        race=Place(given=('score',), find=lambda kind: Race),
    ),
)
CONFIG = dict(
    train_dataloader=LOADER,
    val_dataloader=LOADER,
    test_dataloader=LOADER,
    train_cfg=TRAIN_LOOP,
    val_cfg=replace(TRAIN_LOOP, default=lambda settings: 'ValLoop'),
    # The search may stand there too.
    test_cfg=replace(SEARCH_LOOP, default=lambda settings: 'TestLoop'),
    search_loop=SEARCH_LOOP,
    val_evaluator=METRIC,
    test_evaluator=METRIC,
    arch_evaluation=Place(schema=_ArchEvaluation, inside=dict(dataloader=LOADER)),
    optim_wrapper=OPTIM_WRAPPER,
    param_scheduler=SCHEDULER,
    default_hooks=Place(inside={'': HOOK}),
    custom_hooks=HOOK,
    visualizer=Place(
        roots.VISUALIZERS,
        schema=_Visualizer,
        inside=dict(vis_backends=Place(roots.VISBACKENDS, ('save_dir',))),
    ),
    log_processor=Place(
        roots.LOG_PROCESSORS, schema=_LogProcessor, default=lambda settings: 'LogProcessor'
    ),
    model=MODEL,
    data_preprocessor=MODEL,
    model_wrapper_cfg=Place(roots.MODEL_WRAPPERS, ('module', 'device_ids'), is_open=True),
)
# Keys of which a Runner takes all or none.
TOGETHER = (
    ('train_cfg', 'train_dataloader', 'optim_wrapper'),
    ('val_cfg', 'val_dataloader', 'val_evaluator'),
    ('test_cfg', 'test_dataloader', 'test_evaluator'),
)


def check_settings(config: Config) -> None:
    """Checks every dict of a config that something is built from.

    Of a class or function of this package, and of users' own, the annotations are the schema
    (:mod:`pinas_mm.schema`). Of mm's and torch's, the type has to be registered and the class to
    know the arguments, and the numbers that every mmengine config has are typed here. A key at the
    top that nothing reads is a variable of the file, and free.

    Args:
        config: A config of a model. What its ``supernet_stage`` and the like change is checked as
            it is merged.

    Raises:
        InputError: A setting does not fit; the message has its dotted key, its value, what is
            expected and a value that fits.
    """
    settings = config.to_dict()
    if not settings.get('model'):
        raise InputError(
            f'{config.filename or "config"}: model is missing, expected model=dict(type=..., '
            'backbone=dict(type=...), ...)'
        )
    check_launcher(settings.get('launcher', 'none'))
    _check_config(config)
    for stage in STAGES:
        if settings.get(stage) is None:
            continue
        check(dict, settings[stage], key=stage)
        _check_merge(settings[stage], settings, stage)
        merged = copy.deepcopy(config)
        merged.merge_from_dict(copy.deepcopy(settings[stage]))
        _check_config(merged, stage)


def check_launcher(launcher: Any) -> None:
    """Whether a launcher has started this process.

    Raises:
        InputError: It has not: the environment lacks what it tells its ranks.
    """
    check(cast(Any, Literal['none', 'pytorch', 'slurm', 'mpi']), launcher, key='launcher')
    needed, command = LAUNCHERS.get(launcher, ((), ''))
    missing = [name for name in needed if name not in os.environ]
    if missing and not is_distributed():
        raise InputError(
            f'launcher={launcher}: no {", ".join(missing)} in the environment: expected a start '
            f'by {command} tools/... --launcher {launcher}, or --launcher none'
        )


def check_phases(config: Config) -> None:
    """Whether a config has all that a Runner needs to train, to validate and to test, or nothing
    of it.

    Raises:
        InputError: It has a part.
    """
    for keys in TOGETHER:
        missing = [key for key in keys if config.get(key) is None]
        if 0 < len(missing) < len(keys):
            there = ', '.join(key for key in keys if key not in missing)
            raise InputError(
                f'{config.filename or "config"}: {", ".join(missing)} is missing, expected it with '
                f'{there}, or all three None'
            )


def check_load_from(config: Config) -> None:
    """Whether a local file that a config loads is there.

    Raises:
        InputError: It is not.
    """
    path = config.get('load_from')
    if path and '://' not in str(path) and not Path(path).expanduser().is_file():
        raise InputError(
            f'load_from={shown(path)}: no such file, expected a checkpoint of the model'
        )


def _check_config(config: Config, stage: str = '') -> None:
    """Checks a config. ``stage`` is what was merged into it, for the message."""
    settings = config.to_dict()
    try:
        check(_Top, settings)
        check_loaders(config)
        for key, place in CONFIG.items():
            if settings.get(key) is not None:
                _check_kind(settings[key], key)
                _check(settings[key], key, place, settings.get('default_scope'))
    except InputError as error:
        # The config alone has passed.
        raise InputError(f'{stage}.{error}' if stage else str(error)) from error


def _check_merge(changes: Mapping[str, Any], settings: Mapping[str, Any], key: str) -> None:
    """Whether what a stage changes of a dict of the config is one there."""
    for name, change in changes.items():
        if not isinstance(change, Mapping) or name not in settings or change.get('_delete_'):
            continue
        place, own = f'{key}.{name}', settings[name]
        if isinstance(own, Mapping):
            _check_merge(change, own, place)
        elif not isinstance(own, list) or not change.keys() <= {str(i) for i in range(len(own))}:
            raise InputError(
                f"{place}={shown(change)}: changes a dict, but the config's own "
                f'{place.partition(".")[2]}={shown(own)} is none; expected '
                f'{place}=dict(_delete_=True, ...), which takes its place'
            )


def _check(value: Any, key: str, place: Place, scope: str | None) -> None:
    if isinstance(value, list | tuple):
        # In a list no metric is an Evaluator.
        within = replace(METRIC) if place is METRIC else place
        for number, each in enumerate(value):
            _check(each, f'{key}.{number}', within, scope)
        return
    if not isinstance(value, Mapping):
        return  # an object that is built already, or an argument that is called like a place
    scope = value.get('_scope_', scope)
    if place is METRIC and 'metrics' in value:  # an Evaluator
        place = Place(roots.EVALUATOR, default=lambda settings: 'Evaluator')
        place.inside['metrics'] = METRIC
    elif place is OPTIM_WRAPPER and _builds_itself(value, scope):
        return
    elif place is OPTIM_WRAPPER and 'optimizer' not in value:  # one by name for each optimiser
        place = Place(taken=place.taken, inside={'': place})
    elif place is SCHEDULER and 'type' not in value:  # the same
        place = Place(inside={'': place})
    member = None
    if place.registry is not None:
        member = member_of(value.get('type'), place.registry, scope)
    is_users = member is not None and not is_known(member)
    if place.schema is not None and not is_users:
        check(place.schema, value, key=key)
    if place.registry is not None or place.find is not None or 'type' in value:
        _check_arguments(value, key, place, scope)
    for name, each in value.items():
        if name in place.taken:
            continue
        ends = (inner for end, inner in place.inside.items() if str(name).endswith(end))
        inner = next(ends, OTHER)
        # What a user's class calls so may be something else.
        if is_users and (name not in place.inside or _is_typeless(each)):
            inner = OTHER
        if inner.registry is not None and (place.registry is None or place is OPTIM_WRAPPER):
            _check_kind(each, f'{key}.{name}')
        _check(each, f'{key}.{name}', inner, scope)


def _is_typeless(value: Any) -> bool:
    return isinstance(value, Mapping) and 'type' not in value


def _builds_itself(wrapper: Mapping[str, Any], scope: str | None) -> bool:
    """Whether the constructor of an optimiser wrapper is one that gives its settings a meaning of
    its own."""
    constructor = member_of(wrapper.get('constructor'), roots.OPTIM_WRAPPER_CONSTRUCTORS, scope)
    return constructor is not None and not (
        isinstance(constructor, type) and issubclass(constructor, DefaultOptimWrapperConstructor)
    )


def _check_kind(value: Any, key: str) -> None:
    """Whether a setting that something is built from is no plain number or text, or a list of
    them."""
    if isinstance(value, list | tuple):
        for number, each in enumerate(value):
            _check_kind(each, f'{key}.{number}')
    if isinstance(value, str | int | float):
        raise InputError(f'{key}={shown(value)}: expected a dict, such as dict(type=...)')


def _check_arguments(value: Mapping[str, Any], key: str, place: Place, scope: str | None) -> None:
    kind = value.get('type') or (place.default and place.default(value))
    if place.is_open and kind is None:
        return
    member: Callable[..., Any] | None
    if place.find is not None:
        try:
            member = place.find(kind)
        except InputError as error:  # names its own key
            raise InputError(f'{key.rpartition(".")[0]}.{error}') from error
        check_arguments(member, value, key, place.given)
        return
    if place.registry is None:
        member = own_member(kind)
    else:
        member = member_of(kind, place.registry, scope)
        if kind is None:
            raise InputError(f'{key}.type is missing, expected a {place.registry.name}')
        if member is None:
            close = close_names(kind, place.registry, scope)
            raise InputError(
                f'{key}.type={shown(kind)}: no {place.registry.name} of this name is registered in '
                f'scope {scope or "mmengine"!r}, expected '
                f'{" or ".join(map(repr, close)) or "a registered name"}'
            )
    is_ours = member is not None and is_own(member)
    if member is None or (place.is_open and not is_ours):
        return
    settings = {name: each for name, each in value.items() if name not in (*place.taken, '_scope_')}
    if settings.get('num_classes', ()) is None:  # left to the data
        settings.pop('num_classes')
        place = replace(place, given=('num_classes', *place.given))
    # A builder's defaults give way to what a config has.
    given = [name for name in place.given if name not in settings]
    check_arguments(member, settings, key, given, complete=place.registry is not None)
