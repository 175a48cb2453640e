"""The space of NAS-Bench-201 (Dong and Yang, ICLR 2020): 15 equal cells of 4 nodes, whose 6 edges
have one of 5 operations each."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from ..errors import InputError
from ..schema import shown
from .base import Arch, Candidate, Position, SearchSpace
from .known import register_space

# Slot i is edge i, from one node to another; node 0 is the cell's input, node 3 its output, and a
# node is the sum of its edges.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))

NONE, SKIP, CONV_1X1, CONV_3X3, POOL = range(5)
CANDIDATES = (
    Candidate('none', dict(kind='none')),
    Candidate('skip_connect', dict(kind='skip')),
    Candidate('nor_conv_1x1', dict(kind='conv', kernel_size=1)),
    Candidate('nor_conv_3x3', dict(kind='conv', kernel_size=3)),
    Candidate('avg_pool_3x3', dict(kind='pool')),
)
OPERATIONS = tuple(candidate.name for candidate in CANDIDATES)

CELLS_PER_STAGE = 5
CHANNELS = (16, 32, 64)


@dataclass(frozen=True)
class CellSpace(SearchSpace):
    """Adds to :class:`SearchSpace` the benchmark's way to write a cell, and which cells are the
    same network."""

    def cell_string(self, arch: Arch) -> str:
        """The arch as the benchmark writes it:
        ``'|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|'``."""
        nodes = [
            '|'.join(
                f'{OPERATIONS[arch[slot]]}~{source}'
                for slot, (source, end) in enumerate(EDGES)
                if end == node
            )
            for node in (1, 2, 3)
        ]
        return '+'.join(f'|{node}|' for node in nodes)

    def decode(self, text: str, source: str = 'arch') -> Arch:
        """Reads ``'323011'`` or a cell string.

        Raises:
            InputError: Neither; the message names the part that is wrong.
        """
        if '|' not in text and '~' not in text:
            return super().decode(text, source)
        nodes = text.strip().split('+')
        if len(nodes) != 3:
            raise InputError(
                f'{source}: {shown(text)} has {len(nodes)} nodes joined by +, but a cell of space '
                f'{self.name!r} has 3'
            )
        arch: list[int] = []
        for number, node in enumerate(nodes, start=1):
            edges = node.split('|')
            if edges[0] or edges[-1] or len(edges) != number + 2:
                raise InputError(
                    f'{source}: node {number} of {shown(text)} is {shown(node)}, expected '
                    f'{number} edge(s) between bars, '
                    f"such as '{'|'.join(['', *(f'none~{i}' for i in range(number)), ''])}'"
                )
            for start, edge in enumerate(edges[1:-1]):
                operation, _, found = edge.partition('~')
                if operation not in OPERATIONS or found != str(start):
                    raise InputError(
                        f'{source}: {shown(edge)} in node {number} of {shown(text)}, expected one '
                        f'of {list(OPERATIONS)} with ~{start}'
                    )
                arch.append(OPERATIONS.index(operation))
        return tuple(arch)

    def canonical(self, arch: Arch) -> Arch:
        """The smallest arch that is the same network: 15,625 archs are 5,044 networks.

        Two cells are the same network if they compute the same function once each weight of the one
        has found its edge in the other. That is so when nodes are numbered otherwise, a
        skip_connect joins two nodes into one, edges lead nowhere or come from a node that gets
        nothing (the shift of a BN is left out of account here), or average pools, which are linear,
        are taken before a sum instead of after it. Every edge has weights of its own, so two
        convolutions of one input are not one convolution that is read twice.

        The paper counts 6,466, by comparing texts. Those keep the places of edges without a signal
        and the order in which sums were taken, which tells equal cells apart, and they leave out
        which weights are shared, which joins cells that differ.

        In a supernet an arch and its canonical one have different weights, since they use other
        edges: their scores differ."""
        return _representatives()[arch]


@cache
def _representatives() -> dict[Arch, Arch]:
    """Every arch's canonical one."""
    terms: dict[tuple[int, ...], int] = {}
    smallest: dict[tuple[int, ...], Arch] = {}
    archs = itertools.product(range(len(CANDIDATES)), repeat=len(EDGES))  # the smallest first
    return {arch: smallest.setdefault(min(_outputs(_pruned(arch), terms)), arch) for arch in archs}


def _pruned(arch: Arch) -> Arch:
    """Without the edges from which no way leads to the output."""
    read, pruned = {3}, list(arch)
    for slot in reversed(range(len(EDGES))):
        source, end = EDGES[slot]
        if end not in read:
            pruned[slot] = NONE
        if pruned[slot] != NONE:
            read.add(source)
    return tuple(pruned)


def _outputs(arch: Arch, terms: dict[tuple[int, ...], int]) -> Iterator[tuple[int, ...]]:
    """The output of a cell as a sum of terms, in every way to number those convolutions that are
    alike."""
    alike: defaultdict[int, list[int]] = defaultdict(list)
    _node_sums(arch, (0,) * len(EDGES), terms, alike)
    for orders in itertools.product(*(itertools.permutations(slots) for slots in alike.values())):
        numbers = [0] * len(EDGES)
        for order in orders:
            for number, slot in enumerate(order):
                numbers[slot] = number
        yield _node_sums(arch, numbers, terms, defaultdict(list))


def _node_sums(
    arch: Arch,
    numbers: Sequence[int],
    terms: dict[tuple[int, ...], int],
    convolutions: dict[int, list[int]],
) -> tuple[int, ...]:
    """The output of a cell as a sorted sum of terms.

    Args:
        arch: The cell.
        numbers: For each slot, the number that its convolution is told apart by from others that
            are alike.
        terms: A number for each term met so far; equal terms have equal numbers.
        convolutions: Filled with the slots of each convolution's term.
    """
    sums: list[list[int]] = [[0], [], [], []]  # term 0 is the input
    for slot, (source, end) in enumerate(EDGES):
        operation, inputs = arch[slot], sums[source]
        if operation == NONE or not inputs:
            continue
        if operation == SKIP:
            sums[end] += inputs
        elif operation == POOL:
            sums[end] += [terms.setdefault((POOL, term), len(terms) + 1) for term in inputs]
        else:
            term = terms.setdefault((operation, numbers[slot], *sorted(inputs)), len(terms) + 1)
            convolutions[term].append(slot)
            sums[end].append(term)
    return tuple(sorted(sums[3]))


def _positions() -> Iterator[Position]:
    """Between two stages comes a residual block, which is no choice and reads no slot."""
    for stage, channels in enumerate(CHANNELS):
        if stage:
            yield Position(stage, CHANNELS[stage - 1], channels, 2, ())
        for _ in range(CELLS_PER_STAGE):
            yield Position(stage, channels, channels, 1, tuple(range(len(EDGES))), parallel=True)


NASBENCH201 = register_space(
    CellSpace(
        name='nasbench201',
        candidates=(CANDIDATES,) * len(EDGES),
        positions=tuple(_positions()),
        stem_channels=CHANNELS[0],
        tail_channels=CHANNELS[-1],
    )
)
