"""A score of predictions that needs no labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import InputError
from ...evaluation import SummedMetric
from ...registry import METRICS


@METRICS.register_module()
class InformationMaximisation(SummedMetric):
    """How much a classifier's predictions say about the image: the mutual information between
    images and predicted classes.

    ``H(mean of p) - mean of H(p)``, in nats, from 0 to ln(classes): Bridle et al., "Unsupervised
    Classifiers, Mutual Information and 'Phantom Targets'", NeurIPS 1991. High where single
    predictions are certain and all together use every class. It reads class probabilities only, so
    that archs can be compared on images of a target domain without a look at its labels. It takes
    it that classes are about equally frequent, and cannot see predictions that are certain,
    balanced and wrong: compare the archs of one supernet by it, not any two classifiers.

    Gives ``mutual_information`` and its parts, ``marginal_entropy`` (0 where all images are called
    the same) and ``conditional_entropy`` (0 where each prediction is certain), of mmpretrain's
    ``pred_score``.

    Args:
        collect_device, prefix: As in every mm metric.
    """

    default_prefix = 'information'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the class probabilities; labels, where samples have them, are not read.

        Raises:
            InputError: A sample without ``pred_score``.
        """
        for sample in data_samples:
            if 'pred_score' not in sample:
                raise InputError(
                    f'InformationMaximisation: a prediction with {sorted(sample)}, expected '
                    f'pred_score: class probabilities'
                )
            probabilities = sample['pred_score'].detach().cpu().double()
            self.results.append(np.array([1, _entropy(probabilities), *probabilities]))

    def of_sums(self, sums: NDArray[np.float64]) -> dict[str, float]:
        samples, entropies, *probabilities = sums.tolist()
        marginal = _entropy(torch.tensor(probabilities, dtype=torch.float64) / samples)
        conditional = entropies / samples
        return dict(
            mutual_information=marginal - conditional,
            marginal_entropy=marginal,
            conditional_entropy=conditional,
        )


def _entropy(probabilities: torch.Tensor) -> float:
    """The entropy of class probabilities ``(K, )``, in nats."""
    return torch.special.entr(probabilities).sum().item()
