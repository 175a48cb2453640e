"""How far predicted ages are from the true ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...evaluation import SummedMetric
from ...registry import METRICS

# The error at which the literature reads the cumulative score (Geng et al., PAMI 2007, draw it over
# all errors).
YEARS = 5


@METRICS.register_module()
class AgeMetric(SummedMetric):
    """Scores predicted ages: mean absolute error and cumulative score.

    ``age/mae`` is the mean absolute error in years, and ``age/neg_mae`` its negative, for searches,
    which maximise. ``age/cs@5`` is the cumulative score: the share of faces whose error is at most
    5 years, in %. Predictions count as they are, not rounded to whole years.

    Args:
        collect_device, prefix: As in every mm metric.
    """

    default_prefix = 'age'

    def process(self, data_batch: dict | None, data_samples: Sequence[dict]) -> None:
        """Takes the predictions of this package's age heads.

        Raises:
            InputError: A sample without a predicted age, or not of exactly one true age.
        """
        for sample in data_samples:
            if (
                'pred_age' not in sample
                or sample.get('gt_label') is None
                or len(sample['gt_label']) != 1
            ):
                raise InputError(
                    f"{type(self).__name__} needs 'pred_age' and exactly one 'gt_label' in years "
                    f'of every sample, as the age '
                    f'heads of pinas_mm give them, but a sample has {sorted(sample)}'
                )
            error = abs(float(sample['pred_age']) - float(sample['gt_label']))
            self.results.append(np.array([1, error, error <= YEARS]))

    def compute_metrics(self, results: list[NDArray[np.float64]]) -> dict[str, float]:
        """The metrics of errors in years.

        Raises:
            InputError: No sample was evaluated.
        """
        if not results:
            raise InputError(f'{type(self).__name__}: no sample with an age was evaluated')
        return super().compute_metrics(results)

    def of_sums(self, sums: NDArray[np.float64]) -> dict[str, float]:
        samples, error, within = sums.tolist()
        mae = error / samples
        return {'mae': mae, f'cs@{YEARS}': 100 * (within / samples), 'neg_mae': -mae}
