"""``nas.evaluate``: scores and costs of archs that you name."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..costs import measure_costs
from ..errors import InputError
from ..searching.search import Failure
from ..spaces import Arch, SearchSpace
from ..spaces.arch_text import candidate_names
from ..spaces.subnet_file import is_file_name, read_arch
from .supernets import Supernet

if TYPE_CHECKING:
    import pandas

# An arch as a user gives it: see :func:`evaluate`.
GivenArch: TypeAlias = Sequence[int] | Sequence[str] | str | os.PathLike[str]


def given_arch(given: Any, space: SearchSpace, key: str) -> Arch:
    """An arch that a user gives: candidate indices, candidate names, text, or a subnet file.

    Args:
        given: The arch.
        space: The space it has to be of.
        key: The argument it was given for, for messages.

    Raises:
        InputError: It is none of the space.
    """
    if is_file_name(given):
        return read_arch(given, space, key)[0]
    if isinstance(given, str) and ',' in given and not given.replace(',', '').strip().isdigit():
        given = [name.strip() for name in given.strip('[]() ').split(',')]
        if all(name.isdigit() for name in given):
            given = [int(name) for name in given]
    if isinstance(given, list | tuple) and given and all(isinstance(name, str) for name in given):
        if len(given) != space.num_slots:
            raise InputError(
                f'{key}: {", ".join(given)} are {len(given)} candidates, but space '
                f'{space.name!r} has {space.num_slots} slots'
            )
        indices: list[int] = []
        for slot, name in enumerate(given):
            known = [candidate.name for candidate in space.candidates[slot]]
            if name not in known:
                raise InputError(f'{key}: slot {slot} is {name!r}, expected one of {known}')
            indices.append(known.index(name))
        given = indices
    return read_arch(given, space, key)[0]


def evaluate(
    supernet: Supernet, archs: Sequence[GivenArch], *, seed: int = 0
) -> 'pandas.DataFrame':
    """Scores archs with the supernet's weights, as a search does: BN is recalibrated for each, then
    the metrics run on all held-out images.

    Args:
        supernet: From :func:`pinas_mm.supernet`.
        archs: The archs, each as candidate indices ``[2, 2, 1, ...]``, as digits ``'22212220'``,
            as candidate names ``'mb3_k3, identity, ...'`` (the column ``arch`` of a table), or as
            a subnet file.
        seed: Seed of the calibration images. 0, as a search has by default.

    Returns:
        One row per arch, in order: ``arch`` by candidate names, ``code`` (its digits), every
        metric, ``macs``, ``backbone_macs`` and ``params`` in units of one, and ``error``, why an
        arch could not be evaluated.

    Raises:
        InputError: No trained weights, no archs, or one that is not of the space.

    Example:
        >>> nas.evaluate(supernet, ['22212220', '00000000'])  # doctest: +SKIP
    """
    import pandas

    supernet.require_trained('nas.evaluate')
    if isinstance(archs, str | os.PathLike) or not isinstance(archs, Sequence) or not len(archs):
        example = '0' * supernet.space.num_slots
        raise InputError(f"archs={archs!r}: expected a list of archs, such as ['{example}']")
    space = supernet.space
    chosen = [given_arch(arch, space, f'archs[{i}]') for i, arch in enumerate(archs)]
    evaluator = supernet.evaluator(seed)
    with supernet.in_scope():
        results = evaluator.evaluate(chosen)
        costs = measure_costs(supernet.model, supernet.input_size())
    rows: list[dict[str, Any]] = []
    for arch, result in zip(chosen, results):
        error = result.error if isinstance(result, Failure) else None
        row: dict[str, Any] = dict(
            arch=', '.join(candidate_names(space, arch)), code=space.encode(arch)
        )
        row |= result if isinstance(result, dict) else {}
        rows.append(row | costs.arch_costs(arch) | dict(error=error))
    return pandas.DataFrame(rows)
