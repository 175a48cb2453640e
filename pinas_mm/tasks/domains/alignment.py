"""What alignment losses of unsupervised domain adaptation have in common."""

from mmengine.model import BaseModule
from torch import Tensor

from ...schema import NotNegative


class Alignment(BaseModule):
    """A loss that is small where the features of two domains look alike. Training only: no
    prediction passes through it.

    Args:
        in_channels: Features of an image, C.
        num_classes: Class scores of an image, K. Both are the head's:
            :class:`DomainAdaptiveClassifier` fills them in.
        loss_weight: Weight of the loss beside the classification loss; 1, as usual.
        init_cfg: As in every mm module; torch's own initialisation by default.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        loss_weight: NotNegative = 1.0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.loss_weight = loss_weight

    def loss(
        self, source: Tensor, target: Tensor, source_scores: Tensor, target_scores: Tensor
    ) -> dict[str, Tensor]:
        """The loss of one batch, and values to watch.

        Args:
            source: Features of the source's images, float32 ``(N, C)``.
            target: Features of the target's, ``(M, C)``.
            source_scores: The head's class scores of the source's images, before softmax, ``(N,
                K)``.
            target_scores: Those of the target's, ``(M, K)``.

        Returns:
            ``loss_alignment``, weighted, and values whose names are without 'loss', which mmengine
            would add to it.
        """
        raise NotImplementedError
