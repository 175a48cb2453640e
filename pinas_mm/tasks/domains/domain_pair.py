"""A labelled source and an unlabelled target domain in one dataset."""

from typing import Any

from mmengine.dataset import ConcatDataset

from ...errors import InputError
from ...registry import DATASETS
from .unlabelled_domain import build_domain

DOMAINS = ('source', 'target')


@DATASETS.register_module()
class DomainPair(ConcatDataset):
    """What unsupervised domain adaptation learns from: ``dict(type='pinas_mm.DomainPair',
    source=dict(...), target=dict(...))``.

    First all samples of the source, with their labels, then those of the target, through
    :class:`~pinas_mm.tasks.domains.UnlabelledDomain`. Every data sample says in its metainfo which
    ``domain`` it is of, ``'source'`` or ``'target'``. Goes with
    ``sampler=dict(type='pinas_mm.DomainSampler')``.

    Args:
        source: Config of a labelled dataset, such as mmpretrain's ``CustomDataset`` over class-name
            folders.
        target: Config of a dataset; labels it has are removed. Where it names classes, they are the
            source's.

    Raises:
        InputError: A domain has no images, the source has no labels, or the domains have other
            classes.
    """

    def __init__(self, source: dict[str, Any], target: dict[str, Any]) -> None:
        configs = (source, dict(type='pinas_mm.UnlabelledDomain', dataset=target))
        domains = [
            build_domain(config, f'the {domain} domain of DomainPair')
            for domain, config in zip(DOMAINS, configs)
        ]
        if 'gt_label' not in domains[0].get_data_info(0):
            raise InputError(
                f'the source domain of DomainPair: {source.get("type")} gives no labels '
                f'(gt_label), which the classifier '
                'learns from'
            )
        expected, found = (domain.metainfo.get('classes') for domain in domains)
        if found is not None and expected != found:
            only = [
                sorted(set(classes or ()) - set(others or ()))
                for classes, others in ((expected, found), (found, expected))
            ]
            raise InputError(
                f'DomainPair: the domains have other classes, {len(expected or ())} in the source '
                f'and {len(found)} in the '
                f'target; only in the source: {only[0]}; only in the target: {only[1]}'
                + ('' if any(only) else ' (another order)')
            )
        # The classes are compared; all else of their metainfo may differ.
        super().__init__(domains, ignore_keys=[*{*domains[0].metainfo, *domains[1].metainfo}])

    def __getitem__(self, idx: int) -> dict[str, Any]:
        packed = super().__getitem__(idx)
        domain = DOMAINS[self._get_ori_dataset_idx(idx)[0]]
        packed['data_samples'].set_field(domain, 'domain', field_type='metainfo')
        return packed
