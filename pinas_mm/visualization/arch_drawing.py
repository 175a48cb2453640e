"""An arch drawn block by block, as SVG: width by channels, colour by candidate, MACs of each."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ..fileio import write_atomic
from ..schema import NotNegative
from ..spaces import Arch, SearchSpace
from ..spaces.arch_text import candidate_names, is_cell_space, position_names
from ..spaces.elastic import ElasticSpace

# Fills that differ for colour-blind readers too and carry dark text (Okabe and Ito, lightened).
FILLS = ('#9ecbee', '#f4b684', '#8fd6bd', '#f3e28a', '#e3b1cf', '#c5dff2', '#d9c7a8', '#b9b9d9')
# The candidates of an elastic block are sizes of one block: light to dark.
SIZES = ('#e8f1fa', '#cfe3f4', '#b1d2ec', '#8fbfe3', '#6baad8', '#4a95cc')
NONE_FILL, LINE, TEXT, QUIET = '#ffffff', '#5b6770', '#1b2733', '#52606d'

WIDTH, ROW, STAGE = 340, 22, 20
# Where the columns of a row end: the block's bar, the number of MACs.
BARS, MACS = 248, WIDTH - 2


@dataclass(frozen=True)
class DrawnArch:
    """An arch with what its parts cost, as ``report.json`` has it.

    Args:
        arch: The arch.
        macs: MACs of each of the space's ``cost_terms``
            (:meth:`~pinas_mm.costs.CostTable.term_costs`); empty where they are not known.
        other_macs: MACs of what every arch has: stem, neck and head.
    """

    arch: Arch
    macs: tuple[NotNegative, ...] = ()
    other_macs: NotNegative | None = None


@dataclass(frozen=True)
class Row:
    """One block of a drawing.

    Args:
        stage: Its stage; None for an edge of a cell.
        name: What runs there; None where nothing does.
        fill: Colour of its bar.
        channels: Its output channels.
        share: Share of the block's inner channels that run, 1 where that is no choice.
        macs: Its MACs, or None.
    """

    stage: int | None
    name: str | None
    fill: str
    channels: int
    share: float
    macs: float | None


def rows_of(space: SearchSpace, drawn: DrawnArch, widen_factor: float = 1.0) -> list[Row]:
    """The blocks of an arch: one for each position that has a choice, or, in a space of equal
    cells, one for each slot of the cell."""
    arch = drawn.arch
    terms = list(zip(space.cost_terms, drawn.macs)) if drawn.macs else []
    if is_cell_space(space):
        fills = slot_fills(space)
        names = candidate_names(space, arch)
        width = max(position.out_channels for position in space.positions)
        return [
            Row(
                None,
                f'edge {slot}: {names[slot]}',
                fills[names[slot]],
                round(width * widen_factor),
                1,
                sum(macs for (_, slots), macs in terms if slot in slots) if terms else None,
            )
            for slot in range(space.num_slots)
        ]
    fills = slot_fills(space)
    rows = []
    for index, (position, name) in enumerate(zip(space.positions, position_names(space, arch))):
        if not position.slots:
            continue
        macs = sum(cost for (at, _), cost in terms if at == index) if terms else None
        share = 1.0
        if isinstance(space, ElasticSpace):
            chosen = space.choice(index, arch)
            share = float((chosen or {}).get('width', 1.0))
            fill = size_fill(space, index, arch)
            name = name if name != '' else 'whole block'
        else:
            fill = fills.get(name or '', FILLS[0])
        channels = round(position.out_channels * widen_factor)
        rows.append(Row(position.stage, name, fill, channels, share, macs))
    return rows


def slot_fills(space: SearchSpace) -> dict[str, str]:
    """A colour for every name of a candidate, the same in all drawings of a space."""
    names = dict.fromkeys(candidate.name for slot in space.candidates for candidate in slot)
    return {name: FILLS[i % len(FILLS)] for i, name in enumerate(names)}


def size_fill(space: ElasticSpace, index: int, arch: Arch) -> str:
    """The colour of an elastic block: the darker, the larger its candidates are among those of
    their slots."""
    own = space.own_slots(index)
    if not own:
        return SIZES[-1]
    shares = [arch[slot] / max(1, space.num_candidates[slot] - 1) for slot in own]
    return SIZES[round(sum(shares) / len(shares) * (len(SIZES) - 1))]


def draw_arch(
    space: SearchSpace,
    drawn: DrawnArch,
    title: str = '',
    widen_factor: float = 1.0,
    most_macs: float | None = None,
) -> str:
    """SVG of an arch, one row a block from the input down.

    A bar's width is the block's output channels; where a block's inner channels are a choice, the
    filled part of the bar is their share. A dashed row is a block that does not run. The thin line
    below a bar is its MACs, beside those of the costliest block.

    Args:
        space: The arch's space.
        drawn: The arch and its MACs.
        title: The heading of the drawing, also its title for screen readers.
        widen_factor: Width of the network.
        most_macs: MACs that the longest line stands for; by default those of the costliest block.
            One number for several drawings makes them comparable.
    """
    rows = rows_of(space, drawn, widen_factor)
    widest = max((row.channels for row in rows), default=1)
    most = most_macs or max((row.macs or 0 for row in rows), default=0) or 1
    parts: list[str] = []
    y = 6.0
    if title:
        parts.append(_text(0, y + 11, title, weight=600, size=13))
        y += 22
    stage: int | None = -1
    for row in rows:
        if row.stage != stage:
            stage = row.stage
            heading = 'one cell, repeated' if stage is None else f'stage {stage}'
            parts.append(_text(0, y + 13, f'{heading} · {row.channels} channels', QUIET, size=11))
            y += STAGE
        parts += _block(row, y, widest, most)
        y += ROW
    if drawn.macs:
        total = sum(drawn.macs) + (drawn.other_macs or 0)
        if drawn.other_macs is not None:
            parts.append(_text(0, y + 14, 'stem, neck and head', QUIET, size=11))
            parts.append(_text(MACS, y + 14, count_text(drawn.other_macs), QUIET, 'end', size=11))
            y += 18
        parts.append(f'<line x1="0" x2="{WIDTH}" y1="{y + 3:g}" y2="{y + 3:g}" stroke="#c3cbd3"/>')
        parts.append(_text(0, y + 19, 'MACs in all', weight=600))
        parts.append(_text(MACS, y + 19, count_text(total), anchor='end', weight=600))
        y += 24
    height = y + 4
    label = escape(title or f'arch {space.encode(drawn.arch)}')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="{WIDTH}" height="{height:g}" role="img" aria-label="{label}" '
        f'font-family="system-ui, sans-serif"><title>{label}</title>{"".join(parts)}</svg>'
    )


def write_arch_svg(
    path: str | os.PathLike, space: SearchSpace, drawn: DrawnArch, widen_factor: float = 1.0
) -> None:
    """Writes ``arch.svg``: :func:`draw_arch` on a white ground."""
    svg = draw_arch(space, drawn, f'{space.name} {space.encode(drawn.arch)}', widen_factor)
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
    text = svg.replace('</title>', f'</title>{ground}', 1)
    write_atomic(path, lambda file: file.write(text.encode()))


def count_text(value: float) -> str:
    """A number of MACs or parameters with three digits: ``'1.16 M'``, ``'4.1 G'``."""
    for unit, name in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if value >= unit * 0.9995:
            return f'{_three_digits(value / unit)} {name}'
    return f'{value:.0f}'


def _three_digits(value: float) -> str:
    return f'{value:.{max(0, 2 - len(str(int(value))) + 1)}f}'


def _block(row: Row, y: float, widest: int, most: float) -> list[str]:
    # Areas and lengths of narrow blocks stay readable: no bar is shorter than its text needs.
    width = max(BARS * row.channels / widest, 24)
    if row.name is None:
        return [
            f'<rect x="0.5" y="{y + 1:g}" width="{width - 1:.1f}" height="15" rx="3" fill="none" '
            f'stroke="#a8b2bb" stroke-dasharray="3 3"/>',
            _text(6, y + 12.5, 'does not run', QUIET, size=11),
        ]
    parts = [
        f'<rect x="0.5" y="{y + 1:g}" width="{width - 1:.1f}" height="15" rx="3" '
        f'fill="{NONE_FILL if row.share < 1 else row.fill}" stroke="{LINE}" stroke-width="0.8"/>'
    ]
    if row.share < 1:
        parts.append(
            f'<rect x="1" y="{y + 1.5:g}" width="{(width - 2) * row.share:.1f}" height="14" '
            f'rx="2.5" fill="{row.fill}"/>'
        )
    parts.append(_text(6, y + 12.5, row.name, size=11))
    if row.macs is not None:
        parts.append(_text(MACS, y + 12.5, count_text(row.macs), anchor='end', size=11))
        length = BARS * row.macs / most
        if length >= 0.5:
            parts.append(
                f'<rect x="0.5" y="{y + 17.5:g}" width="{length:.1f}" height="2" fill="{LINE}"/>'
            )
    return parts


def _text(
    x: float,
    y: float,
    text: str,
    fill: str = TEXT,
    anchor: str = 'start',
    weight: int = 400,
    size: int = 12,
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'
    )


def legend(space: SearchSpace, arches: Sequence[Arch]) -> list[tuple[str, str]]:
    """The colours of the drawings of some archs, each with what it stands for."""
    if isinstance(space, ElasticSpace):
        return [(SIZES[0], 'the smallest candidates'), (SIZES[-1], 'the largest candidates')]
    used = {name for arch in arches for name in candidate_names(space, arch)}
    return [(fill, name) for name, fill in slot_fills(space).items() if name in used]
