"""The frame of every report: one HTML file that opens offline, on a telephone too."""

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..fileio import write_atomic
from .run_facts import tool_command

if TYPE_CHECKING:
    from bokeh.plotting import figure

# Dark text on light grounds: at least 7:1. Blue and orange differ for colour-blind readers.
STYLE = """
:root { color-scheme: light; --text: #1b2733; --quiet: #52606d; --line: #d8dee4; --blue: #0a5a94;
  --ground: #f4f6f8; --orange: #a34700; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 20px 16px 48px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 8px 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 8px; }
h3 { font-size: 1rem; margin: 16px 0 4px; }
p { margin: 6px 0; max-width: 72ch; overflow-wrap: anywhere; }
a { color: var(--blue); }
.quiet { color: var(--quiet); font-size: 0.9rem; }
.lead { font-size: 1.05rem; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 16px;
  margin: 16px 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 16px 0; }
.figures div { background: #fff; border: 1px solid var(--line); border-radius: 10px;
  padding: 10px 14px; }
.figures b { display: block; font-size: 1.3rem; line-height: 1.3; overflow-wrap: anywhere; }
.figures span { color: var(--quiet); font-size: 0.85rem; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 5px 14px 5px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td:first-child { min-width: 7em; }
tr.mark td { background: #e8f1fa; }
table.facts { width: 100%; }
table.facts th { width: 9.5em; color: var(--quiet); font-weight: 500; }
table.facts td { overflow-wrap: anywhere; white-space: pre-line; }
@media (max-width: 560px) {
  table.facts tr, table.facts th, table.facts td { display: block; width: auto; }
  table.facts th { border-bottom: none; padding: 6px 0 0; font-size: 0.8rem; }
  table.facts td { padding: 0 0 5px; }
  .figures { grid-template-columns: 1fr 1fr; }
  section { padding: 12px; }
}
pre { background: var(--ground); border: 1px solid var(--line); border-radius: 8px; padding: 10px;
  overflow-x: auto; font-size: 0.85rem; margin: 6px 0 12px; }
code { font-size: 0.9em; overflow-wrap: anywhere; }
.drawings { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; }
.drawings svg { max-width: 100%; height: auto; flex: 0 1 340px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 8px 0 12px; padding: 0;
  list-style: none; font-size: 0.85rem; }
.legend i { display: inline-block; width: 14px; height: 14px; border: 1px solid #5b6770;
  border-radius: 3px; margin-right: 6px; vertical-align: -2px; }
.warnings { border-left: 5px solid var(--orange); }
.warnings li { overflow-wrap: anywhere; }
details { margin: 8px 0; }
summary { cursor: pointer; color: var(--blue); }
.plot { width: 100%; min-height: 340px; overflow: hidden; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 310px), 1fr));
  gap: 12px; }
.grid > * { min-width: 0; }
.effects { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 310px), 1fr));
  gap: 8px 32px; }
.effects svg { width: 100%; height: auto; }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""


class Page:
    """One report. Whatever is added as text is escaped; :meth:`add_html` takes markup.

    Args:
        title: The title of the page.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = [f'<h1>{escape(title)}</h1>']
        self._figures: list[tuple[str, figure]] = []

    def lead(self, text: str) -> None:
        """The sentence below the title: the result."""
        self._parts.append(f'<p class="lead">{escape(text)}</p>')

    def note(self, text: str) -> None:
        """A quiet line."""
        self._parts.append(paragraph(text, 'quiet'))

    def numbers(self, numbers: Mapping[str, str]) -> None:
        """The few numbers that matter, each by what it is."""
        boxes = ''.join(
            f'<div><b>{escape(value)}</b><span>{escape(name)}</span></div>'
            for name, value in numbers.items()
        )
        self._parts.append(f'<div class="figures">{boxes}</div>')

    def section(self, title: str, *parts: str, kind: str = '') -> None:
        """A part of the page with a heading.

        Args:
            title: The heading.
            parts: Markup, of the functions below.
            kind: A class of the style sheet.
        """
        inside = ''.join(parts)
        if inside:
            self._parts.append(
                f'<section class="{kind}"><h2>{escape(title)}</h2>{inside}</section>'
            )

    def plot(self, drawn: 'figure', label: str) -> str:
        """Markup of the place of a plot.

        Args:
            drawn: The plot; it belongs to this page.
            label: What it shows, for screen readers.
        """
        place = f'plot{len(self._figures)}'
        self._figures.append((place, drawn))
        height = drawn.height or 340
        return (
            f'<div class="plot" id="{place}" role="img" aria-label="{escape(label)}" '
            f'style="min-height:{height}px"></div>'
        )

    def html(self) -> str:
        """The whole page. Plots come with all that draws them, so that nothing is loaded."""
        scripts = ''
        if self._figures:
            # Imported here: it takes half a second, and most of a run needs none of it.
            from bokeh.core.types import ID
            from bokeh.embed import json_item
            from bokeh.resources import Resources

            items = [json_item(drawn, ID(place)) for place, drawn in self._figures]
            library = '\n'.join(
                Resources(mode='inline', components=['bokeh'], minified=True).js_raw
            )
            shown = ''.join(f'Bokeh.embed.embed_item({_json(item)});\n' for item in items)
            scripts = f'<script>{library}</script>\n<script>\n{shown}</script>\n'
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<link rel="icon" href="data:,">\n<title>{escape(self.title)}</title>\n'
            f'<style>{STYLE}</style>\n</head>\n<body>\n<main>\n'
            + '\n'.join(self._parts)
            + f'\n</main>\n{scripts}</body>\n</html>\n'
        )

    def write(self, path: str | os.PathLike) -> Path:
        """Writes the page to a file and returns its path."""
        text = self.html()
        write_atomic(path, lambda file: file.write(text.encode()))
        return Path(path)


