import logging

import pytest

from pinas_mm.errors import InputError
from pinas_mm.visualization.interactive_plots import lines
from pinas_mm.visualization.report_page import (
    Page,
    bullets,
    code,
    details,
    digits_for,
    duration,
    facts,
    paragraph,
    report_after_run,
    table,
)

BAD = '<img src=x onerror=alert(1)>&"'


def test_all_text_is_escaped(tmp_path):
    page = Page(BAD)
    page.lead(BAD)
    page.note(BAD)
    page.numbers({BAD: BAD})
    page.section(
        BAD,
        paragraph(BAD),
        facts({BAD: BAD}),
        table([BAD], [[BAD]]),
        details(BAD, code(BAD)),
        bullets([BAD]),
    )
    text = page.write(tmp_path / 'page.html').read_text()
    assert '<img' not in text and text.count('&lt;img') == 15


def test_what_a_plot_says_ends_no_script():
    page = Page('plots')
    page.section('curves', page.plot(lines({f'</script>{BAD}': ([0], [1])}, BAD, BAD), BAD))
    text = page.html()
    assert text.count('</script>') == 2 and '<img' not in text.rpartition('<script>')[2]


def test_a_page_without_plots_has_no_script():
    page = Page('empty')
    page.section('nothing', '')
    assert '<script' not in page.html() and '<section' not in page.html()


@pytest.mark.parametrize(
    'noise, digits',
    [(6.0, 0), (1.0, 0), (0.5, 1), (0.05, 2), (1e-9, 4), (0.0, 2), (float('nan'), 2)],
)
def test_no_more_digits_than_the_noise_justifies(noise, digits):
    assert digits_for(noise) == digits


@pytest.mark.parametrize(
    'seconds, text',
    [
        (0.004, '0.004 s'),
        (3.21, '3.2 s'),
        (59.4, '59 s'),
        (150, '2.5 min'),
        (754, '13 min'),
        (7300, '2 h 2 min'),
        (None, 'unknown'),
    ],
)
def test_times_are_for_people(seconds, text):
    assert duration(seconds) == text


def test_a_report_that_cannot_be_made_is_said_and_the_run_goes_on(caplog, tmp_path):
    def broken(folder):
        raise InputError('no such history')

    report_after_run(broken, tmp_path, logging.getLogger('test'))
    (said,) = caplog.messages
    assert 'InputError: no such history' in said
    assert f'python tools/report.py {tmp_path}' in said
