"""BN recalibration: running statistics of the calibration data for the archs of a supernet (SPOS,
Guo et al., ECCV 2020, 3.4)."""

import types
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ..errors import InputError
from ..models.backbones import ArchBackbone, borrowed
from ..models.backbones.arch_backbone import Prefix
from ..private_api import replace_forward, restore_forward, run_forward, set_buffers
from ..spaces import Arch
from .bn_folding import BNFolding
from .prefix_memo import PrefixMemo
from .preprocessed_batch import preprocessed_once

# Below this many images the statistics of a batch say too little.
MIN_CALIBRATION_BATCH = 16
# Below this many in all, a mean over images is off by more than an eighth of their spread.
MIN_CALIBRATION_IMAGES = 64
# Where a config does not say how many batches: as published for Pi-NAS.
CALIBRATION_BATCHES = 49


class ArchError(Exception):
    """An arch could not be run; the cause is chained.

    Args:
        arch: The arch.
    """

    def __init__(self, arch: Arch) -> None:
        super().__init__(arch)
        self.arch = arch


class NotShareableError(Exception):
    """Archs with a common prefix give it different inputs, or change its output in place."""


class RecalibratedSupernet:
    """Runs archs of a supernet with their own BN statistics, recalibrated for many archs in one
    pass over the data.

    Each calibration batch is normalised with its own statistics; a layer's running mean and
    (unbiased) variance become the plain averages over the batches. Only active BN layers are in
    train mode, so dropout is off. A part of the backbone that several archs share has one set of
    statistics, kept per prefix: the same as that of each arch alone. Used within
    :func:`supernet_borrowed`.

    Args:
        model: An mm model whose ``backbone`` is a :class:`ArchBackbone`.
        autocast: Dtype to run in, or None for full precision.
        share_prefixes: Whether archs share what they have in common. Off, the results are the same
            and it takes longer. It goes off by itself for a model that gives archs with a common
            prefix different inputs: they have no statistics in common.
        fold_bn: Whether BN is folded into convolutions once it is recalibrated; faster, and
            different by rounding.
    """

    def __init__(
        self,
        model: BaseModel,
        autocast: torch.dtype | None = None,
        share_prefixes: bool = True,
        fold_bn: bool = False,
    ) -> None:
        self.model = model
        self.backbone: ArchBackbone = model.backbone
        self.autocast = autocast
        self._memo = PrefixMemo(self.backbone, self._run) if share_prefixes else None
        self._folding = BNFolding() if fold_bn else None
        self._original = {
            layer: (dict(layer.named_buffers()), layer.momentum) for layer in _bn_layers([model])
        }
        self._outside = _outside_backbone(model)
        # A block-wise model scores archs by another forward pass than it is deployed with.
        self._mode: str = getattr(model, 'calibration_mode', 'tensor')
        self._statistics: dict[Hashable, list[tuple[_BatchNorm, dict[str, Tensor]]]] = {}
        self._calibrating = False
        self._ran_for: dict[Prefix, Arch] = {}  # on the batch at hand

    def recalibrate(self, archs: Sequence[Arch], loader: DataLoader) -> Iterator[int]:
        """Recalibrates ``archs``, in the backbone's ``in_shared_order``. Stops after every arch and
        batch so that a caller can show progress: yields how many of these ``len(archs) *
        len(loader)`` steps are done.

        Raises:
            ArchError: An arch could not be run.
            InputError: No calibration data, or a batch too small for its statistics to mean
                anything.
        """
        try:
            yield from self._recalibrate(archs, loader)
        except NotShareableError:
            # Once more from the start: half a batch may be in statistics that archs share.
            self._memo = None
            yield from self._recalibrate(archs, loader)

    def next_batch(self) -> None:
        """Another batch: nothing that ran on the one before is used again."""
        self._ran_for.clear()
        if self._memo is not None:
            self._memo.next_batch()

    def set_arch(self, arch: Arch) -> None:
        """Makes ``arch`` the one that runs next, on the same batch."""
        if self._memo is not None:
            self._memo.next_step()
        self.backbone.set_arch(arch)
        self._load(('outside', arch), self._outside)

    def run_part(self, part: int, arch: Arch, x: Tensor) -> Tensor:
        """The output of a part: the ``part_runner`` of the backbone."""
        if self._memo is None:
            return self._run((part, arch), arch, x)
        return self._memo(part, arch, x)

    def load_all(self, arch: Arch) -> None:
        """Puts the statistics of ``arch`` into every layer it runs."""
        self.set_arch(arch)
        for part in range(self.backbone.num_parts):
            prefix = (part, arch) if self._memo is None else self.backbone.prefix(part, arch)
            if prefix in self._statistics:  # a block-wise model leaves the tail out
                self._load(prefix, self.backbone.part_path(part, arch))

    def restore(self) -> None:
        """Puts back the BN statistics that the supernet had, and the layers that were folded."""
        if self._folding is not None:
            self._folding.restore()
        for layer, (buffers, momentum) in self._original.items():
            set_buffers(layer, buffers)
            layer.momentum = momentum

    def _recalibrate(self, archs: Sequence[Arch], loader: DataLoader) -> Iterator[int]:
        self._statistics.clear()
        self.model.eval()
        layers = list(
            dict.fromkeys(layer for arch in archs for layer in active_bn_layers(self.model, arch))
        )
        for layer in layers:
            layer.momentum = None  # the plain average over batches instead of an exponential one
            layer.training = True
        self._calibrating = True
        done = 0
        for batch in loader:
            size = len(batch['inputs'] if isinstance(batch, dict) else batch[0])
            if size < MIN_CALIBRATION_BATCH:
                raise InputError(
                    f'a batch of {size} images for BN recalibration: expected at least '
                    f'{MIN_CALIBRATION_BATCH}, such as '
                    f'arch_evaluation.calibration_dataloader.batch_size={MIN_CALIBRATION_BATCH}'
                )
            self.next_batch()
            watching = (
                self._folding.watch(self.model) if self._folding and done == 0 else nullcontext()
            )
            with autocast(self.model, self.autocast), watching:
                for arch in archs:
                    self.set_arch(arch)
                    try:
                        # As for training, which pads images of several sizes; mixing of images is
                        # switched off (borrowed).
                        data = self.model.data_preprocessor(batch, True)
                        run_forward(self.model, data, self._mode)
                    except NotShareableError:
                        raise
                    except Exception as error:
                        if 'Expected more than 1 value per channel' in str(error):  # torch's BN
                            raise InputError(
                                f'a batch of {size} images leaves a BN layer with 1 value per '
                                f'channel, which has no variance: expected larger images, or '
                                f'arch_evaluation.calibration_dataloader.batch_size={2 * size}'
                            ) from error
                        raise ArchError(arch) from error
                    done += 1
                    yield done
        if done == 0:
            raise InputError('no data for BN recalibration: the calibration loader is empty')
        self.next_batch()
        self._calibrating = False
        for layer in layers:
            layer.training = False
        for entries in self._statistics.values():
            for layer, buffers in entries:
                # A layer that did not run, such as an auxiliary head's.
                if buffers['num_batches_tracked'] == 0:
                    buffers.update(self._original[layer][0])

    def _run(self, prefix: Prefix, arch: Arch, x: Tensor) -> Tensor:
        # In the step of a second arch BN would count the batch twice.
        if self._calibrating and self._ran_for.setdefault(prefix, arch) != arch:
            raise NotShareableError(f'part {prefix[0]} of arch {arch}')
        self._load(prefix, self.backbone.part_path(prefix[0], arch))
        return self.backbone.run_part(prefix[0], arch, x)

    def _load(self, key: Hashable, modules: Iterable[nn.Module]) -> None:
        # The layers' buffers are exchanged, not filled: nothing is copied where an arch follows
        # another.
        if key not in self._statistics:
            if not self._calibrating:
                raise RuntimeError(f'no BN statistics of {key}: recalibrate the arch first')
            self._statistics[key] = [(layer, _fresh(layer)) for layer in _bn_layers(modules)]
        for layer, buffers in self._statistics[key]:
            set_buffers(layer, buffers)
        if self._folding is not None and not self._calibrating:
            self._folding.fold(layer for layer, _ in self._statistics[key])