def paragraph(text: str, kind: str = '') -> str:
    """A paragraph of text; ``kind`` is a class of the style sheet, such as ``'quiet'``."""
    return f'<p class="{kind}">{escape(text)}</p>'


def facts(rows: Mapping[str, Any]) -> str:
    """Names and values below each other; those without a value are left out."""
    cells = ''.join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>'
        for name, value in rows.items()
        if value not in (None, '')
    )
    return f'<table class="facts">{cells}</table>'


def table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], marked: Sequence[int] = (), texts: int = 1
) -> str:
    """A table that scrolls in its own box where it is wider than the screen.

    Args:
        titles: The heads of the columns.
        rows: The cells, as text.
        marked: Indices of rows that are set off.
        texts: So many first columns are text; the others are numbers, which stand to the right.
    """

    def cell(tag: str, column: int, text: str) -> str:
        kind = '' if column < texts else ' class="number"'
        return f'<{tag}{kind}>{escape(text)}</{tag}>'

    head = ''.join(cell('th', column, title) for column, title in enumerate(titles))
    body = ''.join(
        f'<tr{" class=mark" if index in marked else ""}>'
        + ''.join(cell('td', column, text) for column, text in enumerate(row))
        + '</tr>'
        for index, row in enumerate(rows)
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        f'</div>'
    )


def details(summary: str, *parts: str) -> str:
    """Markup that is folded away."""
    return f'<details><summary>{escape(summary)}</summary>{"".join(parts)}</details>'


def code(text: str) -> str:
    """Lines to copy, such as commands."""
    return f'<pre><code>{escape(text)}</code></pre>'


def bullets(texts: Sequence[str]) -> str:
    """A list of sentences."""
    return '<ul>' + ''.join(f'<li>{escape(text)}</li>' for text in texts) + '</ul>'


def drawings(svgs: Sequence[str], colours: Sequence[tuple[str, str]] = ()) -> str:
    """SVGs beside each other, below each other on a narrow screen.

    Args:
        svgs: Of :func:`~.arch_drawing.draw_arch`.
        colours: Of :func:`~.arch_drawing.legend`.
    """
    keys = ''.join(
        f'<li><i style="background:{fill}"></i>{escape(name)}</li>' for fill, name in colours
    )
    return f'<ul class="legend">{keys}</ul><div class="drawings">{"".join(svgs)}</div>'


def digits_for(noise: float) -> int:
    """How many decimals of a number are worth showing: those up to the first digit of its noise, at
    most four."""
    if not math.isfinite(noise) or noise <= 0:
        return 2
    return min(4, max(0, math.ceil(-math.log10(noise))))


def duration(seconds: float | None) -> str:
    """A time for people: ``'3.2 s'``, ``'12 min'``, ``'5 h 20 min'``."""
    if seconds is None:
        return 'unknown'
    if seconds < 99.5:
        return f'{seconds:.2g} s' if seconds < 9.95 else f'{seconds:.0f} s'
    if seconds < 600:
        return f'{seconds / 60:.1f} min'
    minutes = round(seconds / 60)
    return f'{minutes} min' if minutes < 100 else f'{minutes // 60} h {minutes % 60} min'


def report_after_run(
    write: Callable[[Path], Path], work_dir: str | os.PathLike, logger: logging.Logger
) -> None:
    """Makes the report of a run whose results are all written.

    A report shows files that are there already and that ``tools/report.py`` reads again. So a
    failure here is logged with its reason and the command, and the run keeps its exit code: what
    follows it in a pipeline must not stop for a page.

    Args:
        write: Writes the report of a work dir.
        work_dir: The work dir.
        logger: Where a failure goes.
    """
    try:
        write(Path(work_dir))
    except Exception as error:
        logger.warning(
            f'{work_dir}: report.html was not made ({type(error).__name__}: {error}); the results '
            f'are complete. Make it again with: {tool_command("report")} {work_dir}'
        )


def _json(item: Any) -> str:
    import json

    # Text that would end the script is text of the data.
    return (
        json.dumps(item)
        .replace('<', '\\u003c')
        .replace('\u2028', '\\u2028')
        .replace('\u2029', '\\u2029')
    )
