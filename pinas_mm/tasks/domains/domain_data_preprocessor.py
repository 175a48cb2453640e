"""mmpretrain's data preprocessor for batches in which only some images have labels."""

from typing import Any

from mmpretrain.models import ClsDataPreprocessor

from ...errors import InputError
from ...registry import MODELS


@MODELS.register_module()
class DomainDataPreprocessor(ClsDataPreprocessor):
    """``ClsDataPreprocessor``, which takes it that either all images of a batch have labels or
    none.

    Args:
        kwargs: As there, without what changes labels.

    Raises:
        InputError: Images are to be mixed or labels to become one-hot: mixing would put unlabelled
            images into labelled ones.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.batch_augments is not None or self.to_onehot:
            raise InputError(
                'DomainDataPreprocessor: batch augmentation (train_cfg.augments) and to_onehot '
                'are not for batches of two '
                'domains, of which one has no labels'
            )

    def forward(self, data: dict, training: bool = False) -> dict:
        """Images to a normalised float tensor ``(N, C, H, W)``, all on the device; see
        ``ClsDataPreprocessor``."""
        samples = data.get('data_samples')
        if samples is None or len({'gt_label' in sample for sample in samples}) < 2:
            return super().forward(data, training)
        inputs = super().forward(dict(inputs=data['inputs']), training)['inputs']
        return dict(inputs=inputs, data_samples=[sample.to(self.device) for sample in samples])
