"""Pi-NAS: the two-path loss (Peng et al., "Pi-NAS: Improving Neural Architecture Search by Reducing
Supernet Training Consistency Shift", ICCV 2021, section 3)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_world_size
from mmpretrain.models.selfsup.base import BaseSelfSupervisor
from mmpretrain.models.utils import batch_shuffle_ddp, batch_unshuffle_ddp
from mmpretrain.structures import DataSample
from torch import Tensor

from ...errors import InputError
from ...registry import MODELS
from ...schema import Count, NotNegative, Probability, Seed
from ...spaces import Arch, arch_rng
from ..backbones import refuse_shared_weights
from ..step_count import count_steps
from .mean_teacher import MeanTeacher


@MODELS.register_module()
class PiNAS(BaseSelfSupervisor):
    """Trains a supernet without labels: two paths that share no layer see different views, and each
    must agree with the teacher on the other path, against a queue of negatives.

    Args:
        backbone: A searchable backbone without ``arch``.
        neck: Projection head, ending in ``feat_dim`` channels; published: fc-ReLU-fc 2048-2048-128
            without BN (``MoCoV2Neck``), whose weights start normal by their fan-in (Kaiming) and
            whose biases start at zero (its ``init_cfg``; torch's own start is another).
        head: The contrastive loss; published: InfoNCE at temperature 0.2 (``ContrastiveHead``).
        queue_len: Number of negatives K, 49,152 as published.
        feat_dim: Embedding size D, 128 as published.
        momentum: Share of the teacher that stays at each update, 0.999 as published (see
            :class:`MeanTeacher`; mmengine's EMA counts the other way round).
        arch_seed: The archs of step t are a pure function of (arch_seed, t), the same on every rank
            and after a resume.
        decay_inactive: Candidates off both paths keep ``.grad`` None, so neither weight decay nor
            momentum moves them. So it is in the published code, whose optimiser hook sets gradients
            that are all zero to None. True fills in zeros: weight decay and momentum then move
            every candidate at every step.
        probabilities: What the candidates' probabilities are proportional to, for one path after
            the other: one number per candidate, for all slots alike, or a list of them for every
            slot. Uniform as published (None). A weak path drags its
            partner down, so candidates without weights may be drawn less often; that is ours.
        data_preprocessor, init_cfg: As in every mmpretrain self-supervised model. Pretrained
            weights go into the backbone's ``init_cfg``.

    Raises:
        InputError: The backbone is a subnet, its candidates share weights, or an argument is out of
            range.
    """

    step: int  # of count_steps

    # What a subnet does not take with it (pinas_mm.subnets.state_dict).
    learning_only = ('teacher', 'queue', 'queue_pointer', 'step')

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict,
        queue_len: Count = 49152,
        feat_dim: Count = 128,
        momentum: Probability = 0.999,
        arch_seed: Seed = 0,
        decay_inactive: bool = False,
        probabilities: Sequence[NotNegative] | Sequence[Sequence[NotNegative]] | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            neck=neck,
            head=head,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        if not self.backbone.is_supernet:
            raise InputError(
                f'PiNAS trains a supernet, but its backbone was given '
                f'arch={self.backbone.fixed_arch}'
            )
        refuse_shared_weights(self.backbone, 'PiNAS')
        self.teacher = MeanTeacher(self, momentum=momentum)
        self.arch_seed = arch_seed
        self.decay_inactive = decay_inactive
        space = self.backbone.space
        self.probabilities = (
            None
            if probabilities is None
            else space.slot_probabilities(probabilities, 'probabilities of PiNAS')
        )
        space.sample_disjoint(
            arch_rng(arch_seed, 0), 2, self.probabilities
        )  # too few candidates are an error now, not at the first step
        self.register_buffer('queue', F.normalize(torch.randn(queue_len, feat_dim), dim=1))
        self.register_buffer('queue_pointer', torch.zeros((), dtype=torch.long))
        count_steps(self)

    def init_weights(self) -> None:
        """Initialises the student, also from ``Pretrained`` weights, and then makes the teacher
        equal to it."""
        super().init_weights()
        self.teacher.copy_student(self)

    def loss(
        self,
        inputs: list[Tensor],
        data_samples: list[DataSample] | None = None,
        archs: Sequence[Arch] | None = None,
    ) -> dict[str, Tensor]:
        """The Pi-NAS step.

        Args:
            inputs: Four views of each image, q0, k0, q1, k1, each ``(N, C, H, W)``.
            data_samples: Not used; there are no labels.
            archs: The two archs (tests, analysis). Defaults to a draw in which they differ in every
                slot.

        Returns:
            ``loss_path0`` and ``loss_path1``, whose sum is minimised, and what shows whether it
            learns: ``nce_ratio`` (their mean over ln(K + 1): 1 while nothing is learned),
            ``positive_similarity`` (mean cosine of a query and its key) and ``feature_spread``
            (near 1 for embeddings spread over the sphere, 0 for collapsed ones).

        Raises:
            InputError: Not four views.
        """
        if not isinstance(inputs, list | tuple) or len(inputs) != 4:
            views = len(inputs) if isinstance(inputs, list | tuple) else 1
            raise InputError(
                f'PiNAS got {views} view(s) of each image, expected 4: '
                "dict(type='MultiView', num_views=[4], ...) in the pipeline"
            )
        query_view0, key_view0, query_view1, key_view1 = inputs
        if self.decay_inactive:
            self._zero_missing_gradients()

        arch0, arch1 = self.draw_archs() if archs is None else archs
        query0, key0 = self.path_step(arch0, query_view0, key_view0)
        query1, key1 = self.path_step(arch1, query_view1, key_view1)

        negatives = self.queue.clone()  # the queue moves on before the backward pass reads it
        loss0, similarity0 = self.info_nce(query0, key1, negatives)
        loss1, similarity1 = self.info_nce(query1, key0, negatives)
        self.enqueue((key0 + key1) / 2)

        plateau = math.log(len(self.queue) + 1)
        return dict(
            loss_path0=loss0,
            loss_path1=loss1,
            nce_ratio=(loss0 + loss1).detach() / 2 / plateau,
            positive_similarity=(similarity0 + similarity1) / 2,
            feature_spread=_spread(query0),
        )

    def draw_archs(self) -> list[Arch]:
        """The two archs of this step, and moves to the next step."""
        archs = self.backbone.space.sample_disjoint(
            arch_rng(self.arch_seed, self.step), 2, self.probabilities
        )
        self.step += 1
        return archs

    def path_step(self, arch: Arch, query_view: Tensor, key_view: Tensor) -> tuple[Tensor, Tensor]:
        """One path: the student's embeddings, the teacher's update along the path, the teacher's
        embeddings.

        Args:
            arch: The path.
            query_view, key_view: Two views ``(N, C, H, W)``.

        Returns:
            Query and key ``(N, D)``, of unit length; no gradient reaches the key.
        """
        self.backbone.set_arch(arch)
        query = F.normalize(self.neck(self.backbone(query_view))[0], dim=1)
        with torch.no_grad():
            self.teacher.update(self, arch)
            self.teacher.backbone.set_arch(arch)
            # BN must not see the queries' own batch: keys are computed in batches mixed over the
            # ranks.
            shuffle = get_world_size() > 1
            if shuffle:
                key_view, restore = batch_shuffle_ddp(key_view)
            key = F.normalize(self.teacher(key_view)[0], dim=1)
            if shuffle:
                key = batch_unshuffle_ddp(key, restore)
        return query, key

    def info_nce(self, query: Tensor, key: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
        """InfoNCE of queries ``(N, D)`` and their keys ``(N, D)`` against negatives ``(K, D)``:
        loss and mean positive similarity."""
        positive = (query * key).sum(dim=1, keepdim=True)
        similarity = positive.detach().mean()
        # mmpretrain's head makes its labels on the CPU else, and Python waits for their copy.
        with query.device:
            return self.head.loss(positive, query @ negatives.T), similarity

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Puts the keys ``(N, D)`` of every rank in place of the oldest; any N, also one that does
        not divide the queue."""
        keys = torch.cat(all_gather(keys.to(self.queue.dtype)))[-len(self.queue) :]
        # The pointer stays on its device: Python would wait there for all that runs before.
        slots = self.queue_pointer + torch.arange(len(keys), device=keys.device)
        self.queue[slots % len(self.queue)] = keys
        self.queue_pointer.add_(len(keys)).remainder_(len(self.queue))

    def _zero_missing_gradients(self) -> None:
        for parameter in self.backbone.parameters():
            if parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)


@torch.no_grad()
def _spread(embeddings: Tensor) -> Tensor:
    """Root of the total variance of unit embeddings ``(N, D)``: 0 when all are equal, near 1 when
    they surround the origin."""
    return embeddings.float().var(dim=0, unbiased=False).sum().sqrt()
