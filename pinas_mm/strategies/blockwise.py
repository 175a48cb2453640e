"""What block-wise strategies share: every stage of the supernet learns alone, from inputs that do
not depend on the path."""

import operator
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from mmpretrain.structures import DataSample
from torch import Tensor

from ..errors import InputError
from ..models.backbones import ArchBackbone
from ..private_api import version_of
from ..registry import MODELS


class BlockwiseModel(BaseModel):
    """A supernet whose stages are learned and scored one by one.

    A subclass says what a stage reads and what it shall give (:meth:`teach`). An arch is then worth
    the sum of what its stages are worth: a stage of NAS-Bench-Macro has 9 or 27 paths, where the
    whole space has 6,561. :class:`~pinas_mm.evaluation.BlockwiseLoss` makes scores of the losses.

    Args:
        backbone: Config of a supernet. Its tail, where it has one, learns nothing.
        data_preprocessor, init_cfg: As in every mm classifier; mmpretrain's ``ClsDataPreprocessor``
            by default. Labels are not read.

    Raises:
        InputError: Another backbone than a supernet of ours, or one of a single stage.
    """

    # A forward pass in this mode runs what BN is recalibrated for (scoring/bn_recalibration.py):
    # mode='tensor' is the plain network, as it is deployed and as its costs are counted.
    calibration_mode = 'predict'

    def __init__(
        self,
        backbone: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            {'type': 'mmpretrain.ClsDataPreprocessor'} | (data_preprocessor or {}), init_cfg
        )
        name = type(self).__name__
        self.backbone: ArchBackbone = MODELS.build(backbone)
        if not isinstance(self.backbone, ArchBackbone):
            raise InputError(
                f'{name}: its backbone is a {type(self.backbone).__name__}, expected a '
                f"supernet as model.backbone, such as dict(type='pinas_mm.SearchableMacroNet')"
            )
        if not self.backbone.is_supernet:
            raise InputError(
                f'{name} trains a supernet, but model.backbone was given '
                f'arch={self.backbone.fixed_arch}'
            )
        self._taught: tuple[list[Tensor], list[int], Any] | None = None
        if self.num_stages < 2:
            raise InputError(
                f'{name}: space {self.backbone.space.name!r} has one stage, so that nothing could '
                f'be learned stage by stage: expected a space of at least 2'
            )

    @property
    def num_stages(self) -> int:
        return self.backbone.space.num_stages

    @abstractmethod
    def teach(self, inputs: Any) -> Any:
        """What the stages read and shall give, which is the same for every arch.

        Args:
            inputs: Images as the data preprocessor gives them, one tensor or several views.
        """

    @abstractmethod
    def losses(self, inputs: Any) -> list[Tensor]:
        """The losses of every stage along the active arch, ``(N, )`` each, one per sample.

        Args:
            inputs: As :meth:`teach`.
        """

    @torch.no_grad()
    def taught(self, inputs: Tensor | Sequence[Tensor]) -> Any:
        """What :meth:`teach` gives, without gradients; once for all archs that are evaluated on a
        batch."""
        if not self.backbone.is_borrowed:
            self._taught = None
            return self.teach(inputs)
        views = views_of(inputs)
        versions = [version_of(view) for view in views]
        if self._taught is not None:
            known, known_versions, found = self._taught
            same = len(known) == len(views) and all(map(operator.is_, known, views))
            if same and versions == known_versions:
                return found
        self._taught = views, versions, self.teach(inputs)
        return self._taught[2]

    def loss(self, inputs: Any) -> dict[str, Tensor]:
        """``loss_stage0``, ``loss_stage1``, …, whose sum is minimised."""
        return {f'loss_stage{stage}': loss.mean() for stage, loss in enumerate(self.losses(inputs))}

    def forward(
        self, inputs: Any, data_samples: list[DataSample] | None = None, mode: str = 'tensor'
    ) -> Any:
        """As every mm model along the active arch.

        Args:
            inputs: Images ``(N, C, H, W)``, or views of them.
            data_samples: One per image, or None.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.

        Returns:
            ``'loss'``: see :meth:`loss`. ``'predict'``: data samples with ``stage_losses``,
            ``(num_stages, )``. ``'tensor'``: the backbone's feature maps, each stage run on what
            the one before gave.
        """
        if mode == 'tensor':
            return self.extract_feat(inputs)
        if mode == 'loss':
            return self.loss(inputs)
        by_sample = torch.stack(self.losses(inputs), dim=1)
        samples = data_samples or [DataSample() for _ in by_sample]
        for sample, values in zip(samples, by_sample, strict=True):
            sample.set_field(values, 'stage_losses')
        return samples

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """The backbone's feature maps of images ``(N, C, H, W)``."""
        return self.backbone(inputs)


def views_of(inputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """The views ``(N, C, H, W)`` of a batch of images: one, or several."""
    return [inputs] if isinstance(inputs, Tensor) else list(inputs)
