"""Age by ordinal regression with consistent ranks (CORAL)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...registry import MODELS
from ...schema import Count, NotNegative, WholeNumber
from .age_head import AgeHead


@MODELS.register_module()
class CoralAgeHead(AgeHead):
    """One binary classifier per year but the last: is the person older? They share their weights
    and differ in the bias.

    Cao et al., "Rank consistent ordinal regression for neural networks with application to age
    estimation", Pattern Recognition Letters 2020. Since the weights are shared, the probabilities
    of being older than each year are in order for every image once the biases are, and where the
    loss is least they are (theorem 1). They start in order too, as the log-odds that fit ages
    spread evenly over the range. (The published code starts from zero; an optimiser such as Adam
    moves a bias by its learning rate in a step, so that half of a short training would go by before
    they have come apart.)

    The loss is the sum of the classifiers' binary cross-entropies, each of importance 1, averaged
    over images: about half the number of years at the start. Adaptive optimisers do not mind its
    size; for others there is ``loss_weight``.

    Args:
        in_channels: Channels of the pooled features.
        ages: The youngest and the oldest age, in years; 0 to 100 by default, as
            :class:`ExpectedAgeHead`.
        loss_weight: Weight of the loss.
        init_cfg: As in mmpretrain's ``LinearClsHead``.

    Raises:
        InputError: See :class:`AgeHead`.
    """

    def __init__(
        self,
        in_channels: Count,
        ages: Sequence[WholeNumber] = (0, 100),
        loss_weight: NotNegative = 1.0,
        init_cfg: dict | None = dict(type='Normal', layer='Linear', std=0.01),  # noqa: B006
    ) -> None:
        super().__init__(
            ages,
            loss=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=loss_weight),
            init_cfg=init_cfg,
        )
        self.in_channels = in_channels
        self.fc = nn.Linear(in_channels, 1, bias=False)
        share_older = 1 - torch.arange(1, self.num_ages) / self.num_ages
        self.biases = nn.Parameter(share_older.logit())

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """The logit of being older than each year but the last, ``(N, num_ages - 1)``, from the
        last of pooled features, each ``(N, C_i)``."""
        return self.fc(self.pre_logits(feats)) + self.biases

    def targets(self, ranks: Tensor) -> Tensor:
        """1 for each year that the person is older than, else 0: ``(N, num_ages - 1)``."""
        return (ranks[:, None] > torch.arange(self.num_ages - 1, device=ranks.device)).float()

    def age_probabilities(self, scores: Tensor) -> Tensor:
        """The differences of neighbouring probabilities of being older, ``(N, num_ages)``; 0 where
        these are not yet in order."""
        older = nn.functional.pad(scores.sigmoid(), (1, 0), value=1.0)
        return (older - nn.functional.pad(older[:, 1:], (0, 1))).clamp(min=0)

    def predicted_ages(self, scores: Tensor) -> Tensor:
        """The youngest age and a year for each that the person is probably older than, ``(N,
        )``."""
        return self.youngest + (scores.sigmoid() > 0.5).sum(dim=1).to(scores.dtype)
