"""BossNAS: block-wise learning from the ensemble of the supernet's own paths (Li et al., "BossNAS:
Exploring Hybrid CNN-transformers with Block-wisely Self-supervised Neural Architecture Search",
ICCV 2021, section 4)."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.models import NonLinearNeck
from torch import Tensor, nn

from ..errors import InputError
from ..models.selfsup import MeanTeacher
from ..models.step_count import count_steps
from ..registry import MODELS
from ..schema import AtLeastTwo, Count, NotNegative, Probability, Seed
from ..spaces import Arch, arch_rng
from .blockwise import BlockwiseModel, views_of

# What the ensemble gives for a view: the mean map and the mean embedding of each stage.
Ensemble = tuple[list[Tensor], list[Tensor]]


@MODELS.register_module()
class BossNAS(BlockwiseModel):
    """Every path of a stage learns to predict, from one view of an image, what several paths
    together give for another view. There is no teacher network and there are no labels.

    The target is the mean of the unit embeddings of the sampled paths in a slowly moving copy of
    the supernet. The loss of a path is ``2 - 2 cos`` of its prediction and the target, the mean
    over both views; those of the paths are added. When archs are scored, the ensemble is of fixed
    paths, with the running BN statistics of the copy.

    Not as published (https://github.com/changlin31/BossNAS): there one stage after the other is
    trained and searched, and a stage reads what the best path found before gives. Here all stages
    learn at once, so that there is no best path yet: a stage reads the mean map of the ensemble of
    the stage before. There the momentum goes to 1 along a cosine, the ensemble that scores is of
    all paths of the stage, and BN runs with the statistics of one batch.

    A step holds the activations of all sampled paths and of both views.

    Args:
        backbone: See :class:`~pinas_mm.strategies.blockwise.BlockwiseModel`.
        num_paths: Paths of a step, no two of which agree in a slot. Defaults to as many as every
            slot has candidates, so that in a space of equal slots each candidate runs once, as
            published (strict fairness).
        ensemble: Paths of the ensemble by which archs are scored. 9 is the number of paths of two
            slots with three candidates; drawn ones may be the same in a stage.
        hid_channels, feat_dim: Of projector and predictor, fc-BN-ReLU-fc each; 4096 and 256 as
            published.
        momentum: Share of the copy that stays at each update (see :class:`MeanTeacher`), 0.99 as
            published at the start.
        arch_seed: The archs of step t are a pure function of (arch_seed, t), the same on every rank
            and after a resume.
        probabilities: As in :class:`~pinas_mm.models.selfsup.PiNAS`; they need ``num_paths`` below
            the number of candidates to make a difference.
        data_preprocessor: mmpretrain's ``SelfSupDataPreprocessor`` by default. It takes batches of
            ``default_collate``: of two views for training, of one for BN recalibration, and of one
            or two for scoring.
        init_cfg: See :class:`BlockwiseModel`.

    Raises:
        InputError: More paths than a slot has candidates, or see :class:`BlockwiseModel`.
    """

    step: int  # of count_steps

    # What a subnet does not take with it (pinas_mm.subnets.state_dict).
    learning_only = ('teacher', 'projectors', 'predictors', 'step')

    def __init__(
        self,
        backbone: dict,
        num_paths: AtLeastTwo | None = None,
        ensemble: Count = 9,
        hid_channels: Count = 4096,
        feat_dim: Count = 256,
        momentum: Probability = 0.99,
        arch_seed: Seed = 0,
        probabilities: Sequence[NotNegative] | Sequence[Sequence[NotNegative]] | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            backbone,
            {'type': 'mmpretrain.SelfSupDataPreprocessor'} | (data_preprocessor or {}),
            init_cfg,
        )
        space = self.backbone.space
        self.arch_seed = arch_seed
        self.num_paths = min(space.num_candidates) if num_paths is None else num_paths
        self.probabilities = (
            None
            if probabilities is None
            else space.slot_probabilities(probabilities, 'probabilities of BossNAS')
        )
        self.ensemble = self._ensemble_archs(ensemble)

        def head(in_channels: int, with_avg_pool: bool) -> NonLinearNeck:
            return NonLinearNeck(
                in_channels,
                hid_channels,
                feat_dim,
                with_bias=True,
                with_last_bn=False,
                with_avg_pool=with_avg_pool,
                norm_cfg=dict(type='BN1d'),
            )

        widths = {position.stage: position.out_channels for position in space.positions}
        self.projectors = nn.ModuleList(
            head(self.backbone.channels(width), True) for width in widths.values()
        )
        self.predictors = nn.ModuleList(head(feat_dim, False) for _ in widths)
        self.teacher = MeanTeacher(self, ('backbone', 'projectors'), momentum)
        # Its running statistics are of the ensemble that it is.
        self.teacher.backbone.is_borrowed = True
        count_steps(self)

    def init_weights(self) -> None:
        """Initialises the supernet, also from ``Pretrained`` weights, and then makes the slowly
        moving copy equal to it."""
        super().init_weights()
        self.teacher.copy_student(self)

    def draw_archs(self) -> list[Arch]:
        """The archs of the present step."""
        return self.backbone.space.sample_disjoint(
            arch_rng(self.arch_seed, self.step), self.num_paths, self.probabilities
        )

    def loss(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        """The losses of a step over several paths: ``loss_stage0`` and so on.

        Args:
            inputs: Two views ``(N, C, H, W)`` of each image.

        Raises:
            InputError: Not two views.
        """
        views = views_of(inputs)
        if len(views) != 2:
            raise InputError(
                f'BossNAS got {len(views)} view(s) of each image, expected 2: '
                "dict(type='MultiView', num_views=[2], ...) in the pipeline"
            )
        self.teacher.update(self)
        archs = self.draw_archs()
        self.step += 1
        with torch.no_grad():
            taught = [self._together(view, archs) for view in views]
        total: dict[str, Tensor] = {}
        for arch in archs:
            self.backbone.set_arch(arch)
            for stage, loss in enumerate(self._losses(views, taught)):
                name = f'loss_stage{stage}'
                total[name] = total.get(name, loss.new_zeros(())) + loss.mean()
        return total

    def losses(self, inputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
        return self._losses(views_of(inputs), self.taught(inputs))

    def teach(self, inputs: Tensor | Sequence[Tensor]) -> list[Ensemble]:
        """What the ensemble gives for every view."""
        return [self._together(view, self.ensemble) for view in views_of(inputs)]

    def _losses(self, views: list[Tensor], taught: list[Ensemble]) -> list[Tensor]:
        """The losses of every stage along the active arch, ``(N, )`` each: each view predicts what
        the ensemble gives for the one after it, the last for the first."""
        losses: list[Any] = [0.0] * self.num_stages
        for number, (view, (maps, _)) in enumerate(zip(views, taught)):
            _, targets = taught[(number + 1) % len(views)]
            for stage, x in enumerate(self.backbone.stage_maps(view, maps)):
                (embedding,) = self.projectors[stage]((x,))
                (prediction,) = self.predictors[stage]((embedding,))
                cosine = F.cosine_similarity(prediction, targets[stage], dim=1)
                losses[stage] = losses[stage] + 2 - 2 * cosine
        return [loss / len(views) for loss in losses]

    def _together(self, view: Tensor, archs: Sequence[Arch]) -> Ensemble:
        """The mean maps and the mean embeddings of the stages of the slowly moving copy, over
        archs. Each stage reads the mean map of the stage before."""
        backbone = self.teacher.backbone
        maps: list[Tensor] = []  # grows while the stages run
        embeddings: list[Tensor] = []

        def along(arch: Arch) -> Iterator[Tensor]:
            backbone.set_arch(arch)
            yield from backbone.stage_maps(view, maps)

        for stage, given in enumerate(zip(*map(along, archs))):
            project = self.teacher.get_submodule(f'projectors.{stage}')
            each = [F.normalize(project((x,))[0], dim=1) for x in given]
            maps.append(torch.stack(given).mean(dim=0))
            embeddings.append(torch.stack(each).mean(dim=0))
        return maps, embeddings

    def _ensemble_archs(self, number: int) -> list[Arch]:
        """The archs of the ensemble that scores, in which every candidate comes as often as any
        other of its slot, as far as the number allows."""
        archs: list[Arch] = []
        draw = 0  # is that of a training step
        while len(archs) < number:
            draw += 1
            archs += self.backbone.space.sample_disjoint(
                arch_rng(self.arch_seed, 0, draw), self.num_paths, self.probabilities
            )
        return archs[:number]
