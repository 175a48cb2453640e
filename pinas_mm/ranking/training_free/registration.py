"""The training-free scores by name. A score registers itself; a ranking or a search names it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ...models.backbones import ArchBackbone
from ...spaces import Arch
from .initialisation import ACTIVATIONS, activations


class TrainingFreeScore(ABC):
    """Scores archs of a supernet that nobody has trained. Higher is better.

    A subclass registers under the names of all scores that it gives, several where they come from
    the same forward pass (:func:`register_training_free`). It computes nothing but from its
    arguments and an arch, so that an arch has the same score whatever else is scored.

    Args:
        backbone: A supernet or subnet. It is left as it is, and its weights are not read: scores
            are of a copy (:func:`~.initialisation.freshly_initialised`).
        images: A minibatch ``(N, C, H, W)`` as the backbone gets it. Some scores take their first
            images, others just their shape.
        seed: Seed of the weights and of whatever else is drawn.
    """

    counts_activations = False
    """Whether the score is of the signs of activations, and means nothing without any."""

    @abstractmethod
    def __init__(self, backbone: ArchBackbone, images: Tensor, seed: int = 0) -> None: ...

    @abstractmethod
    def __call__(self, arch: Arch) -> dict[str, float]:
        """The scores of an arch by name; -inf where it has none, such as the logarithm of a flow of
        zero."""


TRAINING_FREE: dict[str, type[TrainingFreeScore]] = {}

S = TypeVar('S', bound=type[TrainingFreeScore])


def register_training_free(*names: str) -> Callable[[S], S]:
    """Class decorator that makes a score known by each of the names that it gives.

    A score of this package needs no more than its file in this folder. A file of another package
    has to be imported first, with ``custom_imports`` in a config.

    Raises:
        InputError: Another class has one of the names.
    """

    def register(cls: S) -> S:
        for name in names:
            # A module that is loaded a second time defines its class again.
            if name in TRAINING_FREE and _path(TRAINING_FREE[name]) != _path(cls):
                raise InputError(
                    f'training-free score {name!r}: {_path(TRAINING_FREE[name])} has it, choose '
                    f'another name for {_path(cls)}'
                )
        TRAINING_FREE.update(dict.fromkeys(names, cls))
        return cls

    return register


class TrainingFreeScores:
    """Several training-free scores of the same supernet, ready for any number of archs.

    Args:
        backbone, images, seed: See :class:`TrainingFreeScore`.
        names: Which scores.

    Raises:
        InputError: There is no such score, or it counts activations of a network without any.
    """

    def __init__(
        self, backbone: ArchBackbone, images: Tensor, names: Sequence[str], seed: int = 0
    ) -> None:
        for name in names:
            if name not in TRAINING_FREE:
                raise InputError(
                    f'training-free score {name!r}: expected one of {sorted(TRAINING_FREE)}'
                )
            if TRAINING_FREE[name].counts_activations and not activations(backbone):
                raise InputError(
                    f'training-free score {name!r}: {type(backbone).__name__} has no activation '
                    f'that it could count ({", ".join(kind.__name__ for kind in ACTIVATIONS)}); '
                    f'scores such as {sorted(scores_of_any_network())[0]!r} need none'
                )
        self.names = tuple(names)
        self.seed = seed
        # The generators that a score may draw from, such as for a network's dropout.
        self._gpus = [images.device] if images.is_cuda else []
        # One object for all names of a class.
        classes = dict.fromkeys(TRAINING_FREE[name] for name in names)
        self._scores = [cls(backbone, images, seed) for cls in classes]

    def __call__(
        self,
        archs: Sequence[Arch],
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> dict[str, np.ndarray]:
        """The scores of archs by name, ``(len(archs), )`` each; -inf where an arch has none.

        A score of an arch does not depend on the others, nor on what was scored before. The state
        of torch's generator is left as it was.

        Args:
            archs: The archs.
            on_progress: Called as ``on_progress(done, total)`` after every arch.
        """
        found: list[dict[str, float]] = []
        for done, arch in enumerate(archs, start=1):
            with torch.random.fork_rng(devices=self._gpus):
                scores: dict[str, float] = {}
                for score in self._scores:
                    torch.default_generator.manual_seed(self.seed)
                    for gpu in self._gpus:
                        with torch.cuda.device(gpu):
                            torch.cuda.manual_seed(self.seed)
                    scores |= score(arch)
            found.append(scores)
            on_progress(done, len(archs))
        return {name: np.array([scores[name] for scores in found], float) for name in self.names}


def training_free_scores(
    backbone: ArchBackbone,
    archs: Sequence[Arch],
    images: Tensor,
    names: Sequence[str],
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, np.ndarray]:
    """The scores of archs by name, ``(len(archs), )`` each: :class:`TrainingFreeScores` once."""
    return TrainingFreeScores(backbone, images, names, seed)(archs, on_progress)


def scores_of_any_network() -> set[str]:
    """The names of the scores that are also defined where a network has no activations."""
    return {name for name, cls in TRAINING_FREE.items() if not cls.counts_activations}


def _path(cls: type) -> str:
    return f'{cls.__module__}.{cls.__qualname__}'
