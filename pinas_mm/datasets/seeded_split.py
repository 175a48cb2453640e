"""A held-out part of a training set, fixed by a seed."""

import os
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
from ..schema import Positive, Seed
from .wrappers import ChosenSamples, plain_sample, sample_info


@DATASETS.register_module()
def SeededSplit(  # noqa: N802
    dataset: dict,
    part: Literal['learning', 'held_out'],
    held_out: Positive | None = None,
    seed: Seed = 0,
    group: str | None = None,
) -> BaseDataset | ChosenSamples:
    """Builds ``dataset`` and keeps one of its two parts. Named like a class since configs name it
    as ``type``.

    Args:
        dataset: Config of any mm dataset, also of a wrapper such as ``ConcatDataset``. An image
            that a wrapper repeats is in one part with all its repeats.
        part: ``'held_out'``, the samples that searches are scored on, or ``'learning'``, all
            others.
        held_out: How many samples are held out: a float is a share of all samples, an int a
            number of samples; with ``group`` the least. None is for configs alone: our tools put
            the config's top-level ``held_out`` in its place
            (:func:`~pinas_mm.engine.data_settings.fill_in_from_data`), so that it is stated once.
        seed: Seed of the split; the same in every config that shares a dataset.
        group: A regular expression found in each image's file name; images with the same text for
            it (for its first group, where it has one) stay together, so that nobody is in both
            parts: ``r'^(\\d+)_'`` where names begin with the person. The held-out part is then the
            first of the drawn groups that together have ``held_out`` samples or more. Defaults to
            every sample by itself.

    Returns:
        An ordinary mm dataset, or of a wrapper the chosen samples.

    Raises:
        InputError: An unknown part, images that cannot be read, a file name without ``group``, no
            sample left in one of the parts, or a wrapper that mixes images.
    """
    if part not in ('learning', 'held_out'):
        raise InputError(f"SeededSplit: part={part!r}, expected 'learning' or 'held_out'")
    if held_out is None:
        raise InputError(
            'SeededSplit: no held_out: expected a share such as 0.1 or a number of samples; in a '
            'config that the tools of pinas_mm read, the top-level `held_out`'
        )
    try:
        whole = ROOT_DATASETS.build(dataset)
        if hasattr(whole, 'full_init'):
            whole.full_init()
    except (OSError, RuntimeError) as error:  # missing and empty folders
        raise InputError(
            f'SeededSplit: {dataset.get("type")} of {dataset.get("data_root")!r}: {error}'
        ) from error
    if not isinstance(whole, BaseDataset) and hasattr(whole, 'pipeline'):
        name = type(whole).__name__
        raise InputError(
            f'SeededSplit around {name}, which mixes images, those of both parts too: expected '
            f"dict(type={name!r}, dataset=dict(type='pinas_mm.SeededSplit', ...), ...)"
        )
    count = _count(held_out, len(whole), type(whole).__name__)
    names = _images(whole) if group is None else _groups(whole, re.compile(group))
    members: dict[Any, list[int]] = {}
    for index, name in enumerate(names):
        members.setdefault(name, []).append(index)
    groups = list(members.values())
    drawn = [groups[number] for number in np.random.default_rng(seed).permutation(len(groups))]
    ends = np.cumsum([len(indices) for indices in drawn])
    number = int(np.searchsorted(ends, count)) + 1  # of groups that are held out
    if number == len(drawn):
        kind = 'images' if group is None else f'groups by {group!r}'
        raise InputError(
            f'SeededSplit: held_out={held_out} of {len(whole)} samples in {len(drawn)} {kind}: '
            'none is left to learn from'
        )
    chosen = sorted(chain.from_iterable(drawn[:number] if part == 'held_out' else drawn[number:]))
    if isinstance(whole, BaseDataset):
        return whole.get_subset(chosen)
    return ChosenSamples(whole, chosen)


def _count(held_out: float, size: int, name: str) -> int:
    """The number of samples that are held out of ``size``."""
    count = held_out
    if isinstance(held_out, float) and 0 < held_out < 1:
        count = max(1, round(held_out * size))
    if isinstance(count, float | bool) or not 0 < count < size:
        fits = f'or a number of samples from 1 to {size - 1}' if size > 1 else 'and more samples'
        raise InputError(
            f'SeededSplit: held_out={held_out} of {size} samples in {name}: expected a share '
            f'between 0 and 1, such as 0.1, {fits} (held_out of the config)'
        )
    return count


def _images(dataset: BaseDataset) -> Iterator[Any]:
    """A name for each sample. Those that a wrapper makes of one image have the same name."""
    if isinstance(dataset, BaseDataset):
        yield from range(len(dataset))
        return
    for index in range(len(dataset)):
        plain, place = plain_sample(dataset, index)
        path = sample_info(plain, place).get('img_path')
        yield (id(plain), place) if path is None else os.path.realpath(path)


def _groups(dataset: BaseDataset, group: re.Pattern[str]) -> Iterator[str]:
    """What the pattern finds in the file name of each image."""
    for index in range(len(dataset)):
        name = Path(sample_info(dataset, index).get('img_path', '')).name
        found = group.search(name)
        text = found and found[1 if group.groups else 0]
        if text is None:
            raise InputError(
                f'SeededSplit: group={group.pattern!r} is not in the file name {name!r} of '
                f'{type(dataset).__name__}'
            )
        yield text
