import io
import logging
import re
import sys
import threading
import types
import warnings

import pytest
from mmengine.logging import MMLogger, print_log

from pinas_mm import console
from pinas_mm.console import LOG_ONLY, Progress, muted, quiet_terminal, say, shortened


@pytest.fixture
def logger(tmp_path):
    """mmengine's logger of a run, with its log file."""
    return MMLogger.get_instance(f'run {tmp_path}', log_file=str(tmp_path / 'run.log'))


@pytest.fixture
def log(tmp_path):
    return lambda: (tmp_path / 'run.log').read_text()


def in_module(name, code, **values):
    """Runs code as if it stood in a module of another package."""
    module = types.ModuleType(name)
    module.__dict__.update(values)
    exec(code, module.__dict__)


def test_info_of_mm_packages_goes_to_the_log_file_alone(logger, log, capsys):
    with quiet_terminal():
        for name in (
            'mmengine.runner.runner',
            'mmdet.evaluation',
            'my_package.hooks',
            'pinas_mm.x',
        ):
            in_module(name, "logger.info(f'by {__name__}')", logger=logger)
            in_module(name, "print_log(f'also by {__name__}', 'current')", print_log=print_log)
        logger.info('for the file', extra=LOG_ONLY)
        in_module('mmengine.x', "logger.warning('mind this')", logger=logger)
        in_module('mmengine.x', "logger.error('and this')", logger=logger)
    shown = [
        f'{also}by {name}' for name in ('my_package.hooks', 'pinas_mm.x') for also in ('', 'also ')
    ]
    assert capsys.readouterr().out.splitlines() == [*shown, 'warning: mind this', 'error: and this']
    for name in ('mmengine.runner.runner', 'mmdet.evaluation', 'my_package.hooks', 'pinas_mm.x'):
        assert f'by {name}' in log() and f'also by {name}' in log()
    assert 'for the file' in log() and 'mind this' in log() and 'and this' in log()


def test_verbose_shows_what_the_log_file_has(tmp_path, capsys):
    # mmengine keeps the stream that is there when the logger is made.
    logger = MMLogger.get_instance(f'verbose {tmp_path}', log_file=str(tmp_path / 'run.log'))
    with quiet_terminal(verbose=True):
        in_module('mmengine.x', "logger.info('every step')", logger=logger)
    assert '- mmengine - INFO - every step' in capsys.readouterr().out


def test_it_ends_with_the_outermost_context_also_after_an_error(logger, capsys):
    handle, shown = MMLogger.callHandlers, print
    with pytest.raises(ZeroDivisionError), quiet_terminal():
        with quiet_terminal():
            pass
        assert MMLogger.callHandlers is not handle and console.is_quiet()
        with Progress('work', 2):
            raise ZeroDivisionError
    assert MMLogger.callHandlers is handle and print is shown and not console.is_quiet()


def test_known_warnings_are_left_out_by_message_and_package(logger, log, capsys):
    known = '"FileClient" will be deprecated in future. Please use io functions'
    python = "UserWarning: 'pin_memory' argument is set as true but no accelerator is found"
    with quiet_terminal():
        in_module('mmengine.fileio', f'logger.warning({known!r})', logger=logger)
        # Another text, since mmengine shows none twice.
        in_module('my_package', f'logger.warning({known + "!"!r})', logger=logger)
        in_module('mmengine.fileio', "logger.warning('unknown')", logger=logger)
        with warnings.catch_warnings(record=True) as seen:
            for module in ('torch.utils.data.dataloader', 'my_package'):
                warnings.warn_explicit(python, UserWarning, f'{module}.py', 1, module)
    out = capsys.readouterr().out
    assert out.count('FileClient') == 1 and 'warning: unknown' in out
    assert log().count('FileClient') == 2
    assert [warning.filename for warning in seen] == ['my_package.py']


def test_a_long_warning_is_cut_and_whole_in_the_log_file(logger, log, capsys):
    names = [f'backbone.layers.{i}.weight' for i in range(100)]
    with quiet_terminal():
        logger.warning(f'missing keys: {", ".join(names)}')
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == console.MOST_LINES + 1 and max(map(len, lines)) <= 100
    hidden = re.fullmatch(r' +… and (\d+) more lines in the log file', lines[-1])
    # 100 names of 25 characters with their commas, four in a line of 96.
    assert 15 < int(hidden[1]) < 30
    assert all(name in log() for name in names)


def test_a_logged_traceback_is_whole(logger, capsys):
    with quiet_terminal():
        try:
            raise KeyError('lost')
        except KeyError:
            logger.exception('it failed')
    out = capsys.readouterr().out
    assert out.startswith('error: it failed\nTraceback') and "KeyError: 'lost'" in out


def test_what_pycocotools_prints_goes_to_the_log_file(logger, log, capsys):
    MMLogger._instance_dict.move_to_end(logger.instance_name)  # the latest, as of a new run
    with quiet_terminal():
        in_module('pycocotools.cocoeval', "print('Average Precision', 0.5)")
        in_module('mmengine.logging.logger', "level = 10\nprint('Could not import OneDL')")
        print('printed by a user')
        print('elsewhere', file=sys.stderr)
    assert capsys.readouterr() == ('printed by a user\n', 'elsewhere\n')
    assert 'Average Precision 0.5' in log()


