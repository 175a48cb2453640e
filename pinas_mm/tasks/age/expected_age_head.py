"""Age as the expected value over a classifier's ages (DEX)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...registry import MODELS
from ...schema import Count, WholeNumber
from .age_head import AgeHead


@MODELS.register_module()
class ExpectedAgeHead(AgeHead):
    """One class per year, trained as a classifier; the prediction is the softmax-weighted mean of
    the years.

    Rothe et al., "Deep expectation of real and apparent age from a single image without facial
    landmarks", IJCV 2018 (DEX; ICCV workshops 2015): the expected value formulation, ``E(O) = sum_i
    y_i o_i`` over the years ``y_i`` and their softmax ``o_i``.

    Args:
        in_channels: Channels of the pooled features.
        ages: The youngest and the oldest age, in years; 0 to 100, 101 classes, as in the paper.
        loss: Config of a classification loss; cross-entropy as in the paper.
        init_cfg: As in mmpretrain's ``LinearClsHead``.

    Raises:
        InputError: See :class:`AgeHead`.
    """

    def __init__(
        self,
        in_channels: Count,
        ages: Sequence[WholeNumber] = (0, 100),
        loss: dict[str, Any] = dict(type='CrossEntropyLoss'),  # noqa: B006
        init_cfg: dict | None = dict(type='Normal', layer='Linear', std=0.01),  # noqa: B006
    ) -> None:
        super().__init__(ages, loss=loss, init_cfg=init_cfg)
        self.in_channels = in_channels
        self.fc = nn.Linear(in_channels, self.num_ages)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """One logit per age, ``(N, num_ages)``, from the last of pooled features, each ``(N,
        C_i)``."""
        return self.fc(self.pre_logits(feats))

    def targets(self, ranks: Tensor) -> Tensor:
        """The classes, ``(N, )``."""
        return ranks

    def age_probabilities(self, scores: Tensor) -> Tensor:
        """The softmax, ``(N, num_ages)``."""
        return scores.softmax(dim=1)

    def predicted_ages(self, scores: Tensor) -> Tensor:
        """The expected value ``E(O)`` in years, ``(N, )``."""
        return self.age_probabilities(scores) @ torch.arange(
            self.youngest, self.oldest + 1, dtype=scores.dtype, device=scores.device
        )
