"""The semantic encoding loss (SE-loss) of EncNet as an auxiliary head of its own."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional

from ...registry import MODELS


@MODELS.register_module()
class SemanticEncodingHead(BaseModule):
    """Predicts which classes an image holds, from its global context: an auxiliary head for mmseg's
    segmentors.

    Zhang et al., "Context Encoding for Semantic Segmentation", CVPR 2018, section 3.1: a linear
    layer on the image's context and binary cross-entropy against the presence of each class, so
    that small objects weigh as much as large ones. mmseg has it only within ``EncHead``, tied to
    that head's own encoding layer and segmentation; here the context is the mean of a feature map,
    so that it goes with any decode head. Training only: what a segmentor predicts does not pass
    through it.

    Args:
        in_channels: Channels of the feature map.
        num_classes: Number of classes.
        in_index: Which of the backbone's feature maps; the last by default.
        loss_weight: Weight of the loss, 0.2 as in the paper.
        ignore_index: The label that counts for no class, 255 as everywhere in mmseg.
        init_cfg: As in every mm head; torch's own initialisation by default.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        in_index: int = -1,
        loss_weight: float = 0.2,
        ignore_index: int = 255,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.in_index = in_index
        self.loss_weight = loss_weight
        self.ignore_index = ignore_index
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Feature maps, each ``(N, C_i, H_i, W_i)``, to one logit per image and class, ``(N,
        num_classes)``."""
        return self.fc(inputs[self.in_index].mean(dim=(2, 3)))

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: Sequence[BaseDataElement],
        train_cfg: dict | None = None,
    ) -> dict[str, Tensor]:
        """The mean binary cross-entropy over images and classes, weighted.

        Args:
            inputs: Feature maps of the backbone.
            batch_data_samples: Their samples, with label maps ``gt_sem_seg`` of shape ``(1, H,
                W)``, equal for all.
            train_cfg: What mmseg hands every head; not read.
        """
        labels = torch.stack([sample.gt_sem_seg.data for sample in batch_data_samples])
        logits = self(inputs)
        return dict(
            loss_se=self.loss_weight
            * functional.binary_cross_entropy_with_logits(logits, self.presence(labels).to(logits))
        )

    def presence(self, labels: Tensor) -> Tensor:
        """Which classes occur: integer label maps ``(N, 1, H, W)`` to bool ``(N, num_classes)``."""
        labels = labels.flatten(1)
        # Ignored pixels go to a class beyond the others, which is cut off.
        counted = torch.where(labels == self.ignore_index, self.num_classes, labels)
        present = labels.new_zeros(len(labels), self.num_classes + 1, dtype=torch.bool)
        return present.scatter_(1, counted, True)[:, :-1]
