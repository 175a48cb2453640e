"""Alignment by the maximum mean discrepancy of several Gaussian kernels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import InputError
from ...registry import MODELS
from ...schema import NotNegative, Positive
from .alignment import Alignment


@MODELS.register_module()
class MMD(Alignment):
    """The squared distance between the domains' mean embeddings: Long et al., "Learning
    Transferable Features with Deep Adaptation Networks", ICML 2015 (DAN), section 3.1, on the
    features that the classifier sees.

    The kernel is the sum of Gaussian ones, ``exp(-|x - y|^2 / (factor * median))``, where the
    median is that of the squared distances between the batch's images of both domains (the median
    heuristic); no gradient goes through it. DAN spans factors of 2^-8 to 2^8 and learns the
    kernels' weights; with equal weights the far ends only add constants, so the default keeps the
    middle, as the published code does (Long et al.'s, also in their Transfer Learning Library, with
    the mean in the median's place). The estimate is Gretton et al.'s unbiased one over all pairs
    (JMLR 2012, equation 3): around 0, also below it, where the domains are alike.

    Args:
        in_channels, num_classes, loss_weight: See :class:`Alignment`.
        factors: The bandwidths, relative to the median.

    Raises:
        InputError: No factors, or one that is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        factors: Sequence[Positive] = (0.25, 0.5, 1, 2, 4),
        loss_weight: NotNegative = 1.0,
    ) -> None:
        super().__init__(in_channels, num_classes, loss_weight)
        if not factors:
            raise InputError(f'MMD.factors={factors}: expected at least one, such as [1]')
        self.factors = tuple(factors)

    def loss(
        self, source: Tensor, target: Tensor, source_scores: Tensor, target_scores: Tensor
    ) -> dict[str, Tensor]:
        """See :meth:`Alignment.loss`; class scores are not read.

        Raises:
            InputError: Fewer than two images of a domain: they have no pairs.
        """
        n, m = len(source), len(target)
        if min(n, m) < 2:
            raise InputError(
                f'MMD: a batch of {n} source and {m} target images, expected at least 2 of each '
                f'on every GPU'
            )
        x = torch.cat([source, target])
        x = x - x.detach().mean(dim=0)  # distances stay, and lose less to rounding
        norms = x.square().sum(dim=1)
        distances = (norms[:, None] + norms - 2 * x @ x.T).clamp(min=0)
        rows, columns = torch.triu_indices(n + m, n + m, offset=1, device=x.device)
        median = (
            distances.detach()[rows, columns].median().clamp(min=1e-12)
        )  # 0 where all features are equal
        kernel = torch.stack(
            [torch.exp(-distances / (factor * median)) for factor in self.factors]
        ).sum(dim=0)
        within = sum(
            (block.sum() - block.diagonal().sum()) / (len(block) * (len(block) - 1))
            for block in (kernel[:n, :n], kernel[n:, n:])
        )
        return dict(loss_alignment=self.loss_weight * (within - 2 * kernel[:n, n:].mean()))
