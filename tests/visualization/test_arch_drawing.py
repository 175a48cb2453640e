import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from pinas_mm.spaces import SPACES, get_space
from pinas_mm.visualization.arch_drawing import (
    BARS,
    DrawnArch,
    count_text,
    draw_arch,
    legend,
    rows_of,
    write_arch_svg,
)

MACRO = get_space('nasbench_macro')
ARCH = (0, 1, 2, 0, 0, 0, 0, 2)
MACS = (1e5, 2e5, 4e5, 0.0, 0.0, 5e4, 0.0, 3e5)


def elements(svg, tag):
    return list(ElementTree.fromstring(svg).iter(f'{{http://www.w3.org/2000/svg}}{tag}'))


def texts(svg):
    return [element.text for element in elements(svg, 'text')]


def test_every_block_has_its_name_and_its_macs():
    rows = rows_of(MACRO, DrawnArch(ARCH, MACS), 0.25)
    assert [row.name for row in rows] == [MACRO.candidates[0][i].name for i in ARCH]
    assert [row.macs for row in rows] == [*MACS]
    assert [row.channels for row in rows] == [16, 16, 32, 32, 32, 64, 64, 64]
    assert rows[0].fill == rows[3].fill != rows[1].fill != rows[2].fill == rows[7].fill
    found = texts(draw_arch(MACRO, DrawnArch(ARCH, MACS, 5e4), 'winner', 0.25))
    assert found[:3] == ['winner', 'stage 0 · 16 channels', 'identity']
    assert {'100 k', '200 k', '400 k', '300 k'} <= set(found)
    assert found[-1] == '1.10 M', 'all blocks, and stem, neck and head'


def test_bars_are_as_wide_as_their_channels_and_lines_as_long_as_their_macs():
    svg = draw_arch(MACRO, DrawnArch(ARCH, MACS), widen_factor=1.0)
    bars = [float(r.get('width')) + 1 for r in elements(svg, 'rect') if r.get('height') == '15']
    np.testing.assert_allclose(bars, BARS * np.array([1, 1, 2, 2, 2, 4, 4, 4]) / 4, atol=0.1)
    lines = [float(r.get('width')) for r in elements(svg, 'rect') if r.get('height') == '2']
    np.testing.assert_allclose(lines, BARS * np.array([m for m in MACS if m]) / 4e5, atol=0.1)
    halved = draw_arch(MACRO, DrawnArch(ARCH, MACS), most_macs=8e5)
    shorter = [float(r.get('width')) for r in elements(halved, 'rect') if r.get('height') == '2']
    np.testing.assert_allclose(shorter, np.array(lines) / 2, atol=0.1)


def test_an_elastic_block_shows_its_share_and_whether_it_runs():
    space = get_space('elastic_resnet18')
    rows = rows_of(space, DrawnArch(space.decode('012112000120')))
    assert [row.name for row in rows][:4] == ['width0.75', None, 'width0.75', 'width1']
    assert [row.share for row in rows][:4] == [0.75, 1, 0.75, 1]
    svg = draw_arch(space, DrawnArch(space.decode('012112000120')))
    assert texts(svg).count('does not run') == 2 and svg.count('stroke-dasharray') == 2


def test_a_cell_is_drawn_once():
    space = get_space('nasbench201')
    macs = [float(term) for term in range(len(space.cost_terms))]
    rows = rows_of(space, DrawnArch((4, 3, 2, 1, 1, 0), tuple(macs)))
    assert [row.name for row in rows][:2] == ['edge 0: avg_pool_3x3', 'edge 1: nor_conv_3x3']
    assert sum(row.macs for row in rows) == sum(
        cost for (_, slots), cost in zip(space.cost_terms, macs) if slots
    )


@pytest.mark.parametrize('name', sorted(SPACES))
def test_every_space_is_drawn(name):
    space = SPACES[name]
    arch = tuple(n - 1 for n in space.num_candidates)
    svg = draw_arch(space, DrawnArch(arch, (1.0,) * len(space.cost_terms), 3.0), 'largest')
    assert not [text for text in texts(svg) if text is None or 'None' in text]
    assert legend(space, [arch])


def test_what_a_drawing_says_is_text(tmp_path):
    svg = draw_arch(MACRO, DrawnArch(ARCH), '<script>')
    assert '<script>' not in svg and texts(svg)[0] == '<script>'
    write_arch_svg(tmp_path / 'arch.svg', MACRO, DrawnArch(ARCH, MACS, 1.0), 0.5)
    assert texts((tmp_path / 'arch.svg').read_text())[0] == 'nasbench_macro 01200002'


@pytest.mark.parametrize(
    'value, text',
    [
        (0, '0'),
        (999.4, '999'),
        (1e3, '1.00 k'),
        (32768, '32.8 k'),
        (999_900, '1.00 M'),
        (1_160_320, '1.16 M'),
        (4.1e9, '4.10 G'),
        (123e9, '123 G'),
    ],
)
def test_counts_have_three_digits(value, text):
    assert count_text(value) == text
    assert re.sub(r'\D', '', count_text(value)).lstrip('0')[3:] == ''
