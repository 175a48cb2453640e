"""mmpretrain's linear classifier with dropout before it."""

from collections.abc import Sequence
from typing import Annotated, Any

from mmpretrain.models import LinearClsHead
from pydantic import Field
from torch import Tensor, nn

from ...registry import MODELS
from ...schema import Count, Expected

Dropout = Annotated[float, Field(ge=0, lt=1), Expected('a number of at least 0 and below 1', '0.1')]


@MODELS.register_module()
class DropoutLinearClsHead(LinearClsHead):
    """Dropout and a linear layer: how the published networks of the ``shufflenetv2`` space end (Guo
    et al., ECCV 2020; Hu et al., CVPR 2020). No head or neck of mmpretrain has dropout without a
    hidden layer of its own.

    Args:
        num_classes, in_channels, kwargs: See mmpretrain's ``LinearClsHead``, whose parameter names
            it has: weights go from one to the other.
        dropout: Probability with which a feature is zeroed while training, 0.1 as published; 0
            turns it off.
    """

    def __init__(
        self, num_classes: Count, in_channels: Count, dropout: Dropout = 0.1, **kwargs: Any
    ) -> None:
        super().__init__(num_classes, in_channels, **kwargs)
        self.dropout = nn.Dropout(dropout)

    def pre_logits(self, feats: Sequence[Tensor]) -> Tensor:
        """The last of pooled features, each ``(N, C_i)``, with dropout: ``(N, in_channels)``."""
        return self.dropout(super().pre_logits(feats))
