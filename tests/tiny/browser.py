"""Pages in the browser of this machine, where there is one: no network, errors are noted."""

import shutil
from contextlib import contextmanager

import pytest

WIDTHS = (380, 1200)
# In the page: where on the screen an arch of a plot is, and its names.
POINT = """([plot, number]) => {
  const view = Bokeh.index.roots.find(view => view.model.renderers &&
    document.getElementById('plot' + plot).contains(view.el));
  const data = view.model.renderers.map(drawn => drawn.data_source.data)
    .find(data => data.arch);
  const box = view.canvas_view.el.getBoundingClientRect();
  return {x: box.left + view.frame.x_scale.compute(data.x[number]),
          y: box.top + view.frame.y_scale.compute(data.y[number]),
          arch: data.arch[number], names: data.names[number], scores: [...data.y]};
}"""


@contextmanager
def opened(path, width):
    """A page at a width of the screen; ``page.errors`` and ``page.loads`` are what went wrong and
    what was asked for elsewhere."""
    playwright = pytest.importorskip('playwright.sync_api')
    program = shutil.which('chromium') or shutil.which('chromium-browser')
    if program is None:
        pytest.skip('no chromium')
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=program, args=['--no-sandbox'])
        page = browser.new_context(viewport=dict(width=width, height=900), offline=True).new_page()
        page.errors, page.loads = [], []
        page.on('pageerror', lambda error: page.errors.append(str(error)))
        page.on(
            'console',
            lambda said: (
                page.errors.append(said.text) if said.type in ('error', 'warning') else None
            ),
        )
        page.on(
            'request',
            lambda asked: page.loads.append(asked.url) if asked.url.startswith('http') else None,
        )
        page.goto(path.absolute().as_uri())
        if '<script' in path.read_text():
            page.wait_for_function(
                "[...document.querySelectorAll('.plot')].every(plot => plot.children.length)"
            )
            page.wait_for_timeout(300)  # it lays out once more
        yield page
        browser.close()


def check_page(path):
    """A page opens without errors, loads nothing, fits both widths and is small."""
    assert path.stat().st_size < 3_000_000
    for width in WIDTHS:
        with opened(path, width) as page:
            wide = page.evaluate('document.documentElement.scrollWidth')
            assert wide <= width, f'scrolls sideways at {width}: {wide}'
            assert not page.errors and not page.loads
            assert page.evaluate('window.hacked') is None


def hovered(page, plot, number):
    """Points at an arch of a plot; returns what the plot has of it."""
    page.locator(f'#plot{plot}').scroll_into_view_if_needed()
    found = page.evaluate(POINT, [plot, number])
    page.mouse.move(found['x'] - 2, found['y'])
    page.mouse.move(found['x'], found['y'])
    page.get_by_text(f'arch {found["arch"]}', exact=True).last.wait_for(timeout=5000)
    return found
