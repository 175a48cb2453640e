"""What archs cost that are scored side by side."""

from collections.abc import Iterable

from ..models.backbones import ArchBackbone
from ..spaces import Arch
from .table import CostTable


def macs_together(costs: CostTable, backbone: ArchBackbone, archs: Iterable[Arch]) -> int:
    """MACs of running archs side by side on one image, in units of one: a part of the backbone that
    several archs share runs once (:mod:`pinas_mm.scoring.prefix_memo`), neck and head once an arch.

    Args:
        costs: The table that :func:`~pinas_mm.costs.measure_costs` made of the model.
        backbone: Its backbone.
        archs: The archs. One that is there twice runs once.
    """
    terms: dict[int, list[int]] = {}
    for term, (index, _) in enumerate(costs.space.cost_terms):
        terms.setdefault(index, []).append(term)
    different = set(archs)
    total = costs.stem_macs if different else 0
    total += len(different) * (int(costs.fixed['macs']) - costs.stem_macs)
    run = set()
    for arch in different:
        for index in range(len(costs.space.positions)):
            prefix = backbone.prefix(index + 1, arch)
            if prefix in run:
                continue
            run.add(prefix)
            for term in terms.get(index, ()):
                slots = costs.space.cost_terms[term][1]
                total += int(costs.tables['macs'][term][tuple(arch[slot] for slot in slots)])
    return total
