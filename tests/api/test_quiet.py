import random

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger, print_log
from mmengine.registry import DefaultScope

from pinas_mm.api.quiet import only_warnings, progress_bar, quiet_run, quiet_scope, run_name


def test_a_quiet_logger_shows_warnings_alone_and_its_file_has_everything(tmp_path, capfd):
    log = tmp_path / 'run.log'
    logger = only_warnings(MMLogger.get_instance(f'quiet {tmp_path}', log_file=str(log)))
    logger.info('a config of many lines')
    logger.warning('mind this')
    out, err = capfd.readouterr()
    assert out == '' and 'mind this' in err and 'a config' not in err
    assert 'a config of many lines' in log.read_text() and 'mind this' in log.read_text()


def test_what_is_logged_before_a_run_is_quiet_too(capfd):
    with quiet_scope('mmpretrain'):
        print_log('of no interest', 'current')
        assert DefaultScope.get_current_instance().scope_name == 'mmpretrain'
    assert capfd.readouterr().out == ''


def seed():
    random.seed(3)
    np.random.seed(4)
    torch.manual_seed(5)


def drawn():
    return random.random(), np.random.rand(), torch.rand(1).item()


@pytest.mark.parametrize('error', [None, KeyboardInterrupt])
def test_a_run_leaves_the_generators_and_the_scope_as_they_were(error):
    seed()
    expected = drawn()
    seed()
    with DefaultScope.overwrite_default_scope('mmdet'):
        try:
            with quiet_run('mmpretrain'):
                DefaultScope.get_instance(run_name('of a runner'), scope_name='mmpretrain')
                random.seed(0)
                np.random.seed(0)
                torch.manual_seed(0)
                if error:
                    raise error
        except KeyboardInterrupt:
            pass
        assert DefaultScope.get_current_instance().scope_name == 'mmdet'
    assert drawn() == expected


def test_no_two_runs_have_one_name():
    assert run_name('linear') != run_name('linear')


@pytest.mark.parametrize('shown', [True, False, None])
def test_a_bar_is_shown_where_it_is_asked_for(capfd, shown):
    """Under pytest standard error is no terminal."""
    with progress_bar(shown) as show:
        show('search', 1, 4, -float('inf'))
        show('search', 4, 4, 76.25)
    out, err = capfd.readouterr()
    assert out == '' and (('4/4' in err and 'best 76.25' in err) if shown else err == '')
