"""Scores archs by the losses of their stages, each learned alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..registry import METRICS
from .merged_results import SummedMetric


@METRICS.register_module()
class BlockwiseLoss(SummedMetric):
    """Scores archs of block-wise models (``DNA``, ``BossNAS``) by the losses of their stages, the
    means over the samples.

    ``blockwise/neg_log_loss`` is minus the sum of their logarithms, ``blockwise/neg_loss`` minus
    their sum, as published; ``blockwise/neg_stage0`` and so on are minus the losses of each stage.
    Higher is better in all. The losses of stages have different sizes, and a sum is ruled by the
    largest; the logarithm counts by what share a stage is better.

    Args:
        collect_device, prefix: As in every mm metric.
    """

    default_prefix = 'blockwise'

    def process(self, data_batch: dict | None, data_samples: Sequence[dict]) -> None:
        """Takes the predictions of a block-wise model.

        Raises:
            InputError: A sample without the losses of its stages.
        """
        for sample in data_samples:
            if 'stage_losses' not in sample:
                raise InputError(
                    f"{type(self).__name__} needs 'stage_losses' of every sample, as "
                    f'pinas_mm.DNA and pinas_mm.BossNAS give them, but a sample has '
                    f'{sorted(sample)}'
                )
            losses = sample['stage_losses'].double().numpy(force=True)
            self.results.append(np.concatenate([[1.0], losses]))

    def of_sums(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """The scores over all samples."""
        losses = sums[1:] / sums[0]
        # A loss of zero is good but finite.
        logs = np.log(np.maximum(losses, np.finfo(np.float32).tiny))
        return dict(neg_log_loss=-float(logs.sum()), neg_loss=-float(losses.sum())) | {
            f'neg_stage{stage}': -float(loss) for stage, loss in enumerate(losses)
        }
