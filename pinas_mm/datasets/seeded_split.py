"""A held-out part of a training set, fixed by a seed."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS as ROOT_DATASETS

from ..errors import InputError
from ..registry import DATASETS


@DATASETS.register_module()
def SeededSplit(  # noqa: N802
    dataset: dict,
    part: Literal['learning', 'held_out'],
    held_out: int,
    seed: int = 0,
    group: str | None = None,
) -> BaseDataset:
    """Builds ``dataset`` and keeps one of its two parts. Named like a class since configs name it
    as ``type``.

    Args:
        dataset: Config of any mm dataset.
        part: ``'held_out'``, the samples that searches are scored on, or ``'learning'``, all
            others.
        held_out: Number of held-out samples; with ``group`` the least.
        seed: Seed of the split; the same in every config that shares a dataset.
        group: A regular expression found in each image's file name; images with the same text for
            it (for its first group, where it has one) stay together, so that nobody is in both
            parts: ``r'^(\\d+)_'`` where names begin with the person. The held-out part is then the
            first of the drawn groups that together have ``held_out`` samples or more. Defaults to
            every sample by itself.

    Returns:
        An ordinary mm dataset.

    Raises:
        InputError: An unknown part, images that cannot be read, a file name without ``group``, or
            no sample left in one of the parts.
    """
    if part not in ('learning', 'held_out'):
        raise InputError(f"SeededSplit: part={part!r}, expected 'learning' or 'held_out'")
    try:
        whole = ROOT_DATASETS.build(dataset)
        whole.full_init()
    except (OSError, RuntimeError) as error:  # missing and empty folders
        raise InputError(
            f'SeededSplit: {dataset.get("type")} of {dataset.get("data_root")!r}: {error}'
        ) from error
    if not 0 < held_out < len(whole):
        raise InputError(
            f'SeededSplit: held_out={held_out} of {len(whole)} samples in {type(whole).__name__}'
        )
    names = range(len(whole)) if group is None else _groups(whole, re.compile(group))
    members: dict[Any, list[int]] = {}
    for index, name in enumerate(names):
        members.setdefault(name, []).append(index)
    groups = list(members.values())
    drawn = [groups[number] for number in np.random.default_rng(seed).permutation(len(groups))]
    ends = np.cumsum([len(indices) for indices in drawn])
    number = int(np.searchsorted(ends, held_out)) + 1  # of groups that are held out
    if number == len(drawn):
        raise InputError(
            f'SeededSplit: held_out={held_out} of {len(whole)} samples in {len(drawn)} groups by '
            f'{group!r}: none is left to '
            'learn from'
        )
    return whole.get_subset(
        sorted(chain.from_iterable(drawn[:number] if part == 'held_out' else drawn[number:]))
    )


def _groups(dataset: BaseDataset, group: re.Pattern[str]) -> Iterator[str]:
    """What the pattern finds in the file name of each image."""
    for index in range(len(dataset)):
        name = Path(dataset.get_data_info(index).get('img_path', '')).name
        found = group.search(name)
        text = found and found[1 if group.groups else 0]
        if text is None:
            raise InputError(
                f'SeededSplit: group={group.pattern!r} is not in the file name {name!r} of '
                f'{type(dataset).__name__}'
            )
        yield text