@contextmanager
def supernet_borrowed(
    model: BaseModel,
    share_prefixes: bool = True,
    autocast: torch.dtype | None = None,
    fold_bn: bool = False,
) -> Iterator[RecalibratedSupernet]:
    """Lends a supernet out for recalibration and puts everything back at the end: what
    :func:`~pinas_mm.models.backbones.supernet.borrowed` restores, and BN statistics.

    Within it, BN is local to this rank, SyncBN too: ranks run different archs.
    """
    supernet = RecalibratedSupernet(model, autocast, share_prefixes, fold_bn)
    with borrowed(model) as backbone, _local_bn(model):
        try:
            backbone.part_runner = supernet.run_part
            with torch.no_grad(), preprocessed_once(model.data_preprocessor):
                yield supernet
        finally:
            supernet.restore()


@contextmanager
def recalibrated_bn(
    model: BaseModel, arch: Sequence[int], loader: DataLoader, autocast: torch.dtype | None = None
) -> Iterator[None]:
    """Within it ``arch`` is active, the model in eval mode, and the arch's BN statistics are those
    of the calibration data.

    Args:
        model: An mm model whose ``backbone`` is a :class:`ArchBackbone`.
        arch: The arch to make active.
        loader: Calibration batches, each of at least 16 images.
        autocast: Dtype to run in, or None for full precision.

    Raises:
        InputError: No calibration data, or a batch too small for its statistics to mean anything.
    """
    chosen: Arch = model.backbone.space.validate(arch, 'BN recalibration')
    with supernet_borrowed(model, share_prefixes=False, autocast=autocast) as supernet:
        for _ in supernet.recalibrate([chosen], loader):
            pass
        supernet.load_all(chosen)
        model.backbone.part_runner = None  # every layer has its statistics
        yield


