"""Domain-adversarial alignment: DANN and CDAN."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from ...schema import Count, NotNegative, Probability
from ...training_length import training_length
from .alignment import Alignment


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        return -weight * gradient, None


def reverse_gradient(x: Tensor, weight: Tensor) -> Tensor:
    """The gradient reversal layer: ``x`` as it is, while its gradient is multiplied by ``-weight``.

    Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 2016, section 4.2.

    Args:
        x: Any tensor.
        weight: The lambda of the paper, one number.
    """
    return _Reversal.apply(x, weight)


class AdversarialAlignment(Alignment):
    """A discriminator learns to tell the domains apart, and through :func:`reverse_gradient` the
    features learn to prevent it.

    The weight of the reversed gradient rises from 0 to 1 over the training, ``2 / (1 + exp(-10 p))
    - 1`` with its share p that is done (Ganin et al., section 5.2.2), so that a discriminator that
    knows nothing yet does no harm. The steps done are a buffer in the checkpoint: a resumed
    training goes on, and so does a subnet that inherits the discriminator. A subclass says what the
    discriminator sees.

    Logs ``domain_accuracy``, in % (50 where the domains cannot be told apart), and
    ``reversal_weight``.

    Args:
        in_channels, num_classes, loss_weight, init_cfg: See :class:`Alignment`.
        joint_channels: What the discriminator sees of an image.
        hidden_channels: Width of its two hidden layers, 1,024 as published with both methods.
        dropout: After each of them; 0.5 as in CDAN's published code.
        ramp_steps: Training steps until p is 1, each loss that is computed a step. Defaults to the
            iterations of the run, which mmengine knows; CDAN's published code has 10,000.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        joint_channels: int,
        hidden_channels: Count = 1024,
        dropout: Probability = 0.5,
        ramp_steps: Count | None = None,
        loss_weight: NotNegative = 1.0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(in_channels, num_classes, loss_weight, init_cfg)
        self.ramp_steps = ramp_steps
        self.register_buffer('step', torch.zeros((), dtype=torch.long))
        self.discriminator = nn.Sequential(
            nn.Linear(joint_channels, hidden_channels),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden_channels, hidden_channels),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden_channels, 1),
        )

    def joint(self, features: Tensor, scores: Tensor) -> Tensor:
        """What the discriminator sees: features ``(N, C)`` and class scores ``(N, K)`` to ``(N,
        joint_channels)``."""
        raise NotImplementedError

    def sample_weights(self, scores: Tensor) -> Tensor:
        """How much each image counts within its domain: class scores ``(N, K)`` to ``(N, )``, not
        normalised. All the same here.

        A gradient that goes back through them is reversed, as that of the features is."""
        return scores.new_ones(len(scores))

    def reversal_weight(self) -> Tensor:
        """The weight of the reversed gradient at the present step, one number in [0, 1).

        Raises:
            InputError: No ``ramp_steps``, and no run that could tell its length.
        """
        steps = self.ramp_steps or training_length(type(self).__name__)
        return 2 * torch.sigmoid(10 * (self.step / steps).clamp(max=1)) - 1

    def loss(
        self, source: Tensor, target: Tensor, source_scores: Tensor, target_scores: Tensor
    ) -> dict[str, Tensor]:
        """The binary cross-entropy of the discriminator, the mean of both domains' means, so that
        neither counts for more by its size.

        See :meth:`Alignment.loss`. In train mode, it counts a step.
        """
        weight = self.reversal_weight()
        joint = torch.cat([self.joint(source, source_scores), self.joint(target, target_scores)])
        logits = self.discriminator(reverse_gradient(joint, weight)).squeeze(1)
        is_source = (torch.arange(len(logits), device=logits.device) < len(source)).to(logits)
        shares = [
            reverse_gradient(weights, weight) / weights.detach().sum()
            for weights in map(self.sample_weights, (source_scores, target_scores))
        ]
        loss = (
            F.binary_cross_entropy_with_logits(logits, is_source, reduction='none')
            * torch.cat(shares)
        ).sum() / 2
        right = ((logits > 0) == (is_source > 0)).to(logits)
        accuracy = (right[: len(source)].mean() + right[len(source) :].mean()) * 50
        if self.training:
            self.step += 1
        return dict(
            loss_alignment=self.loss_weight * loss, domain_accuracy=accuracy, reversal_weight=weight
        )


@MODELS.register_module()
class DANN(AdversarialAlignment):
    """The discriminator sees the features: Ganin et al., "Domain-Adversarial Training of Neural
    Networks", JMLR 2016.

    Args:
        in_channels, num_classes: See :class:`Alignment`.
        kwargs: See :class:`AdversarialAlignment`.
    """

    def __init__(self, in_channels: int, num_classes: int, **kwargs: Any) -> None:
        super().__init__(in_channels, num_classes, joint_channels=in_channels, **kwargs)

    def joint(self, features: Tensor, scores: Tensor) -> Tensor:
        return features


@MODELS.register_module()
class CDAN(AdversarialAlignment):
    """The discriminator sees the features together with the predicted classes, so that classes are
    aligned each with its own.

    Long et al., "Conditional Adversarial Domain Adaptation", NeurIPS 2018: the products of every
    feature with every class probability (multilinear conditioning, section 3). Where these are too
    many, the randomised map: ``(R_f f) * (R_g g) / sqrt(d)``, elementwise, with matrices of
    standard normal numbers drawn once and kept in the checkpoint. As in the published code, no
    gradient goes back through the probabilities of these products.

    Args:
        in_channels, num_classes: See :class:`Alignment`.
        max_product: Most channels of the full product; with more, the map is randomised. 4,096 as
            published.
        randomised_channels: d, the channels of the randomised map, 1,024 as published.
        entropy_weighting: Whether images with a certain prediction count for more, by ``1 +
            exp(-H)`` with the prediction's entropy H in nats, normalised within each domain:
            CDAN+E.
        entropy_gradient: Whether these weights pass a gradient back to the class scores, reversed
            as that of the features is; the sums they are normalised by are constants. As published
            (the minimax objective, and the authors' code): predictions become more certain, most of
            all where the discriminator errs. False takes the weights as given, as later libraries
            do.
        kwargs: See :class:`AdversarialAlignment`.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        max_product: Count = 4096,
        randomised_channels: Count = 1024,
        entropy_weighting: bool = False,
        entropy_gradient: bool = True,
        **kwargs: Any,
    ) -> None:
        randomised = in_channels * num_classes > max_product
        joint_channels = randomised_channels if randomised else in_channels * num_classes
        super().__init__(in_channels, num_classes, joint_channels, **kwargs)
        self.entropy_weighting = entropy_weighting
        self.entropy_gradient = entropy_gradient
        self.register_buffer(
            'feature_map', torch.randn(in_channels, randomised_channels) if randomised else None
        )
        self.register_buffer(
            'class_map', torch.randn(num_classes, randomised_channels) if randomised else None
        )

    def joint(self, features: Tensor, scores: Tensor) -> Tensor:
        probabilities = scores.detach().softmax(dim=1)
        if self.feature_map is None:
            return (features[:, :, None] * probabilities[:, None]).flatten(1)
        return (
            (features @ self.feature_map)
            * (probabilities @ self.class_map)
            / self.feature_map.shape[1] ** 0.5
        )

    def sample_weights(self, scores: Tensor) -> Tensor:
        if not self.entropy_weighting:
            return super().sample_weights(scores)
        if not self.entropy_gradient:
            scores = scores.detach()
        return 1 + torch.exp((scores.softmax(dim=1) * scores.log_softmax(dim=1)).sum(dim=1))