def test_muted_shows_warnings_alone(logger, capsys):
    with quiet_terminal(), muted():
        say('step 1')
        logger.info('an arch')
        logger.warning('mind this')
        with Progress('train', 10) as progress:
            progress.update(1)
    assert capsys.readouterr().out == 'warning: mind this\n'


def test_lines_are_wrapped_at_100_columns_between_words(capsys):
    words = [f'word{i}' for i in range(60)]
    say('  ' + ' '.join(words))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100 and ' '.join(lines).split() == words
    assert lines[0].startswith('  word0') and lines[1].startswith('      word')


@pytest.mark.parametrize(
    'text, width, expected',
    [('0120', 4, '0120'), ('0123456789', 5, '01…89'), ('0123456789', 6, '012…89')],
)
def test_the_middle_of_a_long_text_is_left_out(text, width, expected):
    assert shortened(text, width) == expected and len(expected) <= width


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def ran(capsys, steps, seconds, **kwargs):
    """The lines of so many steps, each of which takes so long."""
    clock = Clock()
    with quiet_terminal(), Progress('train', steps, clock=clock, **kwargs) as progress:
        for step in range(kwargs.get('done', 0), steps):
            clock.now += seconds
            progress.update(step + 1, numbers=dict(loss=f'{step}'))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    'steps, seconds, number',
    [
        (10_000, 0.1, 22),  # the first, every twentieth, the last: of a run of 1,000 seconds
        (10_000, 0.001, 3),  # 10 seconds: one between
        (100, 600, 100),  # slow steps
        (3, 0.1, 2),
    ],
)
def test_lines_come_now_and_then(capsys, steps, seconds, number):
    lines = ran(capsys, steps, seconds)
    assert abs(len(lines) - number) <= 1
    assert lines[0].startswith('train  1/') and lines[-1].startswith(
        f'train  {steps}/{steps}  100%'
    )


def test_the_time_left_is_that_of_the_steps_of_this_run(capsys):
    # Steps 80 to 100 are left; each takes a minute.
    lines = ran(capsys, 100, 60, done=80)
    assert lines[0] == 'train  81/100  81%  ETA 0:19:00  loss 80'
    assert lines[-1] == 'train  100/100  100%  ETA 0:00:00  loss 99'


def test_a_search_has_no_lines_of_its_ends(capsys):
    assert ran(capsys, 10, 0.1, ends=False) == []


def test_outside_of_a_quiet_terminal_nothing_is_shown(capsys):
    with Progress('train', 2) as progress:
        progress.update(2)
    assert capsys.readouterr().out == ''


def test_other_ranks_show_nothing(capsys, monkeypatch):
    monkeypatch.setattr('mmengine.dist.is_main_process', lambda group=None: False)
    say('hello')
    assert ran(capsys, 10, 60) == []


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv('COLUMNS', '100')
    monkeypatch.setenv('TERM', 'xterm-256color')

    def use():  # in the test: pytest has a stream of its own for it
        stream = Terminal()
        monkeypatch.setattr(sys, 'stdout', stream)
        return stream

    return use


def plain(text):
    return re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', text)


def test_a_terminal_has_a_bar_and_lines_above_it(terminal, logger):
    terminal = terminal()
    clock = Clock()
    with quiet_terminal(), Progress('epoch 1/2', 40, clock=clock) as progress:
        clock.now = 10.0
        progress.update(10, 'epoch 1/2', dict(loss='1.2345', lr='1.00e-02'))
        logger.warning('mind this')
        with Progress('validate', 4, clock=clock) as inner:
            clock.now = 11.0
            inner.update(2)
    assert sys.stdout is terminal
    text = plain(terminal.getvalue())
    assert re.search(r'epoch 1/2 +\S+ +10/40 ETA 0:00:30 loss 1\.2345 +lr 1\.00e-02', text)
    assert 'warning: mind this' in text and re.search(r'validate +\S+ +2/4 +ETA 0:00:01', text)
    assert max(len(line) for line in re.split(r'[\r\n]', text)) <= 100


def test_after_an_error_the_terminal_is_as_before(terminal):
    terminal = terminal()
    with pytest.raises(ZeroDivisionError), quiet_terminal():
        Progress('work', 2).__enter__()
        raise ZeroDivisionError
    assert sys.stdout is terminal
    assert terminal.getvalue().count('\x1b[?25l') == terminal.getvalue().count('\x1b[?25h') == 1


def test_no_thread_draws_the_bar(terminal):
    """One would hold locks while a DataLoader forks its workers."""
    terminal()
    before = threading.active_count()
    with quiet_terminal(), Progress('work', 2):
        assert threading.active_count() == before


def test_levels_below_a_handlers_are_not_shown(logger, capsys):
    for handler in logger.handlers:
        handler.setLevel(logging.ERROR)  # as of ranks other than the first
    with quiet_terminal():
        logger.warning('mind this')
    assert capsys.readouterr().out == ''
