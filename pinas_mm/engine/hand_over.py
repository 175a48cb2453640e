"""``hand_over.pth``, from which the second stage of DSNAS starts: the found arch, the weights of
its path and how far training has come."""

import math
import os
from dataclasses import dataclass
from typing import Any, Literal

import torch
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import Tensor, nn

from ..checkpoint import is_ordinary, load_checkpoint, save_checkpoint
from ..errors import InputError
from ..schema import NotNegative, Positive, Probability, WholeNumber, check, shown
from ..spaces import SearchSpace, get_space

HAND_OVER = 'hand_over.pth'


@dataclass(frozen=True)
class HandOver:
    """What the file says of its weights.

    Args:
        space: Name of the space.
        arch: One candidate index per slot.
        widen_factor: Width of the supernet.
        epoch: Epochs that are done.
        iter: Iterations that are done.
        train_seconds: Seconds that the first stage has trained for.
        probabilities: For each slot, those of its candidates at the end.
        optimizer: What the optimiser keeps of each parameter, by the parameter's name; None where
            the second stage starts a new one.
        stage: The stage that the file is for.
    """

    space: str
    arch: tuple[WholeNumber, ...]
    widen_factor: Positive
    epoch: WholeNumber
    iter: WholeNumber
    train_seconds: NotNegative
    probabilities: tuple[tuple[Probability, ...], ...]
    optimizer: dict[str, dict[str, Any]] | None = None
    stage: Literal[2] = 2

    def write(self, path: str | os.PathLike[str], weights: dict[str, Tensor]) -> None:
        """Writes the file, then renames it into place."""
        meta = {key: value for key, value in vars(self).items() if value is not None}
        rows = [list(row) for row in self.probabilities]
        save_checkpoint(path, weights, meta | dict(arch=list(self.arch), probabilities=rows))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> tuple['HandOver', dict[str, Tensor]]:
        """What a file says, and its weights.

        Raises:
            InputError: No such file, or it is not one that :meth:`write` has written; the message
                names the key, its value and what was expected.
        """
        checkpoint = load_checkpoint(path)
        meta = checkpoint.get('meta')
        if not isinstance(meta, dict) or 'stage' not in meta:
            raise InputError(
                f'{path}: not the hand-over of a search by DSNAS, expected a {HAND_OVER} of '
                f'DSNASHook'
            )
        found = check(cls, meta, str(path))
        space = get_space(found.space, str(path))
        space.validate(found.arch, f'{path}: arch')
        _check_probabilities(found.probabilities, space, path)
        if found.epoch > found.iter:
            raise InputError(
                f'{path}: epoch={found.epoch}: expected at most iter={found.iter}, since an epoch '
                f'has an iteration'
            )
        weights = checkpoint['state_dict']
        _check_optimizer(found.optimizer or {}, weights, path)
        return found, weights


def _check_probabilities(
    found: tuple[tuple[float, ...], ...], space: SearchSpace, path: str | os.PathLike[str]
) -> None:
    if tuple(map(len, found)) != space.num_candidates:
        raise InputError(
            f'{path}: probabilities={shown(found)}: expected one for each candidate of each slot '
            f'of space {space.name!r}, which has {list(space.num_candidates)}'
        )
    for slot, values in enumerate(found):
        if abs(sum(values) - 1) > 1e-3:
            raise InputError(
                f'{path}: probabilities.{slot}={shown(values)}: expected numbers that sum to 1, '
                f'such as {shown((1.0,) + (0.0,) * (len(values) - 1))}'
            )


def _check_optimizer(
    states: dict[str, dict[str, Any]], weights: dict[str, Tensor], path: str | os.PathLike[str]
) -> None:
    keys = next(iter(states.values())).keys() if states else ()
    for name, state in states.items():
        key = f'{path}: optimizer.{name:.100}'
        if name not in weights:
            raise InputError(
                f'{key}: unknown parameter, expected one of the state_dict, such as {min(weights)}'
            )
        if state.keys() != keys:
            raise InputError(
                f'{key}={shown(list(state))}: expected what the first parameter has, '
                f'{shown(list(keys))}'
            )
        for part, value in state.items():
            if not _is_state(value, weights[name].shape):
                text = (
                    f'a tensor of shape {tuple(value.shape)}'
                    if isinstance(value, Tensor)
                    else shown(value)
                )
                raise InputError(
                    f'{key}.{part:.100}={text}: expected finite values of shape '
                    f'{tuple(weights[name].shape)}, or one of at least 0'
                )


def _is_state(value: Any, shape: torch.Size) -> bool:
    """Whether an optimiser can keep a value of a parameter: one that is as large, or smaller in
    some dimensions, or a count."""
    if value is None:
        return True
    if not isinstance(value, Tensor):
        return isinstance(value, int | float) and 0 <= value < math.inf
    fits = (
        is_ordinary(value)
        and value.dim() in (0, len(shape))
        and all(own in (1, size) for own, size in zip(value.shape, shape))
    )
    return fits and bool(value.isfinite().all() and (value.dim() or value >= 0))


def check_fits(
    found: HandOver, path: str | os.PathLike[str], backbone: nn.Module | type[nn.Module]
) -> None:
    """Whether a hand-over is of a network.

    Args:
        found: The hand-over.
        path: Its file, for the message.
        backbone: The subnet that the second stage trains; or its class, which has a space alone.

    Raises:
        InputError: It is of another space, width or arch.
    """
    space: Any = getattr(backbone, 'space', None)
    for key, value in (
        ('space', space and space.name),
        ('widen_factor', getattr(backbone, 'widen_factor', None)),
        ('arch', getattr(backbone, 'fixed_arch', None)),
    ):
        if value is not None and getattr(found, key) != value:
            raise InputError(
                f'{path}: {key}={shown(getattr(found, key))}: expected {shown(value)}, as the '
                f'backbone of the config has it'
            )


def check_progress(found: HandOver, path: str | os.PathLike[str], runner: Runner) -> None:
    """Whether a training can have come as far as a hand-over says.

    Raises:
        InputError: It has too many epochs or iterations.
    """
    if isinstance(runner.train_loop, IterBasedTrainLoop):
        most = dict(iter=(runner.max_iters, 'train_cfg.max_iters'))
    else:
        loader = runner.train_dataloader
        # The first stage may have had smaller batches.
        longest = found.epoch * max(len(loader), len(loader.dataset))
        most = dict(
            epoch=(runner.max_epochs, 'train_cfg.max_epochs'),
            iter=(longest, f'the samples of {found.epoch} epochs'),
        )
    for key, (limit, name) in most.items():
        if getattr(found, key) > limit:
            raise InputError(
                f'{path}: {key}={getattr(found, key)}: expected at most {limit}, {name}'
            )
