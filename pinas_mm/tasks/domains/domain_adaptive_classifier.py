"""A classifier that learns from a labelled source and an unlabelled target domain."""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.models import ClsHead, ImageClassifier
from mmpretrain.structures import DataSample
from torch import Tensor

from ...errors import InputError
from ...registry import MODELS
from .domain_data_preprocessor import DomainDataPreprocessor


@MODELS.register_module()
class DomainAdaptiveClassifier(ImageClassifier):
    """mmpretrain's ``ImageClassifier`` with an alignment loss between the domains' features.

    The head learns from the source's images alone; the alignment reads what the head's last layer
    reads, and its scores. All images of a batch pass through the backbone together, so that BN
    normalises both domains alike. Predictions, and all keys of the checkpoint but those below
    ``alignment.``, are an ``ImageClassifier``'s. The alignment is computed in full precision, also
    under AMP.

    Args:
        alignment: Config of an :class:`Alignment`: ``dict(type='pinas_mm.DANN')``,
            ``pinas_mm.CDAN`` or ``pinas_mm.MMD``. Its ``in_channels`` and ``num_classes`` default
            to the head's.
        data_preprocessor: As in ``ImageClassifier``; a :class:`DomainDataPreprocessor` by default.
        kwargs: As in ``ImageClassifier``, with a head that gives one score per class.

    Raises:
        InputError: Another head or data preprocessor; while training, see :meth:`loss`.
    """

    def __init__(
        self, alignment: dict[str, Any], data_preprocessor: dict | None = None, **kwargs: Any
    ) -> None:
        if isinstance(data_preprocessor, dict | None):
            data_preprocessor = dict(type='pinas_mm.DomainDataPreprocessor') | (
                data_preprocessor or {}
            )
        super().__init__(data_preprocessor=data_preprocessor, **kwargs)
        if not isinstance(self.head, ClsHead):
            raise InputError(
                f'DomainAdaptiveClassifier: its head is a {type(self.head).__name__}, expected a '
                f"ClsHead of mmpretrain's"
            )
        if not isinstance(self.data_preprocessor, DomainDataPreprocessor):
            raise InputError(
                f'DomainAdaptiveClassifier: its data preprocessor is a '
                f'{type(self.data_preprocessor).__name__}, which cannot '
                'hold images with and without labels; expected a pinas_mm.DomainDataPreprocessor'
            )
        sizes = {
            name: getattr(self.head, name)
            for name in ('in_channels', 'num_classes')
            if hasattr(self.head, name)
        }
        self.alignment = MODELS.build(sizes | alignment)

    def loss(self, inputs: Tensor, data_samples: Sequence[DataSample]) -> dict[str, Tensor]:
        """The head's losses of the source's images, and the alignment's of all.

        Args:
            inputs: Images ``(N, C, H, W)`` of both domains, in any order.
            data_samples: Their samples, as :class:`~pinas_mm.tasks.domains.DomainPair` marks them.

        Raises:
            InputError: See :func:`split_domains`; or features that the alignment was not built for.
        """
        source, target = split_domains(data_samples)
        feats = self.extract_feat(inputs)
        features = self.head.pre_logits(feats)
        if features.shape[1:] != (self.alignment.in_channels,):
            raise InputError(
                f'DomainAdaptiveClassifier: the head reads features of shape '
                f'{tuple(features.shape[1:])}, its '
                f'{type(self.alignment).__name__} expected ({self.alignment.in_channels},); set '
                f'model.alignment.in_channels, '
                'and a neck that pools where there is none'
            )
        labelled = [data_samples[index] for index in source]
        # Once: a list would go to the GPU each time it is used.
        first, second = (torch.tensor(part, device=features.device) for part in (source, target))
        losses = self.head.loss(tuple(feat[first] for feat in feats), labelled)
        scores = self.head(feats)
        with torch.autocast(features.device.type, enabled=False):
            features, scores = features.float(), scores.float()
            return losses | self.alignment.loss(
                features[first], features[second], scores[first], scores[second]
            )


def split_domains(data_samples: Sequence[DataSample]) -> tuple[list[int], list[int]]:
    """The indices of a batch's source and of its target samples.

    Raises:
        InputError: A sample of no domain, a source sample without a label, a target sample with
            anything but its domain (a label could be learned from), or a batch that lacks a domain.
    """
    indices: dict[str, list[int]] = dict(source=[], target=[])
    for index, sample in enumerate(data_samples):
        domain = sample.get('domain')
        if domain not in indices:
            raise InputError(
                f"a training sample of domain {domain!r}, expected 'source' or 'target': the "
                f'training dataset is to be a '
                'pinas_mm.DomainPair'
            )
        if domain == 'source' and 'gt_label' not in sample:
            raise InputError(
                'a source sample without a label (gt_label), which the classifier learns from'
            )
        if domain == 'target' and (sample.keys() or sample.metainfo_keys() != ['domain']):
            carried = [
                name for name in (*sample.keys(), *sample.metainfo_keys()) if name != 'domain'
            ]
            raise InputError(
                f'a target sample carries {carried}: labels of the target must not reach '
                f'training; the training dataset is to '
                'be a pinas_mm.DomainPair, which removes them'
            )
        indices[domain].append(index)
    if not all(indices.values()):
        raise InputError(
            f'a training batch of {len(indices["source"])} source and {len(indices["target"])} '
            f'target images: give the train '
            "dataloader an even batch size and sampler=dict(type='pinas_mm.DomainSampler')"
        )
    return indices['source'], indices['target']
