"""What heads that predict an age have in common: the range of ages, and what they give."""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.models.heads import ClsHead
from mmpretrain.structures import DataSample
from torch import Tensor

from ...errors import InputError
from ...schema import WholeNumber


class AgeHead(ClsHead):
    """A head for the whole years from a youngest to an oldest age; a subclass says what it learns
    and how it predicts.

    It reads ``gt_label`` in years. Its predictions have ``pred_age``, in years, ``(1, )``, and
    ``pred_score``, the probability of each age of the range.

    Args:
        ages: The youngest and the oldest age, in years.
        kwargs: As in mmpretrain's ``ClsHead``.

    Raises:
        InputError: No range of at least two ages. While it learns: an age outside the range, with
            the file; images that were mixed.
    """

    def __init__(self, ages: Sequence[WholeNumber], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(ages) != 2 or ages[0] >= ages[1]:
            raise InputError(
                f'ages={ages!r} of {type(self).__name__}: expected the youngest and the oldest '
                f'age in whole years'
            )
        self.youngest, self.oldest = ages
        self.num_ages = self.oldest - self.youngest + 1

    def targets(self, ranks: Tensor) -> Tensor:
        """What the loss compares scores with, from ages as integers from 0 (the youngest), ``(N,
        )``."""
        raise NotImplementedError

    def age_probabilities(self, scores: Tensor) -> Tensor:
        """The probability of each age of the range, ``(N, num_ages)``, from what :meth:`forward`
        gives."""
        raise NotImplementedError

    def predicted_ages(self, scores: Tensor) -> Tensor:
        """Ages in years, ``(N, )``, from what :meth:`forward` gives."""
        raise NotImplementedError

    def _get_loss(
        self, cls_score: Tensor, data_samples: Sequence[DataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        if 'gt_score' in data_samples[0]:
            raise InputError(
                f'{type(self).__name__}: mixed images (Mixup, CutMix) have no age; take '
                f'`batch_augments` and `to_onehot` out '
                'of the data preprocessor'
            )
        ages = torch.cat([sample.gt_label for sample in data_samples]).to(cls_score.device)
        outside = ((ages < self.youngest) | (ages > self.oldest)).tolist()
        if any(outside):
            sample = data_samples[outside.index(True)]
            raise InputError(
                f'{sample.get("img_path", "a sample")}: age {sample.gt_label.item()}, expected '
                f'{self.youngest} to '
                f'{self.oldest} (`ages` of {type(self).__name__})'
            )
        return dict(
            loss=self.loss_module(
                cls_score, self.targets(ages - self.youngest), avg_factor=len(ages), **kwargs
            )
        )

    def _get_predictions(
        self, cls_score: Tensor, data_samples: Sequence[DataSample | None] | None
    ) -> list[DataSample]:
        # In full precision: at the age of 40, bfloat16 has steps of a quarter of a year.
        cls_score = cls_score.float()
        samples = [
            DataSample() if sample is None else sample
            for sample in data_samples or [None] * len(cls_score)
        ]
        for sample, score, age in zip(
            samples, self.age_probabilities(cls_score), self.predicted_ages(cls_score)
        ):
            sample.set_pred_score(score).set_field(age[None], 'pred_age', dtype=Tensor)
        return samples
