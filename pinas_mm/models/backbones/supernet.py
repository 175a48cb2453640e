"""The searchable backbone of any mm model: how to find it, and how to borrow it and give it
back."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from ...errors import InputError
from ...spaces.elastic import ElasticSpace
from ...unwrap import unwrapped
from .arch_backbone import ArchBackbone


def searchable_backbone_of(model: nn.Module) -> ArchBackbone:
    """The searchable backbone of a model, supernet or subnet; a bare backbone is its own.

    Raises:
        InputError: The model has none.
    """
    model = unwrapped(model)
    backbone = model if isinstance(model, ArchBackbone) else getattr(model, 'backbone', None)
    if not isinstance(backbone, ArchBackbone):
        raise InputError(
            f'{type(model).__name__} has no searchable backbone: expected one of pinas_mm as '
            f'model.backbone'
        )
    return backbone


def supernet_of(model: nn.Module) -> ArchBackbone:
    """The supernet of a model.

    Raises:
        InputError: The model has no searchable backbone, or it is a subnet.
    """
    backbone = searchable_backbone_of(model)
    if not backbone.is_supernet:
        raise InputError(
            f'model.backbone was built with arch={backbone.space.encode(backbone.arch)}: a '
            f'supernet (arch=None) is needed'
        )
    return backbone


def refuse_shared_weights(backbone: ArchBackbone, learner: str) -> None:
    """Refuses a supernet whose candidates share weights for a learner of two paths that share
    none.

    Args:
        backbone: The supernet.
        learner: Its name, for the message.

    Raises:
        InputError: They do.
    """
    if isinstance(backbone.space, ElasticSpace):
        raise InputError(
            f'{learner} learns from two paths that share no weights, but the candidates of '
            f'{type(backbone).__name__} share all of them: expected SandwichStrategy, '
            f'FairStrategy or ArchSamplingHook (uniform), or a backbone with separate candidates'
        )


@contextmanager
def borrowed(model: nn.Module) -> Iterator[ArchBackbone]:
    """Within it a model may run in other modes and along other archs. Afterwards everything is as
    before, also after an error.

    Restored are the training mode of every module, the active arch, what runs the parts of the
    backbone, and the preprocessor's mixing of images, which is off within it: mixed images have no
    statistics or labels of their own.

    A supernet warns where it runs in eval mode with BN statistics that are of no single arch. Not
    within this: who borrows it answers for them.

    Args:
        model: A model with a searchable backbone, or the backbone.

    Raises:
        InputError: The model has no searchable backbone.
    """
    model, backbone = unwrapped(model), searchable_backbone_of(model)
    modes = [(module, module.training) for module in model.modules()]
    active, part_runner = backbone._arch, backbone.part_runner
    was_borrowed = backbone.is_borrowed
    preprocessor = getattr(model, 'data_preprocessor', None)
    mixing = getattr(preprocessor, 'batch_augments', None)
    try:
        backbone.is_borrowed = True
        if preprocessor is not None and mixing is not None:
            preprocessor.batch_augments = None
        yield backbone
    finally:
        if preprocessor is not None and mixing is not None:
            preprocessor.batch_augments = mixing
        backbone._arch, backbone.part_runner = active, part_runner
        backbone.is_borrowed = was_borrowed
        for module, training in modes:
            module.training = training