def active_bn_layers(model: BaseModel, arch: Sequence[int]) -> list[_BatchNorm]:
    """The BN layers with running statistics that the model runs for ``arch``: on the backbone's
    path, in the neck and in the head."""
    return _bn_layers(model.backbone.path(tuple(arch))) + _outside_backbone(model)


def autocast(model: nn.Module, dtype: torch.dtype | None) -> Any:
    """``torch.autocast`` on the model's device; None for ``dtype`` does nothing."""
    return torch.autocast(
        next(model.parameters()).device.type, dtype=dtype, enabled=dtype is not None
    )


def _outside_backbone(model: BaseModel) -> list[_BatchNorm]:
    """The BN layers that are neither in the backbone nor in a teacher, however deep: a strategy's
    model holds the one with the head."""
    teacher = getattr(model, 'teacher', None)
    apart = set(_bn_layers([model.backbone] if teacher is None else [model.backbone, teacher]))
    return [layer for layer in _bn_layers([model]) if layer not in apart]


@contextmanager
def _local_bn(model: nn.Module) -> Iterator[None]:
    """Within it SyncBN normalises by the batch of this rank, as BN does."""
    synced = [layer for layer in _bn_layers([model]) if isinstance(layer, nn.SyncBatchNorm)]
    for layer in synced:
        replace_forward(layer, types.MethodType(_BatchNorm.forward, layer))
    try:
        yield
    finally:
        for layer in synced:
            restore_forward(layer)  # folding may have replaced it, and put it back


def _bn_layers(modules: Iterable[nn.Module]) -> list[_BatchNorm]:
    found = chain.from_iterable(module.modules() for module in modules)
    return [
        module for module in found if isinstance(module, _BatchNorm) and module.track_running_stats
    ]


def _fresh(layer: _BatchNorm) -> dict[str, Tensor]:
    fill = dict(running_mean=0, running_var=1, num_batches_tracked=0)
    return {name: torch.full_like(layer.get_buffer(name), value) for name, value in fill.items()}
