"""Pi-NAS with labels: its cross-path consistency and its mean teacher (Peng et al., ICCV 2021,
section 3) beside the task's own loss."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..models.backbones import refuse_shared_weights
from ..models.selfsup import MeanTeacher
from ..registry import MODELS
from ..schema import NotNegative, Positive, Probability, Seed, WholeNumber
from ..spaces import Arch, arch_rng
from ..training_length import training_length
from .base import Pass
from .classifier import ClassifierStrategy, soft_divergence

# Of the training, the share in which the consistency reaches its full weight.
RAMP_SHARE = 0.25


@MODELS.register_module()
class SupervisedPiStrategy(ClassifierStrategy):
    """Per step two paths that differ in every slot each learn from the labels and from the
    teacher's predictions on the other path.

    Both see the same images. The teacher is moved along each of the two paths, then predicts on it,
    with BN statistics of its own.

    Args:
        model, arch_seed, data_preprocessor: See :class:`Strategy`; an ``ImageClassifier``.
        consistency: Weight of the divergence from the teacher. At temperature 1 the gradient of
            either loss is the difference of two distributions over the classes, so that 1 lets
            labels and teacher count alike.
        momentum: Share of the teacher that stays at each update (see :class:`MeanTeacher`;
            mmengine's EMA counts the other way round). 0.99, not the 0.999 published for 100 epochs
            of ImageNet: of m candidates a slot, each is updated only in 2/m of the steps, and runs
            with labels are short.
        temperature: Divides the scores of teacher and student before softmax.
        initial_consistency: The weight at the first step; it goes linearly to ``consistency``
            within ``ramp_steps``. Below ``consistency`` the teacher has time to learn first
            (Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017, ramp up
            over the first epochs); above it, agreement fades.
        ramp_steps: Length of that ramp in steps; 0 for the full weight from the start. Defaults to
            a quarter of the training's iterations, about the share that Laine and Aila ("Temporal
            Ensembling for Semi-Supervised Learning", ICLR 2017) ramp up for: 80 of 300 epochs.
        probabilities: As in :class:`~pinas_mm.models.selfsup.PiNAS`.

    Raises:
        InputError: An argument out of range, a slot with one candidate, candidates that share
            weights, no classifier, or see
            :class:`Strategy`.
    """

    def __init__(
        self,
        model: dict,
        consistency: NotNegative = 1.0,
        momentum: Probability = 0.99,
        temperature: Positive = 1.0,
        initial_consistency: NotNegative = 0.0,
        ramp_steps: WholeNumber | None = None,
        probabilities: Sequence[NotNegative] | Sequence[Sequence[NotNegative]] | None = None,
        arch_seed: Seed = 0,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(model, arch_seed, data_preprocessor)
        refuse_shared_weights(self.backbone, type(self).__name__)
        self.consistency = consistency
        self.temperature = temperature
        self.initial_consistency = initial_consistency
        self.ramp_steps = ramp_steps
        self.teacher = MeanTeacher(self.model, ('backbone', 'neck', 'head'), momentum)
        self.register_load_state_dict_pre_hook(_teacher_of_plain_model)
        self.probabilities: list[list[float]] | None = None
        if probabilities is not None:
            checked = self.space.slot_probabilities(
                probabilities, 'probabilities of SupervisedPiStrategy'
            )
            self.probabilities = [values.tolist() for values in checked]
        # A space without two such paths is an error now, not at the first step.
        self.space.sample_disjoint(arch_rng(arch_seed, 0), 2, self.probabilities)

    def init_weights(self) -> None:
        """Initialises the student, also from ``Pretrained`` weights, and then makes the teacher
        equal to it."""
        super().init_weights()
        self.teacher.copy_student(self.model)

    @property
    def learning_only(self) -> tuple[str, ...]:
        return ('teacher', *super().learning_only)

    def draw_archs(self) -> list[Arch]:
        """The two archs of the present step."""
        return self.space.sample_disjoint(self.arch_rng(), 2, self.probabilities)

    def passes(self, data: dict) -> Iterator[Pass]:
        images, weight = data['inputs'], self.consistency_weight()
        arch0, arch1 = self.draw_archs()
        target0, target1 = self.teach(arch0, images), self.teach(arch1, images)
        for arch, crossed in ((arch0, target1), (arch1, target0)):
            self.backbone.set_arch(arch)
            features = self.model.extract_feat(images)
            logits = self.logits(features)
            yield (
                arch,
                dict(
                    self.label_losses(features, data['data_samples']),
                    loss_consistency=weight * soft_divergence(logits, crossed, self.temperature),
                    path_agreement=(logits.argmax(dim=1) == crossed.argmax(dim=1)).float().mean(),
                ),
            )

    @torch.no_grad()
    def teach(self, arch: Arch, images: Tensor) -> Tensor:
        """Moves the teacher along ``arch`` and returns its class scores ``(N, C)`` of images ``(N,
        3, H, W)`` on that path."""
        self.teacher.update(self.model, arch)
        self.teacher.backbone.set_arch(arch)
        return self.teacher(images)

    def consistency_weight(self) -> float:
        """The weight of the consistency at the present step.

        Raises:
            InputError: No ``ramp_steps``, and no run that could tell its length.
        """
        ramp: float | None = self.ramp_steps
        if ramp is None:
            ramp = RAMP_SHARE * training_length(type(self).__name__)
        share = min(1.0, self.step / ramp) if ramp else 1.0
        return self.initial_consistency + share * (self.consistency - self.initial_consistency)


def _teacher_of_plain_model(
    strategy: SupervisedPiStrategy, state: dict[str, Tensor], prefix: str, *unused: Any
) -> None:
    """A checkpoint without a teacher (``load_from`` of a plain classifier's) gives its weights to
    the teacher too, as ``init_weights``."""
    student, teacher = f'{prefix}model.', f'{prefix}teacher.'
    if not any(key.startswith(teacher) for key in state):
        state.update(
            {
                teacher + key[len(student) :]: value
                for key, value in state.items()
                if key.startswith(student)
            }
        )
