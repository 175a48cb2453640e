"""DNA: block-wise learning from a teacher (Li et al., "Blockwisely Supervised Neural Architecture
Search with Knowledge Distillation", CVPR 2020, section 3)."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import InputError
from ..models.backbones import ArchBackbone, borrowed
from ..registry import MODELS
from .blockwise import BlockwiseModel

# Height and width of the image of zeros by which the sizes of maps are compared.
PROBE = 64


@MODELS.register_module()
class DNA(BlockwiseModel):
    """Every stage of the supernet learns to give what the teacher's stage gives, from what the
    teacher's stage before gives; the first one, with the stem, from the images.

    The loss of a stage is the mean squared error between its map and the teacher's, each normalised
    per channel: to the mean and the variance of the batch while training; when an arch is scored,
    its own map to those of the calibration images and the teacher's to running averages of
    training. It is ``2 - 2r`` for a correlation ``r`` between the two. A stage that ends in an
    identity, whose channels have any scale, then needs no scale to be learned.

    The path is the active arch: ``ArchSamplingHook`` draws it, also with ``probabilities``. All
    stages learn at once; none reads what another one gives, so that this is what one after the
    other would learn, from other batches.

    Not as published (https://github.com/changlin31/DNA): there maps are not normalised, the loss of
    training is their plain squared error, paths are rated by the mean absolute error over the
    standard deviation of the teacher's map, summed over stages, and each stage of the student ends
    in the teacher's channels. As there, the teacher normalises by its batch while training.

    Args:
        backbone: See :class:`~pinas_mm.strategies.blockwise.BlockwiseModel`.
        teacher: Config of an mm backbone that gives one map for each stage of the student, of the
            same height and width. Its ``init_cfg`` names its weights. Without any, it stays as it
            was initialised, which is enough for good rankings (docs/results/ranking_trials.md); a
            teacher of ours then needs ``zero_init_residual=False``, else its blocks give their
            inputs. Its weights do not move, and they are in the checkpoint. Where its channels are
            others than the student's, 1x1 convolutions are learned in between.
        data_preprocessor, init_cfg: See :class:`BlockwiseModel`.

    Raises:
        InputError: The teacher has another number of maps or maps of other sizes, or see
            :class:`BlockwiseModel`.
    """

    # What a subnet does not take with it (pinas_mm.subnets.state_dict).
    learning_only = ('teacher', 'adapters', 'maps')

    def __init__(
        self,
        backbone: dict,
        teacher: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        net = MODELS.build(teacher)
        ours, theirs = self._channels(net)
        self.teacher = Teacher(net, theirs)
        # Of the second stage and each later one.
        self.adapters = nn.ModuleList(
            _pointwise(given, read) for given, read in zip(theirs, self._read_channels())
        )
        self.maps = nn.ModuleList(
            nn.Sequential(_pointwise(own, target), nn.BatchNorm2d(target, affine=False))
            for own, target in zip(ours, theirs)
        )

    def losses(self, inputs: Tensor) -> list[Tensor]:
        targets = self.taught(inputs)
        read = [adapter(target) for adapter, target in zip(self.adapters, targets)]
        given = self.backbone.stage_maps(inputs, read)
        return [
            F.mse_loss(own(x), target, reduction='none').mean(dim=(1, 2, 3))
            for own, x, target in zip(self.maps, given, targets)
        ]

    def teach(self, inputs: Tensor) -> list[Tensor]:
        """The teacher's maps of images ``(N, C, H, W)``, normalised, one per stage."""
        return self.teacher(inputs)

    def _read_channels(self) -> list[int]:
        """The channels that the second stage and each later one reads."""
        positions = self.backbone.space.positions
        return [
            self.backbone.channels(position.in_channels)
            for before, position in zip(positions, positions[1:])
            if position.stage != before.stage
        ]

    def _channels(self, teacher: nn.Module) -> tuple[list[int], list[int]]:
        """The channels of the student's stages and of the teacher's."""
        space, kind = self.backbone.space, type(teacher).__name__
        if getattr(teacher, 'is_supernet', False):
            raise InputError(
                f'teacher of {type(self).__name__}: {kind} is a supernet, expected one of its '
                f"archs, such as arch='{space.encode((0,) * space.num_slots)}'"
            )
        with torch.no_grad(), borrowed(self.backbone):
            images = torch.zeros(1, self.backbone.in_channels, PROBE, PROBE)
            self.backbone.eval()
            self.backbone.set_arch((0,) * space.num_slots)
            ours = list(self.backbone.stage_maps(images))
            was_training = teacher.training
            teacher.eval()  # mm's backbones return nothing here
            try:
                theirs = teacher(images)
            except RuntimeError as error:
                raise InputError(
                    f'teacher of {type(self).__name__}: {kind} cannot read {PROBE}x{PROBE} images '
                    f"of {images.shape[1]} channels, which the student's backbone reads: {error}"
                ) from error
            teacher.train(was_training)
        theirs = list(theirs) if isinstance(theirs, list | tuple) else [theirs]
        sizes = [[tuple(x.shape[-2:]) for x in maps] for maps in (ours, theirs)]
        if sizes[0] != sizes[1]:
            fits = f', such as out_indices={tuple(range(len(ours)))}'
            raise InputError(
                f'teacher of {type(self).__name__}: a {kind} gives maps of '
                f'{_text(sizes[1])} for an image of {PROBE} pixels, expected those of the '
                f'{len(ours)} stages of the student, {_text(sizes[0])}'
                + (fits if isinstance(teacher, ArchBackbone) else '')
            )
        return [x.shape[1] for x in ours], [x.shape[1] for x in theirs]


class Teacher(BaseModule):
    """A network that does not learn, and the normalised maps of its stages.

    Args:
        net: A backbone that returns several maps.
        channels: Of each of them.
    """

    def __init__(self, net: nn.Module, channels: list[int]) -> None:
        super().__init__()
        self.net = net.requires_grad_(False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(count, affine=False) for count in channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps ``(N, C_i, H_i, W_i)`` of images ``(N, C, H, W)``, each channel of mean 0 and
        variance 1."""
        return [norm(x) for norm, x in zip(self.norms, self.net(images))]


def _pointwise(in_channels: int, out_channels: int) -> nn.Module:
    """A 1x1 convolution where channels differ."""
    if in_channels == out_channels:
        return nn.Identity()
    return nn.Conv2d(in_channels, out_channels, 1, bias=False)


def _text(sizes: list[tuple[int, ...]]) -> str:
    return ', '.join('x'.join(map(str, size)) for size in sizes)
