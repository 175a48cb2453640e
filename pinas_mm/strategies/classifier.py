"""What the strategies share that need class scores: a classifier's own head, and the divergence
from soft labels."""

from typing import Any

import torch.nn.functional as F
from mmpretrain.models import ClsHead, ImageClassifier
from torch import Tensor

from ..errors import InputError
from ..schema import Seed
from .base import Strategy


class ClassifierStrategy(Strategy):
    """A strategy around mmpretrain's ``ImageClassifier``.

    Args:
        model, arch_seed, data_preprocessor: See :class:`Strategy`.

    Raises:
        InputError: Another model, a head that gives no class scores, or see :class:`Strategy`.
    """

    def __init__(
        self, model: dict, arch_seed: Seed = 0, data_preprocessor: dict | None = None
    ) -> None:
        super().__init__(model, arch_seed, data_preprocessor)
        if not isinstance(self.model, ImageClassifier) or not isinstance(self.model.head, ClsHead):
            head = (
                f' with a {type(self.model.head).__name__}'
                if isinstance(self.model, ImageClassifier)
                else ''
            )
            raise InputError(
                f'{type(self).__name__} compares the class scores of paths, but its model is a '
                f'{type(self.model).__name__}'
                f"{head}: expected mmpretrain's ImageClassifier with a ClsHead; FairStrategy "
                f'works with any model, FeatureSandwichStrategy with detectors and segmentors'
            )

    def label_losses(self, features: Any, data_samples: list) -> dict[str, Tensor]:
        """The head's own losses of features, under names such as ``loss_label``, and its accuracies
        where it computes them.

        The head runs for them once more: some, such as ArcFace's, learn from other scores than they
        predict."""
        losses = self.model.head.loss(features, data_samples)
        return {
            f'{name}_label' if 'loss' in name else name: value for name, value in losses.items()
        }

    def logits(self, features: Any) -> Tensor:
        """The class scores ``(N, C)`` of features, before softmax.

        Raises:
            InputError: The head returns something else.
        """
        scores = self.model.head(features)
        if not isinstance(scores, Tensor) or scores.ndim != 2:
            raise InputError(
                f'{type(self.model.head).__name__} returns no single score per class, which '
                f'{type(self).__name__} needs'
            )
        return scores


def soft_divergence(logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
    """``KL(target || prediction)`` of softened class scores, the mean over images: the loss of
    knowledge distillation (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015,
    section 2).

    Args:
        logits, target: Scores ``(N, C)`` before softmax.
        temperature: Divides both. The result is multiplied by its square, as there, so that the
            gradients keep their size.
    """
    prediction, target = (
        F.log_softmax(scores.float() / temperature, dim=1) for scores in (logits, target.detach())
    )
    return F.kl_div(prediction, target, log_target=True, reduction='batchmean') * temperature**2
