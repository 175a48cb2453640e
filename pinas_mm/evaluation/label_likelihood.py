"""Scores of an arch beside its accuracy, as an mm metric: how likely the true labels are, and by
how much."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from ..registry import METRICS
from .merged_results import SummedMetric


@METRICS.register_module()
class LabelLikelihood(SummedMetric):
    """Scores classifiers by the log-probabilities they give to the true labels; higher is better in
    both.

    ``score/neg_loss`` is the negative cross-entropy, ``score/margin`` the log-probability of the
    true label minus that of the best other one, both in nats and averaged over the samples. An
    accuracy of n samples has n + 1 values and ignores how sure a supernet is; these tell archs
    apart that have equal accuracies. A config names it beside the accuracy and chooses by
    ``score='score/margin'``.

    Args:
        collect_device, prefix: As in every mm metric.
    """

    default_prefix = 'score'

    def process(self, data_batch: dict | None, data_samples: Sequence[dict]) -> None:
        """Takes mmpretrain's predictions.

        Raises:
            InputError: A sample without class probabilities, or not of exactly one class.
        """
        for sample in data_samples:
            if (
                'pred_score' not in sample
                or sample.get('gt_label') is None
                or len(sample['gt_label']) != 1
            ):
                raise InputError(
                    f"{type(self).__name__} needs 'pred_score' and exactly one 'gt_label' of "
                    f"every sample, as mmpretrain's "
                    f'classifiers give them, but a sample has {sorted(sample)}'
                )
        labels = torch.cat([sample['gt_label'] for sample in data_samples])[:, None]
        # A probability that is zero in float32 would make the mean infinite.
        logs = (
            torch.stack([sample['pred_score'] for sample in data_samples])
            .double()
            .clamp(min=torch.finfo(torch.float32).tiny)
            .log()
        )
        true, others = logs.gather(1, labels)[:, 0], logs.scatter(1, labels, -torch.inf).amax(dim=1)
        self.results.extend(
            torch.stack([torch.ones_like(true), true, true - others], dim=1).numpy(force=True)
        )

    def of_sums(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """The means over all samples."""
        samples, neg_loss, margin = sums.tolist()
        return dict(neg_loss=neg_loss / samples, margin=margin / samples)
