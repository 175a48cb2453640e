import itertools

import numpy as np
import pytest

from pinas_mm.errors import InputError
from pinas_mm.spaces import get_space
from pinas_mm.spaces.nasbench201 import EDGES, OPERATIONS

SPACE = get_space('nasbench201')
ARCHS = list(itertools.product(range(5), repeat=6))
TEXT = '|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|'


def test_size_and_shape():
    assert SPACE.size == 15_625 == len(ARCHS) and SPACE.num_slots == 6
    assert OPERATIONS == ('none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3', 'avg_pool_3x3')
    cells = [position for position in SPACE.positions if position.slots]
    assert len(cells) == 15 and {position.slots for position in cells} == {tuple(range(6))}
    assert [position.out_channels for position in cells] == [16] * 5 + [32] * 5 + [64] * 5
    assert [i for i, position in enumerate(SPACE.positions) if position.changes_shape] == [5, 11]
    assert [position.stage for position in SPACE.positions] == [0] * 5 + [1] * 6 + [2] * 6


def test_costs_are_sums_over_edges():
    assert SPACE.cost_terms[:7] == (*((0, (slot,)) for slot in range(6)), (1, (0,)))
    assert SPACE.cost_terms[30] == (5, ()) and len(SPACE.cost_terms) == 15 * 6 + 2
    assert get_space('nasbench_macro').cost_terms == tuple((i, (i,)) for i in range(8))


def test_cell_strings_are_read_and_written():
    assert SPACE.cell_string((3, 2, 1, 0, 4, 3)) == TEXT
    assert all(SPACE.decode(SPACE.cell_string(arch)) == arch for arch in ARCHS[::7])
    assert SPACE.decode(f' {TEXT}\n') == SPACE.decode('321043') == SPACE.decode('3, 2, 1, 0, 4, 3')


@pytest.mark.parametrize(
    'text, message',
    [
        ('|none~0|+|none~0|none~1|', 'has 2 nodes joined by [+], .* has 3'),
        (
            '|none~0|+|none~0|+|none~0|none~1|none~2|',
            r"node 2 of .* is '\|none~0\|', expected 2 edge\(s\) .* '\|none~0\|none~1\|'",
        ),
        (
            'none~0|+|none~0|none~1|+|none~0|none~1|none~2|',
            "node 1 of .* is 'none~0|', expected 1 edge",
        ),
        (
            TEXT.replace('avg_pool_3x3', 'max_pool_3x3'),
            r"'max_pool_3x3~1' in node 3 of .* expected one of \['none', .* with ~1",
        ),
        (
            TEXT.replace('skip_connect~1', 'skip_connect~0'),
            "'skip_connect~0' in node 2 of .* with ~1",
        ),
        (TEXT.replace('~', ''), "'nor_conv_3x30' in node 1"),
        ('32104', '5 entries'),
        ('321045', 'slot 5 holds 5'),
        ('nor_conv_3x3', 'not an arch'),
    ],
)
def test_wrong_texts_name_the_part(text, message):
    with pytest.raises(InputError, match=message) as error:
        SPACE.decode(text, 'table.csv')
    assert str(error.value).startswith('table.csv: ')


def outputs(arch, weights):
    """What a cell gives for the input 1, for each row of ``weights``, one per edge. A convolution
    is a nonlinear function of its input and its weight that gives 0 for 0, a pool is a linear
    one."""
    nodes = [np.ones(len(weights)), *np.zeros((3, len(weights)))]
    for slot, (source, end) in enumerate(EDGES):
        x, weight, operation = nodes[source], weights[:, slot], OPERATIONS[arch[slot]]
        if operation.startswith('nor_conv'):
            nodes[end] = nodes[end] + (
                np.sin(weight * x) if operation == 'nor_conv_1x1' else np.tanh(2 * weight * x)
            )
        else:
            nodes[end] = (
                nodes[end] + dict(none=0, skip_connect=1, avg_pool_3x3=0.7071)[operation] * x
            )
    return nodes[3]


def test_canonical_archs_are_one_for_each_function_up_to_moved_weights():
    """The smallest output over all ways to give six weights to the edges is the same for the same
    network, and for no other."""
    weights = np.array(list(itertools.permutations([0.5, 0.61, 0.73, 0.97, 1.13, 1.31])))
    networks = {}
    for arch in ARCHS:  # the smallest first
        network = round(float(outputs(arch, weights).min()), 9)
        assert SPACE.canonical(arch) == networks.setdefault(network, arch)
    assert len(networks) == 5044


def paper_text(arch, zero):
    """The output node as the text by which the paper tells cells apart."""
    nodes = ['0', '', '', '']
    for node in (1, 2, 3):
        texts = []
        for slot, (source, end) in enumerate(EDGES):
            if end == node:
                nothing = zero and (arch[slot] == 0 or nodes[source] == '#')
                texts.append(
                    '#'
                    if nothing
                    else nodes[source]
                    if arch[slot] == 1
                    else f'({nodes[source]})@{OPERATIONS[arch[slot]]}'
                )
        nodes[node] = '+'.join(sorted(texts))
    return nodes[3]


def test_the_papers_counts():
    """12,751 where skip_connect is looked at, 6,466 where none is too."""
    assert len({paper_text(arch, zero=False) for arch in ARCHS}) == 12_751
    assert len({paper_text(arch, zero=True) for arch in ARCHS}) == 6466
    assert paper_text(SPACE.decode('301023'), zero=True) == paper_text(
        SPACE.decode('330023'), zero=True
    )


@pytest.mark.parametrize(
    'first, second, same',
    [
        ('000333', '000300', True),  # nothing reaches the inner nodes
        ('333300', '000300', True),  # edges that lead nowhere
        ('300030', '030003', True),  # the other inner node
        ('300010', '000300', True),  # a skip_connect behind it
        ('331004', '330044', True),  # pools before and after a sum
        ('301023', '330023', False),  # one convolution read twice is not two convolutions
        ('300300', '000300', True),
        ('300310', '000300', False),
    ],
)
def test_same_and_different_networks(first, second, same):
    first, second = SPACE.decode(first), SPACE.decode(second)
    assert (SPACE.canonical(first) == SPACE.canonical(second)) == same
